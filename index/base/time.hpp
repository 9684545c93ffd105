// Points and spans of time. Two clocks that never mix: UTC wall time and the machine's BOOTTIME.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "index/base/result.hpp"

namespace hd {

using Micros = std::chrono::microseconds;

// UTC, microseconds since 1970-01-01T00:00:00Z, no leap seconds (POSIX time).
struct WallTime {
    std::int64_t us = 0;
    auto operator<=>(const WallTime&) const = default;
    WallTime operator+(Micros d) const { return {us + d.count()}; }
    WallTime operator-(Micros d) const { return {us - d.count()}; }
    Micros operator-(WallTime o) const { return Micros(us - o.us); }
};

// CLOCK_BOOTTIME, microseconds since the machine started; goes on while it sleeps, never steps.
struct BootTime {
    std::int64_t us = 0;
    auto operator<=>(const BootTime&) const = default;
    BootTime operator+(Micros d) const { return {us + d.count()}; }
    BootTime operator-(Micros d) const { return {us - d.count()}; }
    Micros operator-(BootTime o) const { return Micros(us - o.us); }
};

// Half-open [begin, end).
struct TimeSpan {
    WallTime begin;
    WallTime end;
    bool operator==(const TimeSpan&) const = default;
    bool empty() const { return end <= begin; }
    Micros length() const { return end - begin; }
    bool overlaps(TimeSpan o) const { return begin < o.end && o.begin < end; }
    bool contains(TimeSpan o) const { return begin <= o.begin && o.end <= end; }
};

// How far a UTC time can be trusted. On disk: do not renumber (docs/formats/clip.md).
enum class ClockQuality : std::uint8_t {
    unsynchronised = 0,  // the kernel says that no time source has set the clock in this boot
    synchronised = 1,    // adjtimex() without STA_UNSYNC
    assumed = 2,         // given by a person (recorder --start), or by a clock that cannot be asked
};
std::string_view to_string(ClockQuality q);

// RFC 3339 in UTC with exactly six fraction digits: 2026-11-22T14:00:00.000000Z.
std::string to_rfc3339(WallTime t);
// Accepts 0 to 6 fraction digits and only the suffix Z; the years 1970 to 9999. The error names the
// rule.
Result<WallTime> parse_rfc3339(std::string_view text);

// Names of clip folders and files: 2026-11-22 and 140000.000000Z.
std::string to_date(WallTime t);
std::string to_time_of_day(WallTime t);

}  // namespace hd
