#include "index/journal/clock_log.hpp"

#include <algorithm>

namespace hd::journal {

Stamp read_clocks(Clock& clock) {
    const Micros offset = wall_minus_boot(clock);
    const BootTime at = clock.boot();
    return {.boot = clock.boot_id(),
            .at = at,
            .utc = WallTime{at.us + offset.count()},
            .quality = clock.quality()};
}

std::optional<ClockRecord> clock_change(const std::optional<ClockRecord>& last, const Stamp& now) {
    if (!last || last->when.boot != now.boot) return ClockRecord{.when = now, .stepped_us = 0};
    const Micros moved = offset_of(now) - offset_of(last->when);
    if (std::chrono::abs(moved) >= kClockStep)
        return ClockRecord{.when = now, .stepped_us = moved.count()};
    const bool became_good = last->when.quality != ClockQuality::synchronised &&
                             now.quality == ClockQuality::synchronised;
    if (!became_good) return std::nullopt;
    Stamp when = now;
    when.utc = WallTime{now.at.us + offset_of(last->when).count()};
    return ClockRecord{.when = when, .stepped_us = 0};
}

std::optional<ClockRecord> ClockLog::newest(const BootId& boot) {
    const auto size = fs_->size(path_);
    if (size && *size > read_until_) {
        const auto report =
            read(*fs_, path_, "clock", read_until_, [this](const Record& record, std::uint64_t) {
                const auto decoded = decode_clock_record(record);
                if (decoded) newest_ = *decoded;
            });
        if (report) read_until_ = std::max(read_until_, report->whole_until);
    }
    if (!newest_ || newest_->when.boot != boot) return std::nullopt;
    return newest_;
}

}  // namespace hd::journal
