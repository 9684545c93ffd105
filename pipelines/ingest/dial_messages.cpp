#include "pipelines/ingest/dial_messages.hpp"

#include <algorithm>
#include <charconv>

namespace hd::ingest {
namespace {

enum Kind : std::uint8_t {
    kAim = 1,
    kDial = 2,
    kNeverMind = 3,
    kAimed = 4,
    kDialled = 5,
    kReserve = 6,
    kJoin = 7,
    kReserved = 8
};
constexpr std::size_t kMaxHost = 253;
constexpr std::size_t kMaxWords = 200;

void put_u32(Bytes& out, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<std::uint8_t>(value >> shift));
}

void put_u16(Bytes& out, std::uint16_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

std::uint16_t take_u16(ByteView in) { return static_cast<std::uint16_t>(in[0] << 8 | in[1]); }

std::uint32_t take_u32(ByteView in) {
    return std::uint32_t{in[0]} << 24 | std::uint32_t{in[1]} << 16 | std::uint32_t{in[2]} << 8 |
           in[3];
}

void put_text(Bytes& out, std::string_view text, std::size_t most) {
    text = text.substr(0, most);
    out.insert(out.end(), text.begin(), text.end());
}

// They end up in logs and in a journal.
std::string words_of(ByteView in) {
    std::string out;
    for (const std::uint8_t c : in.first(std::min(in.size(), kMaxWords)))
        out.push_back(c >= ' ' && c < 0x7f && c != '"' ? static_cast<char>(c) : '?');
    return out;
}

std::optional<DialRequest> take_aim(ByteView in) {
    if (in.size() < 2 || in[0] > 1 || in[1] == 0 || in[1] > kMaxHost || in.size() < 3u + in[1])
        return std::nullopt;
    const std::string_view text = as_text(in.subspan(2));
    Aim aim{{std::string(text.substr(0, in[1])), std::string(text.substr(in[1])), in[0] == 1}};
    const auto plain = [](char c) { return c > ' ' && c < 0x7f; };
    unsigned port = 0;
    const char* const end = aim.target.port.data() + aim.target.port.size();
    const auto number = std::from_chars(aim.target.port.data(), end, port);
    if (!std::ranges::all_of(aim.target.host, plain) || number.ec != std::errc{} ||
        number.ptr != end || port == 0 || port > 65535 || aim.target.port.size() > 5)
        return std::nullopt;
    return aim;
}

}  // namespace

Bytes encode(const DialRequest& request) {
    Bytes out;
    if (const auto* aim = std::get_if<Aim>(&request)) {
        out.push_back(kAim);
        out.push_back(aim->target.udp ? 1 : 0);
        out.push_back(static_cast<std::uint8_t>(std::min(aim->target.host.size(), kMaxHost)));
        put_text(out, aim->target.host, kMaxHost);
        put_text(out, aim->target.port, 5);
    } else if (const auto* dial = std::get_if<Dial>(&request)) {
        out.push_back(kDial);
        put_u32(out, dial->number);
        put_u32(out, dial->patience_ms);
    } else if (const auto* reserve = std::get_if<Reserve>(&request)) {
        out.push_back(kReserve);
        put_u32(out, reserve->number);
    } else if (const auto* join = std::get_if<Join>(&request)) {
        out.push_back(kJoin);
        put_u32(out, join->number);
        for (const std::uint16_t port : {join->port, join->camera.rtp, join->camera.rtcp})
            put_u16(out, port);
    } else {
        out.push_back(kNeverMind);
    }
    return out;
}

Bytes encode(const DialReply& reply) {
    Bytes out;
    if (const auto* aimed = std::get_if<Aimed>(&reply)) {
        out = {kAimed, static_cast<std::uint8_t>(aimed->walls)};
        put_text(out, aimed->words, kMaxWords);
    } else if (const auto* dialled = std::get_if<Dialled>(&reply)) {
        out.push_back(kDialled);
        put_u32(out, dialled->number);
        out.push_back(dialled->connected ? 1 : 0);
        put_text(out, dialled->words, kMaxWords);
    } else {
        const auto& reserved = std::get<Reserved>(reply);
        out.push_back(kReserved);
        put_u32(out, reserved.number);
        put_u16(out, reserved.port);
        put_text(out, reserved.words, kMaxWords);
    }
    return out;
}

std::optional<DialRequest> decode_dial_request(ByteView packet) {
    if (packet.empty() || packet.size() > kMaxDialMessage) return std::nullopt;
    if (packet[0] == kAim) return take_aim(packet.subspan(1));
    if (packet[0] == kNeverMind && packet.size() == 1) return NeverMind{};
    if (packet[0] == kReserve && packet.size() == 5) return Reserve{take_u32(packet.subspan(1))};
    if (packet[0] == kJoin && packet.size() == 11)
        return Join{take_u32(packet.subspan(1)),
                    take_u16(packet.subspan(5)),
                    {take_u16(packet.subspan(7)), take_u16(packet.subspan(9))}};
    if (packet[0] != kDial || packet.size() != 9) return std::nullopt;
    const Dial dial{take_u32(packet.subspan(1)), take_u32(packet.subspan(5))};
    if (dial.patience_ms > kMaxDialPatienceMs) return std::nullopt;
    return dial;
}

std::optional<DialReply> decode_dial_reply(ByteView packet) {
    if (packet.size() < 2 || packet.size() > kMaxDialMessage) return std::nullopt;
    if (packet[0] == kAimed && packet[1] <= static_cast<std::uint8_t>(WallState::missing))
        return Aimed{static_cast<WallState>(packet[1]), words_of(packet.subspan(2))};
    if (packet[0] == kReserved && packet.size() >= 7)
        return Reserved{take_u32(packet.subspan(1)), take_u16(packet.subspan(5)),
                        words_of(packet.subspan(7))};
    if (packet[0] != kDialled || packet.size() < 6 || packet[5] > 1) return std::nullopt;
    return Dialled{take_u32(packet.subspan(1)), packet[5] == 1, words_of(packet.subspan(6))};
}

}  // namespace hd::ingest
