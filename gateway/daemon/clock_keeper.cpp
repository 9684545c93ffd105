#include "gateway/daemon/clock_keeper.hpp"

#include <cstdlib>

namespace hd::daemon {

namespace {
std::int64_t offset_of(const journal::Stamp& s) { return s.utc.us - s.at.us; }
}  // namespace

journal::Stamp stamp_now(Clock& clock) {
    const Micros offset = wall_minus_boot(clock);
    const BootTime at = clock.boot();
    return {.boot = clock.boot_id(),
            .at = at,
            .utc = WallTime{at.us + offset.count()},
            .quality = clock.quality()};
}

std::optional<journal::ClockRecord> clock_change(const std::optional<journal::ClockRecord>& last,
                                                 const journal::Stamp& now) {
    if (!last || last->when.boot != now.boot) {
        return journal::ClockRecord{.when = now, .stepped_us = 0};
    }
    const std::int64_t moved = offset_of(now) - offset_of(last->when);
    if (std::abs(moved) >= kClockStepThreshold.count()) {
        return journal::ClockRecord{.when = now, .stepped_us = moved};
    }
    if (last->when.quality != ClockQuality::synchronised &&
        now.quality == ClockQuality::synchronised) {
        return journal::ClockRecord{.when = now, .stepped_us = moved};
    }
    return std::nullopt;
}

Result<ClockKeeper> ClockKeeper::open(FileSystem& fs, Clock& clock, const std::string& path) {
    HD_TRY(fs.make_folders(parent_folder(path), 0700));
    if (fs.exists(path)) HD_TRY(journal::repair_tail(fs, path, "clock"));
    HD_ASSIGN(auto writer, journal::Writer::open(fs, path, "clock"));
    ClockKeeper keeper(clock, std::move(writer));
    HD_TRY(journal::read(fs, path, "clock", 0,
                         [&keeper](const journal::Record& record, std::uint64_t) {
                             auto decoded = journal::decode_clock_record(record);
                             if (decoded) keeper.last_ = *decoded;
                         }));
    HD_TRY(keeper.look());
    return keeper;
}

Result<std::optional<journal::ClockRecord>> ClockKeeper::look() {
    const auto change = clock_change(last_, stamp_now(*clock_));
    if (change) {
        HD_TRY(writer_.append(journal::encode(*change)));
        HD_TRY(writer_.sync());
        last_ = change;
    }
    return change;
}

}  // namespace hd::daemon
