#include "index/base/clock.hpp"

#include <cerrno>
#include <ctime>
#include <fstream>

#include <sys/timex.h>

namespace hd {
namespace {

std::int64_t read_us(clockid_t id) {
    timespec t{};
    clock_gettime(id, &t);
    return std::int64_t{t.tv_sec} * 1'000'000 + t.tv_nsec / 1000;
}

BootId read_boot_id() {
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::string text, hex;
    std::getline(in, text);
    for (const char c : text)
        if (c != '-') hex.push_back(c);
    auto id = parse_id<BootId>(hex, "boot id");
    // Without /proc there is no stable boot id: a random one keeps this process's runs apart.
    return id ? *id : random_id<BootId>();
}

// A guest's time comes from its host (kvm-clock and the like) and the guest's kernel is not told
// how good it is: adjtimex() there says "unsynchronised" for ever unless the guest runs NTP itself.
bool read_is_guest() {
    std::ifstream cpu("/proc/cpuinfo");
    std::string line;
    while (std::getline(cpu, line)) {
        if (line.starts_with("flags")) return line.find(" hypervisor") != std::string::npos;
        if (line.empty()) break;  // The first processor says it for all.
    }
    return std::ifstream("/sys/hypervisor/type").good() ||
           std::ifstream("/proc/device-tree/hypervisor/compatible").good();
}

class SystemClock final : public Clock {
  public:
    WallTime wall() override { return {read_us(CLOCK_REALTIME)}; }
    BootTime boot() override { return {read_us(CLOCK_BOOTTIME)}; }
    ClockQuality quality() override {
        timex query{};
        const int state = adjtimex(&query);
        const bool synced = state >= 0 && state != TIME_ERROR && (query.status & STA_UNSYNC) == 0;
        if (synced) return ClockQuality::synchronised;
        return is_guest_ ? ClockQuality::assumed : ClockQuality::unsynchronised;
    }
    BootId boot_id() override { return boot_id_; }
    void sleep_until(BootTime until) override {
        const timespec t{until.us / 1'000'000, until.us % 1'000'000 * 1000};
        while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &t, nullptr) == EINTR) {
        }
    }

  private:
    const BootId boot_id_ = read_boot_id();
    const bool is_guest_ = read_is_guest();
};

}  // namespace

Clock& system_clock() {
    static SystemClock clock;
    return clock;
}

Micros wall_minus_boot(Clock& clock) {
    // Three tries: the pair with the least time between its two boot readings is the best sample.
    Micros best{}, best_gap = Micros::max();
    for (int i = 0; i < 3; ++i) {
        const BootTime before = clock.boot();
        const WallTime wall = clock.wall();
        const BootTime after = clock.boot();
        if (after - before < best_gap) {
            best_gap = after - before;
            best = Micros(wall.us - (before.us + after.us) / 2);
        }
    }
    return best;
}

}  // namespace hd
