// Writes <data>/journal/clock.log: which UTC belongs to which BOOTTIME, at start and after each
// step. Looks once a second; not thread-safe, the `super` thread owns it.
#pragma once

#include <optional>
#include <string>

#include "index/base/clock.hpp"
#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::daemon {

// Slewing by NTP moves at most 0.5 ms a second; a tenth of a second within one look is a step.
constexpr Micros kClockStepThreshold = std::chrono::milliseconds(100);

// What to write down, if anything. `last` is the newest record of clock.log. Pure.
std::optional<journal::ClockRecord> clock_change(const std::optional<journal::ClockRecord>& last,
                                                 const journal::Stamp& now);

journal::Stamp stamp_now(Clock& clock);

class ClockKeeper {
  public:
    // Repairs the file's tail, reads its newest record, writes the first one of this boot.
    static Result<ClockKeeper> open(FileSystem& fs, Clock& clock, const std::string& path);
    // The record that was written, if the clock was stepped or became synchronised. Durable.
    Result<std::optional<journal::ClockRecord>> look();

  private:
    ClockKeeper(Clock& clock, journal::Writer writer)
        : clock_(&clock), writer_(std::move(writer)) {}
    Clock* clock_;  // Must outlive this.
    journal::Writer writer_;
    std::optional<journal::ClockRecord> last_;
};

}  // namespace hd::daemon
