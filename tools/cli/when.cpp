#include "tools/cli/when.hpp"

#include <cctype>
#include <ctime>

#include <fmt/format.h>

namespace hd::cli {

const char* const kWhenHelp =
    "Times: 2026-11-22T14:00:00Z (UTC), 2026-11-22 14:00 or 14:00 (local), yesterday 14:00, "
    "-1h30m, "
    "now.";

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;

Error bad(std::string_view text, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("\"{}\" is not a time: {}.\n  next: {}",
                                            text.substr(0, 64), rule, kWhenHelp)};
}

// Eats exactly `digits` digits from the front, or gives -1.
int eat_number(std::string_view& text, std::size_t digits) {
    if (text.size() < digits) return -1;
    int out = 0;
    for (std::size_t i = 0; i < digits; ++i) {
        if (text[i] < '0' || text[i] > '9') return -1;
        out = out * 10 + (text[i] - '0');
    }
    text.remove_prefix(digits);
    return out;
}

bool eat(std::string_view& text, char c) {
    if (text.empty() || text.front() != c) return false;
    text.remove_prefix(1);
    return true;
}

struct ClockReading {
    int hour = 0, minute = 0, second = 0, micro = 0;
};

// HH:MM[:SS[.ffffff]], leaving the rest.
bool eat_clock(std::string_view& text, ClockReading& out) {
    out.hour = eat_number(text, 2);
    if (out.hour < 0 || out.hour > 24 || !eat(text, ':')) return false;
    out.minute = eat_number(text, 2);
    if (out.minute < 0 || out.minute > 59) return false;
    if (eat(text, ':')) {
        out.second = eat_number(text, 2);
        if (out.second < 0 || out.second > 59) return false;
        if (eat(text, '.')) {
            int scale = 100'000;
            while (!text.empty() && text.front() >= '0' && text.front() <= '9' && scale > 0) {
                out.micro += (text.front() - '0') * scale;
                scale /= 10;
                text.remove_prefix(1);
            }
        }
    }
    return out.hour < 24 || (out.minute == 0 && out.second == 0 && out.micro == 0);
}

std::tm local_day(WallTime t) {
    const std::time_t seconds = t.us / kSecondUs;
    std::tm tm{};
    ::localtime_r(&seconds, &tm);
    return tm;
}

Result<WallTime> from_local(std::string_view text, std::tm day, const ClockReading& clock) {
    day.tm_hour = clock.hour;
    day.tm_min = clock.minute;
    day.tm_sec = clock.second;
    day.tm_isdst = -1;
    const std::time_t seconds = ::mktime(&day);
    if (seconds < 0) return bad(text, "it is before 1970");
    return WallTime{static_cast<std::int64_t>(seconds) * kSecondUs + clock.micro};
}

// Z, +HH:MM or -HH:MM: the offset in microseconds.
bool eat_zone(std::string_view& text, std::int64_t& offset_us) {
    offset_us = 0;
    if (eat(text, 'Z') || eat(text, 'z')) return true;
    const bool minus = !text.empty() && text.front() == '-';
    if (!eat(text, '+') && !eat(text, '-')) return false;
    const int hours = eat_number(text, 2);
    eat(text, ':');
    const int minutes = eat_number(text, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
    offset_us = (minus ? -1 : 1) * (hours * 60 + minutes) * 60 * kSecondUs;
    return true;
}

Result<WallTime> parse_dated(std::string_view text) {
    std::string_view rest = text;
    const int year = eat_number(rest, 4);
    const bool dash = eat(rest, '-');
    const int month = eat_number(rest, 2);
    const bool dash2 = eat(rest, '-');
    const int day = eat_number(rest, 2);
    const std::chrono::year_month_day ymd{std::chrono::year{year},
                                          std::chrono::month{static_cast<unsigned>(month)},
                                          std::chrono::day{static_cast<unsigned>(day)}};
    if (year < 1970 || month < 0 || day < 0 || !dash || !dash2 || !ymd.ok())
        return bad(text, "the date must be like 2026-11-22");
    ClockReading clock;
    if (!rest.empty()) {
        if (!eat(rest, 'T') && !eat(rest, 't') && !eat(rest, ' '))
            return bad(text, "after the date comes T or a space, then the time of day");
        if (!eat_clock(rest, clock)) return bad(text, "the time of day must be like 14:00:05");
    }
    if (rest.empty()) {
        std::tm tm{};
        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        tm.tm_mday = day;
        return from_local(text, tm, clock);
    }
    std::int64_t offset_us = 0;
    if (!eat_zone(rest, offset_us) || !rest.empty())
        return bad(text, "after the time of day comes nothing (local time), Z, or +HH:MM");
    const std::int64_t days = std::chrono::sys_days{ymd}.time_since_epoch().count();
    const std::int64_t seconds =
        days * 86400 + clock.hour * 3600 + clock.minute * 60 + clock.second;
    const WallTime t{seconds * kSecondUs + clock.micro - offset_us};
    if (t.us < 0) return bad(text, "it is before 1970");
    return t;
}

}  // namespace

Result<Micros> parse_length(std::string_view text) {
    std::int64_t total_us = 0;
    std::string_view rest = text;
    const auto wrong = [&] {
        return Error{ErrorCode::invalid,
                     fmt::format("\"{}\" is not a length of time (like 90m, 1h30m, 2d, 45s)",
                                 text.substr(0, 64))};
    };
    if (rest.empty()) return wrong();
    while (!rest.empty()) {
        std::int64_t n = 0;
        std::size_t digits = 0;
        while (digits < rest.size() && digits < 9 &&
               std::isdigit(static_cast<unsigned char>(rest[digits])) != 0)
            n = n * 10 + (rest[digits++] - '0');
        rest.remove_prefix(digits);
        if (digits == 0 || rest.empty()) return wrong();
        std::int64_t unit_s = 0;
        if (eat(rest, 'd'))
            unit_s = 86400;
        else if (eat(rest, 'h'))
            unit_s = 3600;
        else if (eat(rest, 'm'))
            unit_s = 60;
        else if (eat(rest, 's'))
            unit_s = 1;
        else
            return wrong();
        total_us += n * unit_s * kSecondUs;
        if (total_us > std::int64_t{1} << 56) return wrong();  // thousands of years: a typing error
    }
    return Micros(total_us);
}

Result<WallTime> parse_when(std::string_view text, WallTime now) {
    if (text == "now") return now;
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
        const auto length = parse_length(text.substr(1));
        if (!length) return bad(text, "after the sign comes a length like 1h30m");
        const WallTime t = text.front() == '-' ? now - *length : now + *length;
        if (t.us < 0) return bad(text, "it is before 1970");
        return t;
    }
    std::string_view rest = text;
    std::tm day = local_day(now);
    if (rest.starts_with("yesterday") || rest.starts_with("today")) {
        if (rest.front() == 'y') --day.tm_mday;
        rest.remove_prefix(rest.front() == 'y' ? 9 : 5);
        if (rest.empty()) return from_local(text, day, {});
        if (!eat(rest, ' ')) return bad(text, "after the day comes a space and a time of day");
    }
    if (rest.size() >= 3 && rest[2] == ':') {
        ClockReading clock;
        if (!eat_clock(rest, clock) || !rest.empty())
            return bad(text, "the time of day must be like 14:00 or 14:00:05");
        return from_local(text, day, clock);
    }
    return parse_dated(text);
}

std::string local_text(WallTime t) {
    const std::tm tm = local_day(t);
    char buffer[64];
    const std::size_t n = std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S %z", &tm);
    return {buffer, n};
}

}  // namespace hd::cli
