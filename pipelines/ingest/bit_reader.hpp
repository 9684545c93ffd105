// Bits of a NAL unit's payload: skips emulation prevention bytes, knows Exp-Golomb codes. Reading
// past the end gives zeros and ok() turns false. Pure.
#pragma once

#include <cstdint>

#include "index/base/bytes.hpp"

namespace hd::ingest {

class BitReader {
  public:
    explicit BitReader(ByteView nal_payload) : in_(nal_payload) {}

    std::uint32_t bit() {
        if (left_ == 0 && !next_byte()) return 0;
        --left_;
        return (byte_ >> left_) & 1u;
    }
    std::uint32_t bits(unsigned count) {  // at most 32
        std::uint32_t v = 0;
        while (count-- > 0) v = v << 1 | bit();
        return v;
    }
    void skip(unsigned count) {
        while (count-- > 0 && ok_) bit();
    }
    std::uint32_t ue() {  // unsigned Exp-Golomb
        unsigned zeros = 0;
        while (ok_ && bit() == 0)
            if (++zeros > 31) ok_ = false;
        return ok_ ? (1u << zeros) - 1 + bits(zeros) : 0;
    }
    std::int32_t se() {  // signed Exp-Golomb
        const std::uint32_t k = ue();
        const auto half = static_cast<std::int32_t>(k / 2);
        return k % 2 ? half + 1 : -half;
    }
    bool ok() const { return ok_; }

  private:
    bool next_byte() {
        if (zeros_ >= 2 && at_ < in_.size() && in_[at_] == 3) {
            ++at_;
            zeros_ = 0;
        }
        if (at_ >= in_.size()) return ok_ = false;
        byte_ = in_[at_++];
        zeros_ = byte_ == 0 ? zeros_ + 1 : 0;
        left_ = 8;
        return true;
    }

    ByteView in_;
    std::size_t at_ = 0;
    std::uint8_t byte_ = 0;
    unsigned left_ = 0;
    unsigned zeros_ = 0;
    bool ok_ = true;
};

// H.264 7.3.2.1.1.1: reads past the scaling lists of an SPS, of which there are `lists`.
inline void skip_scaling_lists(BitReader& in, unsigned lists) {
    for (unsigned i = 0; i < lists && in.ok(); ++i) {
        if (!in.bit()) continue;
        int last = 8, next = 8;
        for (unsigned j = 0; j < (i < 6 ? 16u : 64u) && in.ok(); ++j) {
            if (next != 0) next = (last + in.se() + 256) % 256;
            last = next == 0 ? last : next;
        }
    }
}

}  // namespace hd::ingest
