// What came over a camera's connection and was not taken yet: bytes in, messages and packets out.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "pipelines/ingest/rtsp_message.hpp"

namespace hd::ingest {

class ReceiveBuffer {
  public:
    // Over some 3 Mbit/s a read of every 80 ms takes more than half of this.
    static constexpr std::size_t kReadBytes = 64 << 10;

    // Forgets what is there.
    void clear();
    void release();  // the memory too

    // Room for one read; what was given before is no longer there.
    std::span<std::uint8_t> room();
    void filled(std::size_t size) { end_ += size; }
    ByteView waiting() const { return {bytes_.get() + begin_, end_ - begin_}; }

    // Whose packets are the ones that we asked for.
    struct Known {
        std::uint8_t rtp_channel = 0, rtcp_channel = 1;
        std::uint32_t ssrc = 0;
    };
    // Takes the next item out. incomplete: more has to come first.
    RtspItem next(const std::optional<Known>& known);
    std::size_t garbage_bytes() const { return garbage_bytes_; }  // in a row, until now

  private:
    std::unique_ptr<std::uint8_t[]> bytes_;
    std::size_t begin_ = 0, end_ = 0;
    std::size_t garbage_bytes_ = 0;
    bool lost_track_ = false;  // garbage came, and no packet of ours since
};

}  // namespace hd::ingest
