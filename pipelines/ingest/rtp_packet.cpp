#include "pipelines/ingest/rtp_packet.hpp"

#include <algorithm>

namespace hd::ingest {
namespace {

// Seconds from 1900 (NTP, RFC 5905) to 1970.
constexpr std::int64_t kNtpToUnixSeconds = 2'208'988'800;
constexpr unsigned kSenderReport = 200, kReceiverReport = 201, kSourceDescription = 202,
                   kGoodbye = 203;
constexpr std::string_view kName = "halfdoor";

std::uint32_t be16(ByteView in, std::size_t at) {
    return static_cast<std::uint32_t>(in[at] << 8 | in[at + 1]);
}
std::uint32_t be32(ByteView in, std::size_t at) { return be16(in, at) << 16 | be16(in, at + 2); }

void put32(Bytes& out, std::uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<std::uint8_t>(v >> shift));
}

}  // namespace

std::optional<RtpPacket> parse_rtp(ByteView in) {
    if (in.size() < 12 || in[0] >> 6 != 2) return std::nullopt;
    std::size_t begin = 12 + std::size_t{in[0] & 15u} * 4;
    std::size_t end = in.size();
    if (begin > end) return std::nullopt;
    if (in[0] & 0x10u) {
        if (end - begin < 4) return std::nullopt;
        const std::size_t extension = 4 + std::size_t{be16(in, begin + 2)} * 4;
        if (extension > end - begin) return std::nullopt;
        begin += extension;
    }
    if (in[0] & 0x20u) {
        const std::size_t padding = in[end - 1];
        if (padding == 0 || padding > end - begin) return std::nullopt;
        end -= padding;
    }
    RtpPacket out;
    out.marker = (in[1] & 0x80u) != 0;
    out.payload_type = in[1] & 0x7fu;
    out.sequence = static_cast<std::uint16_t>(be16(in, 2));
    out.timestamp = be32(in, 4);
    out.ssrc = be32(in, 8);
    out.payload = in.subspan(begin, end - begin);
    return out;
}

std::optional<WallTime> SenderReport::utc() const {
    if (ntp == 0) return std::nullopt;
    const auto seconds = static_cast<std::int64_t>(ntp >> 32) - kNtpToUnixSeconds;
    const auto fraction = static_cast<std::int64_t>(((ntp & 0xffffffffu) * 1'000'000) >> 32);
    return WallTime{seconds * 1'000'000 + fraction};
}

RtcpFacts parse_rtcp(ByteView in) {
    RtcpFacts out;
    while (in.size() >= 8 && in[0] >> 6 == 2) {
        const std::size_t size = (std::size_t{be16(in, 2)} + 1) * 4;
        if (size > in.size()) break;
        if (in[1] == kSenderReport && size >= 28 && !out.report)
            out.report = SenderReport{be32(in, 4), std::uint64_t{be32(in, 8)} << 32 | be32(in, 12),
                                      be32(in, 16)};
        if (in[1] == kGoodbye) out.goodbye = true;
        in = in.subspan(size);
    }
    return out;
}

Bytes format_receiver_report(const ReceiverState& s) {
    Bytes out;
    put32(out, 0x81000000u | kReceiverReport << 16 | 7u);
    put32(out, s.our_ssrc);
    put32(out, s.camera_ssrc);
    put32(out, static_cast<std::uint32_t>(std::min<std::uint64_t>(s.lost, 0x7fffff)));
    put32(out, s.highest_sequence);
    put32(out, 0);  // jitter: nobody reads it over TCP
    put32(out, s.last_report);
    put32(out, s.since_last_report);
    // SDES with one CNAME, ended by zeros up to a multiple of four.
    const std::size_t item = 2 + kName.size();
    const std::size_t words = 1 + (item + 1 + 3) / 4;
    put32(out, 0x81000000u | kSourceDescription << 16 | static_cast<std::uint32_t>(words));
    put32(out, s.our_ssrc);
    out.push_back(1);
    out.push_back(static_cast<std::uint8_t>(kName.size()));
    out.insert(out.end(), kName.begin(), kName.end());
    out.resize(32 + 4 + words * 4, 0);
    return out;
}

}  // namespace hd::ingest
