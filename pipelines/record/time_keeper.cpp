#include "pipelines/record/time_keeper.hpp"

namespace hd::record {
namespace {

// The daemon looks once a second and writes at once. Without one, our own reading has to do.
constexpr Micros kLogPatience = std::chrono::seconds(5);

bool same_clock(Micros a, Micros b) { return std::chrono::abs(a - b) < journal::kClockStep; }

TimeBase base_of(const journal::Stamp& s) {
    return {.boot = s.boot, .wall_minus_boot = journal::offset_of(s), .quality = s.quality};
}

}  // namespace

TimeKeeper::TimeKeeper(FileSystem& fs, Clock& clock, std::string clock_log)
    : clock_(&clock), log_(fs, std::move(clock_log)) {
    const journal::Stamp now = journal::read_clocks(clock);
    time_ = base_of(now);
    const auto logged = log_.newest(now.boot);
    if (logged && same_clock(journal::offset_of(logged->when), time_.wall_minus_boot))
        time_ = base_of(logged->when);
}

bool TimeKeeper::take(const TimeBase& fresh) {
    const bool other = fresh.boot != time_.boot || fresh.wall_minus_boot != time_.wall_minus_boot ||
                       fresh.quality != time_.quality;
    time_ = fresh;
    stepped_at_.reset();
    return other;
}

bool TimeKeeper::look() {
    const journal::Stamp now = journal::read_clocks(*clock_);
    const Micros offset = journal::offset_of(now);
    const bool stands = same_clock(offset, time_.wall_minus_boot);
    const bool good =
        time_.quality == ClockQuality::synchronised || now.quality != ClockQuality::synchronised;
    if (stands && good) {
        stepped_at_.reset();
        return false;
    }
    const auto logged = log_.newest(now.boot);
    const bool helps = logged && same_clock(journal::offset_of(logged->when), offset) &&
                       (good || logged->when.quality == ClockQuality::synchronised);
    if (helps) return take(base_of(logged->when));
    if (!stepped_at_) stepped_at_ = now.at;
    if (now.at - *stepped_at_ < kLogPatience) return false;
    TimeBase own = base_of(now);
    if (stands) own.wall_minus_boot = time_.wall_minus_boot;
    return take(own);
}

}  // namespace hd::record
