#include "pipelines/ingest/packet_order.hpp"

namespace hd::ingest {
namespace {

// An answer to a repeated or late packet: over TCP there is none, so a longer way back is a
// restart.
constexpr std::uint16_t kLate = 64;

}  // namespace

PacketOrder::Step PacketOrder::take(const RtpPacket& p, PacketCounts& counts) {
    ++counts.packets;
    Step step = Step::next;
    if (ssrc_ != p.ssrc) {
        if (ssrc_) step = Step::after_a_hole;
        ssrc_ = p.ssrc;
        next_.reset();
    }
    if (next_) {
        const auto ahead = static_cast<std::uint16_t>(p.sequence - *next_);
        const auto behind = static_cast<std::uint16_t>(*next_ - p.sequence);
        if (ahead != 0 && behind <= kLate) return Step::late;
        if (ahead != 0) {
            if (ahead < 0x8000u) counts.lost_packets += ahead;
            step = Step::after_a_hole;
        }
        if (p.sequence < static_cast<std::uint16_t>(*next_ - 1))
            counts.highest_sequence += 0x10000u;
    }
    counts.highest_sequence = (counts.highest_sequence & 0xffff0000u) | p.sequence;
    next_ = static_cast<std::uint16_t>(p.sequence + 1);
    return step;
}

}  // namespace hd::ingest
