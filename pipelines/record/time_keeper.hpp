// The mapping from BOOTTIME to UTC that this recorder writes by. It is the one of clock.log, which
// the daemon keeps, so that all programs of a hub agree to the microsecond; it changes only when
// the clock was stepped, or is known to be good at last. Not thread-safe: one thread.
#pragma once

#include <optional>
#include <string>

#include "index/journal/clock_log.hpp"
#include "pipelines/record/clip_session.hpp"

namespace hd::record {

class TimeKeeper {
  public:
    // `fs` and `clock` must outlive this. Looks once.
    TimeKeeper(FileSystem& fs, Clock& clock, std::string clock_log);

    // Call about once a second. True: now() is another mapping than before, so cut.
    bool look();

    const TimeBase& now() const { return time_; }
    journal::Stamp stamp_now() const { return time_.stamp(clock_->boot()); }

  private:
    bool take(const TimeBase& fresh);

    Clock* clock_;
    journal::ClockLog log_;
    TimeBase time_;
    std::optional<BootTime> stepped_at_;  // seen here, not yet in clock.log
};

}  // namespace hd::record
