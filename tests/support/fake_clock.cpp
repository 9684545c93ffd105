#include "tests/support/fake_clock.hpp"

namespace hd::test {

FakeClock::FakeClock(WallTime wall, BootTime boot) : wall_(wall), boot_(boot) {}

WallTime FakeClock::wall() {
    const std::lock_guard lock(mutex_);
    return wall_;
}
BootTime FakeClock::boot() {
    const std::lock_guard lock(mutex_);
    return boot_;
}
ClockQuality FakeClock::quality() {
    const std::lock_guard lock(mutex_);
    return quality_;
}
BootId FakeClock::boot_id() {
    const std::lock_guard lock(mutex_);
    return boot_id_;
}
void FakeClock::sleep_until(BootTime until) {
    const std::lock_guard lock(mutex_);
    if (until > boot_) {
        wall_ = wall_ + (until - boot_);
        boot_ = until;
    }
}
void FakeClock::advance(Micros d) {
    const std::lock_guard lock(mutex_);
    wall_ = wall_ + d;
    boot_ = boot_ + d;
}
void FakeClock::step_wall(Micros d) {
    const std::lock_guard lock(mutex_);
    wall_ = wall_ + d;
}
void FakeClock::set_quality(ClockQuality q) {
    const std::lock_guard lock(mutex_);
    quality_ = q;
}
void FakeClock::reboot(BootTime boot_now) {
    const std::lock_guard lock(mutex_);
    boot_ = boot_now;
    boot_id_ = random_id<BootId>();
}

}  // namespace hd::test
