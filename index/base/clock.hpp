// The only door to the machine's clocks. Everything that needs the time takes a Clock&.
#pragma once

#include "index/base/ids.hpp"
#include "index/base/time.hpp"

namespace hd {

class Clock {
  public:
    virtual ~Clock() = default;
    virtual WallTime wall() = 0;
    virtual BootTime boot() = 0;
    virtual ClockQuality quality() = 0;
    virtual BootId boot_id() = 0;
    // Blocks the calling thread until boot() >= until.
    virtual void sleep_until(BootTime until) = 0;
};

// The machine's own. Thread-safe. boot() is CLOCK_BOOTTIME, quality() asks adjtimex().
Clock& system_clock();

// UTC minus BOOTTIME, sampled so that a step between the two readings cannot slip in.
Micros wall_minus_boot(Clock& clock);

}  // namespace hd
