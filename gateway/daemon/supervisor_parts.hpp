// The private structs of Supervisor, shared by its source files.
#pragma once

#include "gateway/daemon/supervisor.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

// A peer that has not said who it is by then is dropped.
constexpr Micros kHelloDeadline = std::chrono::seconds(5);
// Messages read from one recorder before the others get their turn.
constexpr int kMessagesPerTurn = 64;

struct Supervisor::Connection {
    link::LinkChannel channel;
    link::Peer peer;
    BootTime since;
    Camera* camera = nullptr;  // after its Hello
    // It records a camera that the configuration does not know: told to stop, heard to its end.
    std::optional<CameraId> unknown;
    bool dead = false;
};

struct Supervisor::Camera {
    CameraPlan plan;
    CameraSeat seat;
    std::optional<JournalKeeper> keeper;
    std::optional<ProcessHandle> process;
    Connection* connection = nullptr;
    std::string open_path;                       // the ".part" that it writes, as last heard
    std::optional<journal::Stamp> last_durable;  // as last heard
    std::string said_state;                      // to publish changes only
    bool removed = false;                        // no longer in the configuration
    log::RateLimit journal_log{60'000'000};
};

}  // namespace hd::daemon
