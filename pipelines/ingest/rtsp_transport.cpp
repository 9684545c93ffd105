#include "pipelines/ingest/rtsp_transport.hpp"

#include <charconv>

#include <fmt/format.h>

#include "pipelines/ingest/rtsp_message.hpp"

namespace hd::ingest {
namespace {

constexpr std::size_t kMaxSource = 64;

struct Pair {
    unsigned first = 0, second = 0;
};

// "a-b", or "a" for a and the next. Nothing: no number, or one over `most`. A second one that makes
// no sense is the next too.
std::optional<Pair> pair_of(std::optional<std::string> text, unsigned most) {
    if (!text) return std::nullopt;
    Pair out;
    const char* const end = text->data() + text->size();
    const auto one = std::from_chars(text->data(), end, out.first);
    if (one.ec != std::errc{} || out.first > most) return std::nullopt;
    out.second = out.first + 1;
    if (one.ptr < end && *one.ptr == '-') {
        unsigned second = 0;
        if (std::from_chars(one.ptr + 1, end, second).ec == std::errc{}) out.second = second;
    }
    if (out.second > most) out.second = out.first;
    return out;
}

bool has_word(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(';'), list.size());
        if (equal_ignoring_case(trimmed(list.substr(0, end)), word)) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

}  // namespace

std::string ask_for_channels(std::uint8_t first_channel) {
    return fmt::format("RTP/AVP/TCP;unicast;interleaved={}-{}", first_channel, first_channel + 1);
}

std::string ask_for_ports(std::uint16_t port) {
    return fmt::format("RTP/AVP;unicast;client_port={}-{}", port, port + 1);
}

TransportAnswer parse_transport(std::string_view header) {
    TransportAnswer out;
    if (const auto pair = pair_of(parameter(header, "interleaved", ';'), UINT8_MAX))
        out.channels = {static_cast<std::uint8_t>(pair->first),
                        static_cast<std::uint8_t>(pair->second)};
    if (const auto pair = pair_of(parameter(header, "server_port", ';'), UINT16_MAX))
        out.server = {static_cast<std::uint16_t>(pair->first),
                      static_cast<std::uint16_t>(pair->second)};
    out.multicast = has_word(header, "multicast");
    for (const char c : parameter(header, "source", ';').value_or("").substr(0, kMaxSource))
        out.source.push_back(c > ' ' && c < 0x7f && c != '"' ? c : '?');
    return out;
}

}  // namespace hd::ingest
