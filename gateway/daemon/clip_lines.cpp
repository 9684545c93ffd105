#include "gateway/daemon/clip_lines.hpp"

#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "index/base/time_range.hpp"

namespace hd::daemon {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

// Decimal digits with zeros in front; an even number of them.
void put_digits(char* out, std::uint64_t value, int digits) {
    static constexpr std::string_view kPairs =
        "000102030405060708091011121314151617181920212223242526272829303132333435363738394041424344"
        "4546"
        "474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
        "9293"
        "949596979899";
    for (int i = digits - 2; i >= 0; i -= 2, value /= 100)
        std::memcpy(out + i, kPairs.data() + 2 * (value % 100), 2);
}

// Whether the store's rows can be written by digits: a row's times are within 1970..9999.
bool is_plain(WallTime t) { return t.us >= 0 && t.us < kEndTimeUs; }

constexpr std::string_view kTime = "0000-00-00T00:00:00.000000Z";
constexpr std::string_view kPath = "/0000-00-00/000000.000000Z-00000000.clip";

}  // namespace

void ClipLines::append_number(std::uint64_t v) {
    const fmt::format_int text(v);
    out_.append(text.data(), text.size());
}

// Neighbours are nearly always of one day.
void ClipLines::put_date(char* out, std::int64_t days) {
    if (days != days_) {
        namespace ch = std::chrono;
        const ch::year_month_day date{ch::sys_days{ch::days{days}}};
        put_digits(date_, static_cast<unsigned>(int{date.year()}), 4);
        put_digits(date_ + 5, unsigned{date.month()}, 2);
        put_digits(date_ + 8, unsigned{date.day()}, 2);
        days_ = days;
    }
    std::memcpy(out, date_, sizeof date_);
}

// Over kTime.
void ClipLines::put_time(char* out, WallTime t) {
    put_date(out, t.us / kDayUs);
    const auto us = static_cast<std::uint64_t>(t.us % kDayUs);
    put_digits(out + 11, us / 3'600'000'000, 2);
    put_digits(out + 14, us / 60'000'000 % 60, 2);
    put_digits(out + 17, us / 1'000'000 % 60, 2);
    put_digits(out + 20, us % 1'000'000, 6);
}

// Over kPath.
void ClipLines::put_path(char* out, WallTime t, RunId run) {
    put_date(out + 1, t.us / kDayUs);
    const auto us = static_cast<std::uint64_t>(t.us % kDayUs);
    put_digits(out + 12, us / 3'600'000'000, 2);
    put_digits(out + 14, us / 60'000'000 % 60, 2);
    put_digits(out + 16, us / 1'000'000 % 60, 2);
    put_digits(out + 19, us % 1'000'000, 6);
    for (unsigned i = 0; i < 8; ++i)
        out[27 + i] = "0123456789abcdef"[run.value >> (28 - 4 * i) & 15];
}

// What all lines of a camera have in common stands in `start_`; a row puts its digits over it.
void ClipLines::start_lines_of(const CameraId& camera) {
    camera_ = camera;
    const std::string hex = to_string(camera);
    start_ = R"(,{"camera":")" + hex + R"(","clip":")" + hex;
    path_at_ = start_.size();
    start_.append(kPath).append(R"(","begin":")");
    begin_at_ = start_.size();
    start_.append(kTime).append(R"(","end":")");
    end_at_ = start_.size();
    start_.append(kTime);
}

void ClipLines::add(const store::ClipRow& row, std::string_view state) {
    if (start_.empty() || row.camera != camera_) start_lines_of(row.camera);
    if (is_plain(row.name_time) && is_plain(row.begin) && is_plain(row.end)) {
        put_path(start_.data() + path_at_, row.name_time, row.run);
        put_time(start_.data() + begin_at_, row.begin);
        put_time(start_.data() + end_at_, row.end);
        append(start_);
    } else {
        append(R"(,{"camera":")");
        append(to_string(row.camera));
        append(R"(","clip":")");
        append(store::clip_path(row));
        append(R"(","begin":")");
        append(to_rfc3339(row.begin));
        append(R"(","end":")");
        append(to_rfc3339(row.end));
    }
    append(R"(","bytes":)");
    append_number(row.size_bytes);
    append(R"(,"frames":)");
    append_number(row.frames);
    append(R"(,"state":")");
    append(state);
    append(R"("})");
}

std::string ClipLines::take() && {
    if (out_.empty()) return "[]";
    out_.front() = '[';  // where the first line's comma stands
    out_.push_back(']');
    return std::move(out_);
}

}  // namespace hd::daemon
