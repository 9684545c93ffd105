// One camera's place in the supervisor: when its recorder is started, told, asked to end, killed.
// Pure: events and instants in, acts out. No clock, no process, no socket.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "index/base/crypto.hpp"
#include "index/base/time.hpp"

namespace hd::daemon {

struct SeatLimits {
    // Orphans of an earlier daemon try to connect every 500 ms: three tries, then we start our own.
    Micros adopt_wait = std::chrono::milliseconds(1500);
    // The first restart is immediate; then 0.5, 1, 2 ... 30 s.
    Micros backoff_first = std::chrono::milliseconds(500);
    Micros backoff_max = std::chrono::seconds(30);
    // A recorder that lived this long has earned an immediate restart.
    Micros steady_after = std::chrono::seconds(30);
    // Loading GStreamer on a cold SD card takes seconds; ten times that is a hang.
    Micros hello_wait = std::chrono::seconds(30);
    // Progress comes every 5 s whatever the camera does: six missed ones are a hang.
    Micros silence_limit = std::chrono::seconds(30);
    // From Stop to SIGKILL. A clip closes within two sync periods; a slow disk may take seconds.
    Micros stop_wait = std::chrono::seconds(15);
};

enum class SeatAct : std::uint8_t { nothing, start, send_settings, ask_stop, kill };
std::string_view to_string(SeatAct a);

class CameraSeat {
  public:
    CameraSeat(SeatLimits limits, BootTime now)
        : limits_(limits), next_start_(now + limits.adopt_wait) {}

    // What the owner wants. Without a hash there is nothing to record with: no policy, or disabled.
    // The answer is to be carried out for a recorder that is connected now.
    SeatAct want(std::optional<Digest> settings_hash, BootTime now);

    SeatAct hello(bool has_settings, const Digest& settings_hash, BootTime now);
    void heard(BootTime now) { last_heard_ = now; }
    void link_lost(BootTime now);
    void settings_sent() { told_ = wanted_; }

    void started(BootTime now);
    void start_failed(BootTime now);
    // No start before then, for a reason that is not the recorder's.
    void put_off(BootTime until) { next_start_ = std::max(next_start_, until); }
    // The process is gone, ours or adopted. True: it ended although it was wanted.
    bool ended(BootTime now);

    // Call at least every 250 ms. `lock_held`: some recorder of this camera lives.
    SeatAct tick(BootTime now, bool lock_held);

    bool has_process() const { return process_; }
    bool connected() const { return connected_; }
    bool wanted() const { return wanted_.has_value(); }
    bool stopping() const { return stop_asked_.has_value(); }
    std::uint32_t restarts() const { return restarts_; }
    // Nothing is left to wait for at shutdown.
    bool empty() const { return !process_ && !connected_; }

  private:
    Micros backoff() const;

    const SeatLimits limits_;
    std::optional<Digest> wanted_;
    std::optional<Digest> told_;  // what the connected recorder runs with
    bool process_ = false;        // started by us or adopted, not yet seen to end
    bool connected_ = false;
    bool ever_started_ = false;
    BootTime started_at_{};
    BootTime last_heard_{};
    BootTime next_start_;
    std::optional<BootTime> stop_asked_;
    bool killed_ = false;
    std::uint32_t failures_ = 0;  // in a row
    std::uint32_t restarts_ = 0;  // since this daemon started
};

}  // namespace hd::daemon
