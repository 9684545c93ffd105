#include "pipelines/ingest/reorder_buffer.hpp"

#include <algorithm>

namespace hd::ingest {
namespace {

// So many packets ahead is a hole, more is another stream.
constexpr std::uint16_t kFarAhead = 512;

}  // namespace

void ReorderBuffer::restart() {
    next_.reset();
    held_.clear();
}

bool ReorderBuffer::take(const RtpPacket& packet, ByteView whole, BootTime arrival) {
    const auto ahead =
        static_cast<std::uint16_t>(packet.sequence - next_.value_or(packet.sequence));
    if (ahead != 0 && ahead < kFarAhead) {
        const auto before = [&](const Held& held) {
            return static_cast<std::uint16_t>(held.sequence - *next_) < ahead;
        };
        const auto at = std::partition_point(held_.begin(), held_.end(), before);
        if (at != held_.end() && at->sequence == packet.sequence) return false;  // twice
        held_.insert(at, {Bytes(whole.begin(), whole.end()), arrival, packet.sequence});
        return false;
    }
    // One that comes too late changes nothing; the depacketizer knows it and leaves it out.
    const bool late = ahead >= 0x8000u;
    if (late) return true;
    if (ahead != 0) held_.clear();
    next_ = static_cast<std::uint16_t>(packet.sequence + 1);
    return true;
}

std::optional<ReorderBuffer::Held> ReorderBuffer::release(BootTime now) {
    if (held_.empty()) return std::nullopt;
    // Whoever waits longest decides; that need not be the first in order.
    const auto longest = std::min_element(held_.begin(), held_.end(),
                                          [](auto& a, auto& b) { return a.arrival < b.arrival; });
    const bool due = held_.front().sequence == *next_ || held_.size() >= most_ ||
                     now - longest->arrival >= patience_;
    if (!due) return std::nullopt;
    Held out = std::move(held_.front());
    held_.erase(held_.begin());
    next_ = static_cast<std::uint16_t>(out.sequence + 1);
    return out;
}

}  // namespace hd::ingest
