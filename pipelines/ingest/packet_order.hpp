// Which packets of an RTP stream came, and which are missing, by their sequence numbers. Pure.
#pragma once

#include <optional>

#include "pipelines/ingest/rtp_packet.hpp"

namespace hd::ingest {

struct PacketCounts {
    std::uint64_t packets = 0;
    std::uint64_t lost_packets = 0;      // holes in the sequence numbers
    std::uint32_t highest_sequence = 0;  // with wraps in the upper half, for RTCP
};

class PacketOrder {
  public:
    enum class Step {
        next,
        after_a_hole,  // packets are missing before this one, or it is of another SSRC
        late,          // seen before, or given up: not to be used
    };
    Step take(const RtpPacket& packet, PacketCounts& counts);

  private:
    std::optional<std::uint16_t> next_;
    std::optional<std::uint32_t> ssrc_;
};

}  // namespace hd::ingest
