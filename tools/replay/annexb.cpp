#include "tools/replay/annexb.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace hd::replay {
namespace {

constexpr std::size_t kHexDigits = 16;

bool is_key(VideoCodec codec, unsigned type) {
    return codec == VideoCodec::h264 ? type == 5 : type >= 16 && type <= 21;
}

bool is_vcl(VideoCodec codec, unsigned type) {
    return codec == VideoCodec::h264 ? type >= 1 && type <= 5 : type < 32;
}

std::optional<std::uint64_t> parse_hex(ByteView digits) {
    const std::string_view text = as_text(digits);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool is_parameter_set(VideoCodec codec, unsigned type) {
    return codec == VideoCodec::h264 ? type == 7 || type == 8 : type >= 32 && type <= 34;
}

unsigned type_of(VideoCodec codec, unsigned head) {
    return codec == VideoCodec::h264 ? head & 31u : head >> 1 & 63u;
}

// Where each NAL unit's start code begins (with its leading zero, if it has one), and the end.
std::vector<std::size_t> borders(ByteView au) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i + 3 < au.size(); ++i) {
        if (au[i] != 0 || au[i + 1] != 0 || au[i + 2] != 1) continue;
        out.push_back(i > 0 && au[i - 1] == 0 ? i - 1 : i);
        i += 2;
    }
    out.push_back(au.size());
    return out;
}

// A NAL unit without its start code.
ByteView payload(ByteView unit) { return unit.subspan(unit[2] == 1 ? 3 : 4); }

}  // namespace

Bytes without_repeats(VideoCodec codec, ByteView au) {
    Bytes out;
    std::vector<ByteView> seen;
    const auto at = borders(au);
    for (std::size_t i = 0; i + 1 < at.size(); ++i) {
        const ByteView unit = au.subspan(at[i], at[i + 1] - at[i]);
        const ByteView nal = payload(unit);
        if (!nal.empty() && is_parameter_set(codec, type_of(codec, nal[0]))) {
            const bool again =
                std::any_of(seen.begin(), seen.end(), [&](ByteView s) { return equal(s, nal); });
            if (again) continue;
            seen.push_back(nal);
        }
        out.insert(out.end(), unit.begin(), unit.end());
    }
    return out;
}

AccessUnitFacts inspect(VideoCodec codec, ByteView au) {
    AccessUnitFacts facts;
    facts.first_vcl = au.size();
    for (std::size_t i = 0; i + 3 < au.size(); ++i) {
        if (au[i] != 0 || au[i + 1] != 0 || au[i + 2] != 1) continue;
        const unsigned head = au[i + 3];
        const unsigned type = type_of(codec, head);
        if (type == (codec == VideoCodec::h264 ? 7u : 33u)) facts.has_parameter_sets = true;
        if (is_vcl(codec, type)) {
            facts.first_vcl = i > 0 && au[i - 1] == 0 ? i - 1 : i;
            facts.key = is_key(codec, type);
            break;
        }
        i += 3;
    }
    return facts;
}

Bytes counter_nal(VideoCodec codec, FrameCounter counter) {
    ByteWriter out;
    out.raw(std::string_view("\0\0\0\1", 4));
    out.u8(codec == VideoCodec::h264 ? 6 : 39 << 1);  // SEI; H.265: prefix SEI
    if (codec == VideoCodec::h265) out.u8(1);         // nuh_temporal_id_plus1
    out.u8(5);                                        // user_data_unregistered
    out.u8(static_cast<std::uint8_t>(kCounterUuid.size() + 2 * kHexDigits));
    out.raw(kCounterUuid);
    out.raw(fmt::format("{:016x}{:016x}", counter.number, counter.sent_unix_ns));
    out.u8(0x80);  // rbsp_stop_one_bit
    return std::move(out).take();
}

std::optional<FrameCounter> find_counter(ByteView au) {
    const auto at = std::search(au.begin(), au.end(), kCounterUuid.begin(), kCounterUuid.end());
    const auto digits = static_cast<std::size_t>(at - au.begin()) + kCounterUuid.size();
    if (at == au.end() || digits + 2 * kHexDigits > au.size()) return std::nullopt;
    const auto number = parse_hex(au.subspan(digits, kHexDigits));
    const auto sent = parse_hex(au.subspan(digits + kHexDigits, kHexDigits));
    if (!number || !sent) return std::nullopt;
    return FrameCounter{*number, *sent};
}

}  // namespace hd::replay
