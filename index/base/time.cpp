#include "index/base/time.hpp"

#include <fmt/format.h>

#include "index/base/time_range.hpp"

namespace hd {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

struct Parts {
    int year, month, day, hour, minute, second, micro;
};

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

Parts split(WallTime t) {
    namespace ch = std::chrono;
    const std::int64_t days = floor_div(t.us, kDayUs);
    const ch::year_month_day ymd{ch::sys_days{ch::days{days}}};
    const std::int64_t rest = t.us - days * kDayUs;
    return {int{ymd.year()},
            static_cast<int>(unsigned{ymd.month()}),
            static_cast<int>(unsigned{ymd.day()}),
            static_cast<int>(rest / 3'600'000'000),
            static_cast<int>(rest / 60'000'000 % 60),
            static_cast<int>(rest / 1'000'000 % 60),
            static_cast<int>(rest % 1'000'000)};
}

// Reads exactly `digits` decimal digits at `at`, or -1.
int number(std::string_view text, std::size_t at, std::size_t digits) {
    if (at + digits > text.size()) return -1;
    int out = 0;
    for (std::size_t i = at; i < at + digits; ++i) {
        if (text[i] < '0' || text[i] > '9') return -1;
        out = out * 10 + (text[i] - '0');
    }
    return out;
}

Error bad_time(std::string_view text, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("\"{}\" is not a time: {} (like 2026-11-22T14:00:00Z)",
                                            text.substr(0, 64), rule)};
}

// The fraction and the Z that end an RFC 3339 time: microseconds, or -1.
int parse_fraction(std::string_view rest) {
    if (rest == "Z") return 0;
    if (rest.size() < 3 || rest.size() > 8 || rest.front() != '.' || rest.back() != 'Z') return -1;
    const std::size_t digits = rest.size() - 2;
    int micro = number(rest, 1, digits);
    if (micro < 0) return -1;
    for (std::size_t i = digits; i < 6; ++i) micro *= 10;
    return micro;
}

}  // namespace

std::string_view to_string(ClockQuality q) {
    switch (q) {
        case ClockQuality::unsynchronised:
            return "unsynchronised";
        case ClockQuality::synchronised:
            return "synchronised";
        case ClockQuality::assumed:
            return "assumed";
    }
    return "unknown";
}

std::string to_rfc3339(WallTime t) {
    const Parts p = split(t);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", p.year, p.month, p.day, p.hour,
                       p.minute, p.second, p.micro);
}

std::string to_date(WallTime t) {
    const Parts p = split(t);
    return fmt::format("{:04}-{:02}-{:02}", p.year, p.month, p.day);
}

std::string to_time_of_day(WallTime t) {
    const Parts p = split(t);
    return fmt::format("{:02}{:02}{:02}.{:06}Z", p.hour, p.minute, p.second, p.micro);
}

Result<WallTime> parse_rfc3339(std::string_view text) {
    namespace ch = std::chrono;
    if (text.size() < 20 || text.size() > 27) return bad_time(text, "must be 20 to 27 characters");
    const int year = number(text, 0, 4), month = number(text, 5, 2), day = number(text, 8, 2);
    const int hour = number(text, 11, 2), minute = number(text, 14, 2),
              second = number(text, 17, 2);
    if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0)
        return bad_time(text, "digits expected");
    if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
        return bad_time(text, "separators must be - - T : :");
    const int micro = parse_fraction(text.substr(19));
    if (micro < 0) return bad_time(text, "must end in Z after at most six fraction digits");
    const ch::year_month_day ymd{ch::year{year}, ch::month{static_cast<unsigned>(month)},
                                 ch::day{static_cast<unsigned>(day)}};
    if (!ymd.ok()) return bad_time(text, "no such day");
    if (hour > 23 || minute > 59 || second > 59) return bad_time(text, "no such time of day");
    if (year < 1970) return bad_time(text, "must not be before 1970");
    const std::int64_t days = ch::sys_days{ymd}.time_since_epoch().count();
    const std::int64_t us =
        days * kDayUs + (hour * 3600LL + minute * 60LL + second) * 1'000'000LL + micro;
    if (us > kLastTimeUs) return bad_time(text, "must be before the year 10000");
    return WallTime{us};
}

}  // namespace hd
