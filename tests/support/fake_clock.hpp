// A clock that moves only when told to. Thread-safe.
#pragma once

#include <mutex>

#include "index/base/clock.hpp"

namespace hd::test {

class FakeClock final : public Clock {
  public:
    explicit FakeClock(WallTime wall = {1'795'183'200'000'000}, BootTime boot = {1'000'000'000});
    WallTime wall() override;
    BootTime boot() override;
    ClockQuality quality() override;
    BootId boot_id() override;
    void sleep_until(BootTime until) override;  // advances instead of sleeping

    void advance(Micros d);    // both clocks
    void step_wall(Micros d);  // UTC alone, as NTP or a person would
    void set_quality(ClockQuality q);
    void reboot(BootTime boot_now);  // a new boot id; UTC stays

  private:
    std::mutex mutex_;
    WallTime wall_;
    BootTime boot_;
    ClockQuality quality_ = ClockQuality::synchronised;
    BootId boot_id_ = random_id<BootId>();
};

}  // namespace hd::test
