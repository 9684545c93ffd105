// Keeps halfdoor-gate running while the policy names a requester and the configuration says where
// to listen. Belongs to `super`. A gate of an earlier daemon goes on asking on gate.sock: while it
// does, no second one is started, because it has the port.
#pragma once

#include <optional>
#include <string>

#include "gateway/daemon/child.hpp"
#include "gateway/daemon/status_board.hpp"
#include "index/base/clock.hpp"

namespace hd::daemon {

class GateKeeper {
  public:
    struct Plan {
        std::string program;   // absolute
        std::string hub;       // ipc://<runtime>/gate.sock
        std::string key_file;  // <data>/hub/requester.curve
        std::string listen;    // tcp://...
        bool operator==(const Plan&) const = default;
    };
    GateKeeper(Clock& clock, StatusBoard& board) : clock_(&clock), board_(&board) {}

    // Nothing: no gate. Another plan than before: the old gate is ended first.
    void want(std::optional<Plan> plan);
    // Call at least every 250 ms. `last_asked_us`: BOOTTIME of the last question of any gate.
    void tick(std::int64_t last_asked_us);
    bool running() const { return process_.has_value(); }

  private:
    void start(BootTime now);
    void look_at_walls(BootTime now);

    Clock* clock_;        // Must outlive this.
    StatusBoard* board_;  // Must outlive this.
    std::optional<Plan> plan_;
    std::optional<Plan> running_with_;
    std::optional<ProcessHandle> process_;
    BootTime started_{};
    BootTime next_start_{};
    BootTime term_sent_{};
    BootTime next_look_{};
    bool asked_to_end_ = false;
    unsigned failures_ = 0;
};

}  // namespace hd::daemon
