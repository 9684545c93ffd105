#include "pipelines/ingest/sdp.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "index/base/encoding.hpp"
#include "pipelines/ingest/rtsp_message.hpp"

namespace hd::ingest {
namespace {

constexpr std::size_t kMaxSdp = 64 << 10;
constexpr std::size_t kMaxMedia = 64;
constexpr std::size_t kMaxSets = 32;
constexpr std::size_t kMaxSetBytes = 4096;

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    return out;
}

// Cuts the first word off.
std::string_view take_word(std::string_view& text) {
    text = trimmed(text);
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    const std::string_view word = text.substr(0, end);
    text = trimmed(text.substr(end));
    return word;
}

std::string upper(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return out;
}

// RFC 3551: payload types that need no rtpmap.
void static_payload(SdpMedia& m) {
    if (m.payload_type == 26u) m.encoding = "JPEG", m.clock_rate = 90'000;
    if (m.payload_type == 0u) m.encoding = "PCMU", m.clock_rate = 8'000;
    if (m.payload_type == 8u) m.encoding = "PCMA", m.clock_rate = 8'000;
}

std::string dimensions(std::string_view text) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const auto width = number(text.substr(0, comma));
    const auto height = number(text.substr(std::min(comma + 1, text.size())));
    constexpr std::uint32_t kMost = 65'535;
    if (!width || !height || *width > kMost || *height > kMost) return {};
    return std::to_string(*width) + "," + std::to_string(*height);
}

SdpMedia parse_media(std::string_view value) {
    SdpMedia m;
    m.kind = take_word(value);
    take_word(value);  // port
    take_word(value);  // RTP/AVP
    m.payload_type = number(take_word(value));
    if (m.payload_type && *m.payload_type > 127) m.payload_type.reset();
    static_payload(m);
    return m;
}

void parse_attribute(std::string_view value, Sdp& sdp) {
    const std::size_t colon = std::min(value.find(':'), value.size());
    const std::string_view name = trimmed(value.substr(0, colon));
    std::string_view rest =
        colon < value.size() ? trimmed(value.substr(colon + 1)) : std::string_view{};
    if (sdp.media.empty()) {
        if (name == "control") sdp.control = rest;
        return;
    }
    SdpMedia& m = sdp.media.back();
    if (name == "control") m.control = rest;
    if (name == "framerate" || name == "x-framerate") {
        const double rate = std::strtod(std::string(rest.substr(0, 32)).c_str(), nullptr);
        if (rate > 0 && rate <= 1000) m.frame_rate = rate;
    }
    if (name == "x-dimensions") m.dimensions = dimensions(rest);
    if (name != "rtpmap" && name != "fmtp") return;
    if (number(take_word(rest)) != m.payload_type) return;
    if (name == "fmtp") {
        m.fmtp = rest;
        return;
    }
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    m.encoding = upper(trimmed(rest.substr(0, slash)));
    if (m.encoding == "HEVC") m.encoding = "H265";
    if (slash == rest.size()) return;
    rest.remove_prefix(slash + 1);
    m.clock_rate = number(rest).value_or(0);
    const std::size_t channels = rest.find('/');
    if (channels != std::string_view::npos)
        m.channels = number(rest.substr(channels + 1)).value_or(0);
}

void add_sets(std::string_view list, std::vector<Bytes>& out) {
    while (!list.empty() && out.size() < kMaxSets) {
        const std::size_t end = std::min(list.find(','), list.size());
        std::string one(trimmed(list.substr(0, end)));
        list.remove_prefix(std::min(end + 1, list.size()));
        while (!one.empty() && one.back() == '=') one.pop_back();
        if (one.empty() || one.size() > kMaxSetBytes) continue;
        auto bytes = from_base64(one, Padding::without);
        if (!bytes) continue;
        Bytes& set = *bytes;
        // "...00 00 00 01": the start code of the unit that was meant to follow.
        if (set.size() > 4 && set.back() == 1 && set[set.size() - 2] == 0 &&
            set[set.size() - 3] == 0)
            set.resize(set.size() - 3);
        while (!set.empty() && set.back() == 0) set.pop_back();
        if (!set.empty()) out.push_back(std::move(set));
    }
}

bool is_url(std::string_view text) {
    return equal_ignoring_case(text.substr(0, 7), "rtsp://") ||
           equal_ignoring_case(text.substr(0, 8), "rtsps://");
}

}  // namespace

Result<Sdp> parse_sdp(std::string_view text) {
    if (text.size() > kMaxSdp) return Error{ErrorCode::corrupt, "SDP is over 64 KiB"};
    Sdp sdp;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.size() < 2 || line[1] != '=') continue;
        const std::string_view value = trimmed(line.substr(2));
        if (line[0] == 'm') {
            if (sdp.media.size() == kMaxMedia) break;
            sdp.media.push_back(parse_media(value));
        } else if (line[0] == 'a') {
            parse_attribute(value, sdp);
        }
    }
    if (sdp.media.empty()) return Error{ErrorCode::corrupt, "SDP offers no media"};
    return sdp;
}

std::vector<Bytes> parameter_sets_of(const SdpMedia& media) {
    std::vector<Bytes> out;
    for (const char* key : {"sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"})
        if (const auto value = parameter(media.fmtp, key, ';')) add_sets(*value, out);
    return out;
}

std::string control_url(std::string_view request_url, std::string_view base,
                        std::string_view control) {
    if (is_url(control)) return std::string(control);
    std::string out(is_url(base) ? base : request_url);
    if (control.empty() || control == "*") return out;
    if (out.empty()) return std::string(control);
    if (out.back() != '/' && control.front() != '/') out.push_back('/');
    // "rtsp://camera/stream/" and "/trackID=1"
    if (out.back() == '/' && control.front() == '/') out.pop_back();
    return out.append(control);
}

}  // namespace hd::ingest
