#include "index/clip/clip_fields.hpp"

#include <fmt/format.h>

#include "index/base/time_range.hpp"

namespace hd::clip::fields {
Error corrupt_at(std::string_view block, std::uint64_t byte, std::string_view rule) {
    return {ErrorCode::corrupt, fmt::format("{}: byte {}: {}", block, byte, rule)};
}

std::string_view cut_text(std::string_view text) {
    if (text.size() <= kMaxTextBytes) return text;
    std::size_t size = kMaxTextBytes;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0u) == 0x80u) --size;
    return text.substr(0, size);
}

void write_id(ByteWriter& out, const std::array<std::uint8_t, 16>& id) { out.raw(ByteView(id)); }

void Reader::check(bool rule_holds, std::string_view rule, std::size_t at) {
    if (rule_holds || !in_.ok()) return;
    broken_rule_ = rule;
    broken_at_ = at;
    in_.fail();
}

BootTime Reader::boot_time() {
    const std::size_t at = in_.at();
    const std::int64_t us = in_.i64();
    const bool in_range = us >= -kLastTimeUs && us <= kLastTimeUs;
    check(in_range, "boot time out of range", at);
    return BootTime{in_range ? us : 0};
}

WallTime Reader::wall_time() {
    const std::size_t at = in_.at();
    const std::int64_t us = in_.i64();
    const bool in_range = us >= 0 && us <= kLastTimeUs;
    check(in_range, "UTC must be in the years 1970 to 9999", at);
    return WallTime{in_range ? us : 0};
}

std::string Reader::text() {
    const std::size_t at = in_.at();
    std::string out = in_.short_string();
    check(out.size() <= kMaxTextBytes, "text longer than 255 bytes", at);
    return out;
}

void Reader::version() {
    const std::size_t at = in_.at();
    const std::uint16_t v = in_.u16();
    check(v == kVersion, fmt::format("version {} is not 1, the only one known here", v), at);
}

std::vector<Extension> Reader::extensions() {
    std::vector<Extension> out;
    while (in_.ok() && in_.left() > 0) {
        Extension e;
        e.type = in_.u16();
        const ByteView value = in_.raw(in_.u16());
        e.value.assign(value.begin(), value.end());
        if (in_.ok()) out.push_back(std::move(e));
    }
    return out;
}

Result<void> Reader::finish() {
    if (!broken_rule_.empty()) return corrupt_at(block_, base_ + broken_at_, broken_rule_);
    if (!in_.ok()) return corrupt_at(block_, base_ + in_.at(), "ends in the middle of a field");
    if (in_.left() > 0)
        return corrupt_at(block_, base_ + in_.at(), fmt::format("{} bytes too many", in_.left()));
    return {};
}

void write_extensions(ByteWriter& out, const std::vector<Extension>& extensions) {
    for (const Extension& e : extensions) {
        HD_CHECK(e.value.size() <= 0xFFFF);
        out.u16(e.type);
        out.u16(static_cast<std::uint16_t>(e.value.size()));
        out.raw(e.value);
    }
}

}  // namespace hd::clip::fields
