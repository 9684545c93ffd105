// Writes <data>/journal/clock.log: which UTC belongs to which BOOTTIME, at start and after each
// step. Looks once a second; not thread-safe, the `super` thread owns it.
#pragma once

#include <optional>
#include <string>

#include "index/journal/clock_log.hpp"

namespace hd::daemon {

class ClockKeeper {
  public:
    // Repairs the file's tail, reads its newest record, writes the first one of this boot.
    static Result<ClockKeeper> open(FileSystem& fs, Clock& clock, const std::string& path);
    // The record that was written, if the clock was stepped or became synchronised. Durable.
    Result<std::optional<journal::ClockRecord>> look();

    // The present, by the offset in the log: what the daemon writes into journals meets what
    // recorders write into clips.
    journal::Stamp now() const;

  private:
    ClockKeeper(Clock& clock, journal::Writer writer)
        : clock_(&clock), writer_(std::move(writer)) {}
    Clock* clock_;  // Must outlive this.
    journal::Writer writer_;
    std::optional<journal::ClockRecord> last_;
};

}  // namespace hd::daemon
