#include "pipelines/ingest/rtsp_message.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace hd::ingest {
namespace {

constexpr std::size_t kMaxHeaders = 256;
constexpr std::string_view kVersion = "RTSP/1.";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_token(std::uint8_t c) { return (c >= 'A' && c <= 'Z') || c == '_'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Bytes of the head with its empty line; 0: not all there. Lone line feeds are taken too.
std::size_t head_size(std::string_view text) {
    for (std::size_t at = text.find('\n'); at != std::string_view::npos;
         at = text.find('\n', at + 1)) {
        if (at + 1 < text.size() && text[at + 1] == '\n') return at + 2;
        if (at + 2 < text.size() && text[at + 1] == '\r' && text[at + 2] == '\n') return at + 3;
    }
    return 0;
}

// "RTSP/1.0 200 OK" or "OPTIONS uri RTSP/1.0".
bool parse_first_line(std::string_view line, RtspMessage& out) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return false;
    const std::string_view first = line.substr(0, space), rest = trimmed(line.substr(space));
    if (first.substr(0, kVersion.size()) == kVersion) {
        const auto [end, error] =
            std::from_chars(rest.data(), rest.data() + rest.size(), out.status);
        if (error != std::errc{} || out.status < 100 || out.status > 999) return false;
        out.reason = trimmed(rest.substr(static_cast<std::size_t>(end - rest.data())));
        return true;
    }
    const std::size_t last = rest.rfind(' ');
    if (last == std::string_view::npos || rest.substr(last + 1, kVersion.size()) != kVersion)
        return false;
    out.method = first;
    out.uri = trimmed(rest.substr(0, last));
    return true;
}

bool parse_head(std::string_view head, RtspMessage& out) {
    bool first = true;
    while (!head.empty()) {
        const std::size_t end = std::min(head.find('\n'), head.size());
        const std::string_view line = trimmed(head.substr(0, end));
        const bool folded = !first && (head[0] == ' ' || head[0] == '\t');
        head.remove_prefix(std::min(end + 1, head.size()));
        if (first) {
            if (!parse_first_line(line, out)) return false;
            first = false;
            continue;
        }
        if (line.empty()) continue;
        if (folded && !out.headers.empty()) {
            out.headers.back().value.append(" ").append(line);
            continue;
        }
        const std::size_t colon = line.find(':');
        // A line that is no header is left out: cameras print all kinds of things.
        if (colon == std::string_view::npos || out.headers.size() >= kMaxHeaders) continue;
        out.headers.push_back({std::string(trimmed(line.substr(0, colon))),
                               std::string(trimmed(line.substr(colon + 1)))});
    }
    return !first;
}

std::size_t body_size(const RtspMessage& m) {
    const auto text = m.header("Content-Length");
    std::size_t size = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), size);
    return size;
}

// The first word of a message, or its beginning: a version, or a method.
bool may_begin_message(std::string_view word) {
    const std::size_t n = std::min(word.size(), kVersion.size());
    return word.substr(0, n) == kVersion.substr(0, n) ||
           std::all_of(word.begin(), word.end(),
                       [](char c) { return is_token(static_cast<std::uint8_t>(c)); });
}

// Where after the first byte something may begin.
RtspItem skip_garbage(ByteView buffer) {
    std::size_t at = 1;
    for (; at < buffer.size(); ++at) {
        if (buffer[at] == '$') break;
        const std::string_view rest = as_text(buffer.subspan(at));
        if (buffer[at] == 'R' && kVersion.substr(0, std::min(rest.size(), kVersion.size())) ==
                                     rest.substr(0, std::min(rest.size(), kVersion.size())))
            break;
    }
    RtspItem out;
    out.kind = RtspItem::Kind::garbage;
    out.size = at;
    return out;
}

