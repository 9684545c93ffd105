// One sync of the file system for all recorders: they ask on sync.sock, at the instant of each
// second that they share, and are answered together. docs/formats/link.md, decision 0004. One
// thread uses it, `sync`, so that a disk that stalls holds up nobody but who asks.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "gateway/daemon/child.hpp"
#include "gateway/daemon/disk_sync.hpp"
#include "gateway/daemon/status_board.hpp"
#include "index/base/clock.hpp"
#include "index/base/log.hpp"
#include "pipelines/link/link_socket.hpp"

namespace hd::daemon {

// From the first ask to the sync: recorders wake a few ms apart, on a busy machine more (decision
// 0004 has the measurements).
constexpr Micros kSyncGather = std::chrono::milliseconds(30);
// A sync that takes longer than this helps nobody: recorders give up (pipelines/record/sync_link).
constexpr Micros kSlowSync = std::chrono::milliseconds(200);
constexpr int kSlowSyncs = 3;
constexpr Micros kSyncPause = std::chrono::minutes(1);

// Whether syncs are shared now. Foreign data on the same file system can make one long, and one
// that failed may have told the last of an error. Pure.
class SyncRule {
  public:
    void done(bool ok, Micros took, BootTime now);
    bool may_share(BootTime now) const { return now >= paused_until_; }

  private:
    int slow_ = 0;  // in a row
    BootTime paused_until_{};
};

class SyncDesk {
  public:
    struct Wiring {  // Borrowed; both must outlive the desk.
        Clock& clock;
        StatusBoard& board;
    };
    SyncDesk(link::LinkListener listener, std::unique_ptr<DiskSync> disk, Wiring wiring);
    struct Places {
        std::string data_folder, runtime_folder;
        std::optional<ChildUser> recorder_user;  // ours without
    };
    // Nothing where syncs cannot be shared: then there is no socket, each recorder syncs its own
    // file, and `status` says why.
    static std::unique_ptr<SyncDesk> open(const Places& places, Wiring wiring);

    void run(const std::stop_token& stop);
    // One turn: waits at most `timeout` for asks, answers them if a sync is due. Blocks as long as
    // the disk does.
    void step(Micros timeout);

  private:
    // State per recorder: its newest ask that has no answer.
    struct Connection {
        link::LinkChannel channel;
        std::optional<link::SyncAsk> ask;
        bool dead = false;
    };
    void accept_all();
    void read_all();
    void take(Connection& connection, const link::SyncAsk& ask);
    void answer(Connection& connection, bool synced);
    void sync_for_all();
    void say(bool shared, const std::string& why);

    Wiring wiring_;
    link::LinkListener listener_;
    const std::unique_ptr<DiskSync> disk_;
    std::vector<Connection> connections_;
    std::optional<BootTime> due_;
    SyncRule rule_;
    log::RateLimit log_{3600'000'000};
};

}  // namespace hd::daemon
