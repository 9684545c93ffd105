// RTP and RTCP packets (RFC 3550). Pure; fuzzed (tests/fuzz/fuzz_rtp.cpp).
#pragma once

#include <optional>

#include "index/base/bytes.hpp"
#include "index/base/time.hpp"

namespace hd::ingest {

struct RtpPacket {
    std::uint8_t payload_type = 0;
    bool marker = false;
    std::uint16_t sequence = 0;
    std::uint32_t timestamp = 0;  // ticks of the payload's clock rate, wraps
    std::uint32_t ssrc = 0;
    ByteView payload;  // without header, extension and padding; points into the packet
};

// Nothing: not RTP version 2, or the lengths inside do not fit.
std::optional<RtpPacket> parse_rtp(ByteView packet);

// What a sender report says.
struct SenderReport {
    std::uint32_t ssrc = 0;
    std::uint64_t ntp = 0;        // 32.32 seconds since 1900; 0: the camera has no clock
    std::uint32_t timestamp = 0;  // the same instant in RTP ticks
    // The UTC that the camera claims; nothing if it has no clock.
    std::optional<WallTime> utc() const;
};

struct RtcpFacts {
    std::optional<SenderReport> report;
    bool goodbye = false;
};
// Looks through a compound packet; stops where it makes no sense.
RtcpFacts parse_rtcp(ByteView compound);

// A receiver report with one block and an SDES CNAME, as servers take for a sign of life.
struct ReceiverState {
    std::uint32_t our_ssrc = 0, camera_ssrc = 0;
    std::uint32_t highest_sequence = 0;  // with the count of wraps in the upper half
    std::uint64_t lost = 0;
    std::uint32_t last_report = 0;        // the middle 32 bits of the last report's ntp
    std::uint32_t since_last_report = 0;  // in 1/65536 s
};
Bytes format_receiver_report(const ReceiverState& state);

}  // namespace hd::ingest
