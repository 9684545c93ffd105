#include "tools/replay/packet_faults.hpp"

#include <cmath>

namespace hd::replay {
namespace {

constexpr std::size_t kRtpHeader = 12;
constexpr double kRate = 90'000;  // of H.264, H.265 and JPEG
constexpr std::uint8_t kSenderReport = 200, kReceiverReport = 201;
constexpr Tick kEver = Tick::max();

std::uint32_t be32(ByteView in, std::size_t at) {
    return std::uint32_t{in[at]} << 24 | std::uint32_t{in[at + 1]} << 16 |
           std::uint32_t{in[at + 2]} << 8 | in[at + 3];
}

void put32(std::span<std::uint8_t> out, std::size_t at, std::uint32_t v) {
    for (std::size_t i = 0; i < 4; ++i) out[at + i] = static_cast<std::uint8_t>(v >> (24 - 8 * i));
}

}  // namespace

void PacketFaults::begin(const Fault& fault, Tick now) {
    active_ = true;
    const Tick until = fault.span.count() > 0 ? now + fault.span : kEver;
    switch (fault.kind) {
        case FaultKind::loss:
            loss_ = {fault.amount, until};
            break;
        case FaultKind::reorder:
            reorder_ = {fault.amount, until};
            break;
        case FaultKind::truncate:
            truncate_ = {fault.amount, until};
            break;
        case FaultKind::garble:
            garble_ = {fault.amount, until};
            break;
        case FaultKind::rtpjump:
            shift_ += fault.amount * kRate;
            break;
        case FaultKind::drift:
            drift_ppm_ = fault.amount;
            drift_until_ = until;
            break;
        case FaultKind::ntpjump:
            ntp_shift_s_ += static_cast<std::int64_t>(fault.amount);
            break;
        case FaultKind::nosr:
            silent_until_ = until;
            break;
        default:
            break;
    }
}

std::size_t PacketFaults::up_to(std::size_t most) {
    // Not a distribution of the library: those differ between libraries.
    return static_cast<std::size_t>(random_() % (most + 1));
}

bool PacketFaults::hit(const Share& share, Tick now) {
    if (now >= share.until || share.percent <= 0) return false;
    return static_cast<double>(random_() >> 11) * 0x1p-53 * 100 < share.percent;
}

void PacketFaults::shift_time(Bytes& packet, Tick now) {
    const std::uint32_t timestamp = be32(packet, 4);
    if (last_timestamp_ && now < drift_until_) {
        const auto step = static_cast<std::int32_t>(timestamp - *last_timestamp_);
        shift_ += static_cast<double>(step) * drift_ppm_ / 1e6;
    }
    last_timestamp_ = timestamp;
    put32(packet, 4,
          timestamp + static_cast<std::uint32_t>(static_cast<std::int64_t>(std::llround(shift_))));
}

void PacketFaults::pass(Bytes packet, Tick now, std::vector<Bytes>& out) {
    if (packet.size() > kRtpHeader) {
        shift_time(packet, now);
        if (hit(garble_, now))
            for (std::size_t i = kRtpHeader; i < packet.size(); ++i)
                packet[i] = static_cast<std::uint8_t>(random_());
        if (hit(truncate_, now)) packet.resize(kRtpHeader + up_to(packet.size() - kRtpHeader - 1));
        if (hit(loss_, now)) return;
        if (held_.empty() && hit(reorder_, now)) {
            held_.push_back(std::move(packet));
            held_for_ = 1 + up_to(2);
            return;
        }
    }
    out.push_back(std::move(packet));
    if (held_.empty() || --held_for_ > 0) return;
    out.push_back(std::move(held_.back()));
    held_.clear();
}

void PacketFaults::pass_report(std::span<std::uint8_t> rtcp, Tick now) const {
    if (rtcp.size() < 28 || rtcp[1] != kSenderReport) return;
    // A receiver report without blocks, what follows being an extension that nobody knows.
    if (now < silent_until_) rtcp[1] = kReceiverReport;
    put32(rtcp, 8, be32(rtcp, 8) + static_cast<std::uint32_t>(ntp_shift_s_));
}

}  // namespace hd::replay
