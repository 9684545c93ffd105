// Bytes, and bounds-checked little-endian reading and writing of them. Every codec stands on these
// two.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/result.hpp"

namespace hd {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
bool equal(ByteView a, ByteView b);

// Appends to a growing buffer. Integers are little-endian; varints are LEB128, signed ones zigzag.
class ByteWriter {
  public:
    void u8(std::uint8_t v) { out_.push_back(v); }
    void u16(std::uint16_t v) { fixed(v, 2); }
    void u32(std::uint32_t v) { fixed(v, 4); }
    void u64(std::uint64_t v) { fixed(v, 8); }
    void i64(std::int64_t v) { fixed(static_cast<std::uint64_t>(v), 8); }
    void varint(std::uint64_t v);
    void zigzag(std::int64_t v);
    void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
    void raw(std::string_view text) { raw(as_bytes(text)); }
    // u16 length, then the bytes. HD_CHECKs that they fit.
    void short_string(std::string_view text);
    // u32 length, then the bytes.
    void long_string(ByteView bytes);

    std::size_t size() const { return out_.size(); }
    ByteView view() const { return out_; }
    Bytes take() && { return std::move(out_); }

  private:
    void fixed(std::uint64_t v, int bytes);
    Bytes out_;
};

// Reads from a borrowed buffer, which must outlive it. After the first failure every read gives
// zero or empty and ok() stays false, so a decoder may read a whole struct and ask once at the end.
class ByteReader {
  public:
    explicit ByteReader(ByteView in) : in_(in) {}

    std::uint8_t u8() { return static_cast<std::uint8_t>(fixed(1)); }
    std::uint16_t u16() { return static_cast<std::uint16_t>(fixed(2)); }
    std::uint32_t u32() { return static_cast<std::uint32_t>(fixed(4)); }
    std::uint64_t u64() { return fixed(8); }
    std::int64_t i64() { return static_cast<std::int64_t>(fixed(8)); }
    std::uint64_t varint();
    std::int64_t zigzag();
    ByteView raw(std::size_t size);
    std::string short_string();
    ByteView long_string(std::size_t limit);

    template <std::size_t N>
    std::array<std::uint8_t, N> array() {
        std::array<std::uint8_t, N> out{};
        const ByteView v = raw(N);
        for (std::size_t i = 0; i < v.size(); ++i) out[i] = v[i];
        return out;
    }

    bool ok() const { return ok_; }
    void fail() { ok_ = false; }
    std::size_t left() const { return ok_ ? in_.size() - at_ : 0; }
    std::size_t at() const { return at_; }
    // Success only if nothing failed and nothing is left; the error names `what` and the byte.
    Result<void> finish(std::string_view what) const;

  private:
    std::uint64_t fixed(int bytes);
    ByteView in_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

// CRC-32C (Castagnoli, RFC 3720 appendix B.4; check value of "123456789" is 0xE3069283).
std::uint32_t crc32c(ByteView bytes, std::uint32_t seed = 0);

}  // namespace hd
