// RTSP 1.0 messages and interleaved packets (RFC 2326) on one TCP connection. Pure; every byte
// comes from a camera and is not trusted. Fuzzed (tests/fuzz/fuzz_rtsp.cpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/bytes.hpp"

namespace hd::ingest {

// Real cameras stay below 4 KiB; a message over these limits is taken for garbage.
constexpr std::size_t kRtspMaxHead = 64 << 10;
constexpr std::size_t kRtspMaxBody = 64 << 10;
// The longest item that next_item() waits for: a reader's buffer has to hold it.
constexpr std::size_t kRtspMaxItem = kRtspMaxHead + kRtspMaxBody;

struct RtspHeader {
    std::string name, value;  // value without the spaces around it
};

// A response (method empty) or a request that the camera sends to us.
struct RtspMessage {
    int status = 0;
    std::string reason;
    std::string method, uri;
    std::vector<RtspHeader> headers;
    std::string body;

    // The first header of that name, whatever its case.
    std::optional<std::string_view> header(std::string_view name) const;
};

// What the head of a buffer is.
struct RtspItem {
    enum class Kind { incomplete, packet, message, garbage };
    Kind kind = Kind::incomplete;
    std::size_t size = 0;      // bytes to take away; 0 if incomplete
    std::uint8_t channel = 0;  // of a packet
    ByteView payload;          // of a packet; points into the buffer
    RtspMessage message;
};

// Never throws, always makes progress: a buffer of kRtspMaxItem bytes is never `incomplete`.
// Garbage is cut at the next byte where a packet or a message may begin.
RtspItem next_item(ByteView buffer);

// "METHOD uri RTSP/1.0", headers, empty line. Control characters in values are left out, so that
// nothing from a setting or a camera can add a line.
std::string format_request(std::string_view method, std::string_view uri,
                           const std::vector<RtspHeader>& headers);

// An interleaved packet. `payload`: at most 65535 bytes.
std::string format_packet(std::uint8_t channel, ByteView payload);

// The value of `key` in "a;key=value;..." or "a, key="value", ...", quotes removed; spaces around
// it do not count. Keys are compared without case.
std::optional<std::string> parameter(std::string_view list, std::string_view key, char separator);

bool equal_ignoring_case(std::string_view a, std::string_view b);
std::string_view trimmed(std::string_view text);

}  // namespace hd::ingest
