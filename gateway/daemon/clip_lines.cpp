#include "gateway/daemon/clip_lines.hpp"

#include <chrono>

#include <fmt/format.h>

namespace hd::daemon {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

// Decimal digits with zeros in front.
void put_digits(char* out, std::int64_t value, int digits) {
    for (int i = digits - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// Whether the store's rows can be written by digits: a row's times are within 1970..9999.
bool is_plain(WallTime t) { return t.us >= 0 && t.us < 253'402'300'800'000'000; }

}  // namespace

void ClipLines::append_number(std::uint64_t v) {
    const fmt::format_int text(v);
    out_.append(text.data(), text.size());
}

// Neighbours are nearly always of one day.
void ClipLines::append_date(std::int64_t days) {
    if (days != days_) {
        namespace ch = std::chrono;
        const ch::year_month_day date{ch::sys_days{ch::days{days}}};
        char text[10] = {0, 0, 0, 0, '-', 0, 0, '-', 0, 0};
        put_digits(text, int{date.year()}, 4);
        put_digits(text + 5, unsigned{date.month()}, 2);
        put_digits(text + 8, unsigned{date.day()}, 2);
        date_.assign(text, sizeof text);
        days_ = days;
    }
    out_.append(date_);
}

void ClipLines::append_time(WallTime t) {
    if (!is_plain(t)) return append(to_rfc3339(t));
    append_date(t.us / kDayUs);
    const std::int64_t us = t.us % kDayUs;
    char text[] = "T00:00:00.000000Z";
    put_digits(text + 1, us / 3'600'000'000, 2);
    put_digits(text + 4, us / 60'000'000 % 60, 2);
    put_digits(text + 7, us / 1'000'000 % 60, 2);
    put_digits(text + 10, us % 1'000'000, 6);
    out_.append(text, sizeof text - 1);
}

void ClipLines::add(const store::ClipRow& row, std::string_view state) {
    if (camera_hex_.empty() || row.camera != camera_) {
        camera_ = row.camera;
        camera_hex_ = to_string(row.camera);
    }
    append(out_.size() > 1 ? R"(,{"camera":")" : R"({"camera":")");
    append(camera_hex_);
    append(R"(","clip":")");
    if (is_plain(row.name_time)) {
        append(camera_hex_);
        append("/");
        append_date(row.name_time.us / kDayUs);
        const std::int64_t us = row.name_time.us % kDayUs;
        char text[] = "/000000.000000Z-00000000.clip";
        put_digits(text + 1, us / 3'600'000'000, 2);
        put_digits(text + 3, us / 60'000'000 % 60, 2);
        put_digits(text + 5, us / 1'000'000 % 60, 2);
        put_digits(text + 8, us % 1'000'000, 6);
        for (unsigned i = 0; i < 8; ++i)
            text[16 + i] = "0123456789abcdef"[row.run.value >> (28 - 4 * i) & 15];
        out_.append(text, sizeof text - 1);
    } else {
        append(store::clip_path(row));
    }
    append(R"(","begin":")");
    append_time(row.begin);
    append(R"(","end":")");
    append_time(row.end);
    append(R"(","bytes":)");
    append_number(row.size_bytes);
    append(R"(,"frames":)");
    append_number(row.frames);
    append(R"(,"state":")");
    append(state);
    append(R"("})");
}

std::string ClipLines::take() && {
    out_.push_back(']');
    return std::move(out_);
}

}  // namespace hd::daemon