// RTP or RTCP, as far as four bytes tell; so that a dollar sign in garbage does not swallow 64 KiB.
bool plausible_packet(ByteView buffer) {
    const std::size_t size = std::size_t{buffer[2]} << 8 | buffer[3];
    return size == 0 || buffer.size() < 5 || buffer[4] >> 6 == 2;
}

RtspItem next_packet(ByteView buffer) {
    RtspItem out;
    if (buffer.size() < 5) return out;
    if (!plausible_packet(buffer)) return skip_garbage(buffer);
    const std::size_t size = std::size_t{buffer[2]} << 8 | buffer[3];
    if (buffer.size() < 4 + size) return out;
    out.kind = RtspItem::Kind::packet;
    out.size = 4 + size;
    out.channel = buffer[1];
    out.payload = buffer.subspan(4, size);
    return out;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::optional<std::string_view> RtspMessage::header(std::string_view name) const {
    for (const RtspHeader& h : headers)
        if (equal_ignoring_case(h.name, name)) return h.value;
    return std::nullopt;
}

RtspItem next_item(ByteView buffer) {
    RtspItem out;
    if (buffer.empty()) return out;
    if (buffer[0] == '$') return next_packet(buffer);
    // Empty lines between messages are allowed.
    if (buffer[0] == '\r' || buffer[0] == '\n') {
        out.kind = RtspItem::Kind::garbage;
        while (out.size < buffer.size() && (buffer[out.size] == '\r' || buffer[out.size] == '\n'))
            ++out.size;
        return out;
    }
    if (!is_token(buffer[0])) return skip_garbage(buffer);
    const std::string_view text = as_text(buffer.first(std::min(buffer.size(), kRtspMaxHead)));
    // A method or a version is short and made of few letters; anything else is not waited for.
    const std::size_t word = std::min(text.find(' '), text.size());
    if (word > 32 || !may_begin_message(text.substr(0, word))) return skip_garbage(buffer);
    const std::size_t head = head_size(text);
    if (head == 0) return text.size() < kRtspMaxHead ? out : skip_garbage(buffer);
    if (!parse_head(text.substr(0, head), out.message)) return skip_garbage(buffer);
    const std::size_t body = body_size(out.message);
    if (body > kRtspMaxBody) return skip_garbage(buffer);
    if (buffer.size() < head + body) return RtspItem{};
    out.kind = RtspItem::Kind::message;
    out.size = head + body;
    out.message.body = as_text(buffer.subspan(head, body));
    return out;
}

std::string format_request(std::string_view method, std::string_view uri,
                           const std::vector<RtspHeader>& headers) {
    const auto clean = [](std::string_view text) {
        std::string out;
        for (const char c : text)
            if (static_cast<unsigned char>(c) >= ' ' && c != 0x7f) out.push_back(c);
        return out;
    };
    std::string out = fmt::format("{} {} RTSP/1.0\r\n", method, clean(uri));
    for (const RtspHeader& h : headers) out += fmt::format("{}: {}\r\n", h.name, clean(h.value));
    return out + "\r\n";
}

std::string format_packet(std::uint8_t channel, ByteView payload) {
    std::string out{'$', static_cast<char>(channel), static_cast<char>(payload.size() >> 8),
                    static_cast<char>(payload.size())};
    return out += as_text(payload);
}

std::optional<std::string> parameter(std::string_view list, std::string_view key, char separator) {
    while (!list.empty()) {
        std::size_t end = 0;
        bool quoted = false;
        while (end < list.size() && (quoted || list[end] != separator)) {
            if (list[end] == '"') quoted = !quoted;
            ++end;
        }
        const std::string_view one = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        const std::size_t equals = one.find('=');
        if (equals == std::string_view::npos ||
            !equal_ignoring_case(trimmed(one.substr(0, equals)), key))
            continue;
        std::string_view value = trimmed(one.substr(equals + 1));
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
            value = value.substr(1, value.size() - 2);
        return std::string(value);
    }
    return std::nullopt;
}

}  // namespace hd::ingest
