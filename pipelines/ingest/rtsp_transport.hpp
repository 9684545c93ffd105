// The Transport header of RTSP 1.0 (RFC 2326, 12.39). Pure; what a camera answers is not trusted.
// Fuzzed (tests/fuzz/fuzz_rtsp.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pipelines/ingest/udp_ports.hpp"

namespace hd::ingest {

// What is asked for: `first_channel` of the connection and the next, or `port` of ours and the
// next.
std::string ask_for_channels(std::uint8_t first_channel);
std::string ask_for_ports(std::uint16_t port);

// What the camera gives.
struct TransportAnswer {
    struct Channels {
        std::uint8_t rtp = 0, rtcp = 1;
    };
    std::optional<Channels> channels;
    std::optional<CameraPorts> server;
    bool multicast = false;
    std::string source;  // from where it sends, if it says so; printable and short
};
TransportAnswer parse_transport(std::string_view header);

}  // namespace hd::ingest
