// The composition root: opens every part in order, starts the threads, stops them in order. The
// only place of the daemon that starts threads. docs/threads.md lists them.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "gateway/config/config.hpp"
#include "gateway/daemon/drive_watch.hpp"
#include "gateway/daemon/gate_keeper.hpp"
#include "gateway/daemon/index_worker.hpp"
#include "gateway/daemon/lock_file.hpp"
#include "gateway/daemon/rpc_worker.hpp"
#include "gateway/daemon/sd_notify.hpp"
#include "gateway/daemon/supervisor.hpp"
#include "gateway/daemon/sync_desk.hpp"

namespace hd::daemon {

struct HubOptions {
    std::string config_path;
    std::string libexec_folder;  // where the other programs are; empty: beside our own
    unsigned restarts = 0;       // by itself, in a row (DriveWatch)
};

enum class HubEnd {
    stopped = 0,  // orderly: every recorder closed its clip and ended
    left = 0,     // SIGUSR2: recorders go on, the next daemon adopts them
    failed = 1,
    anew = 2,  // the drive came back: recorders go on, this program is to start itself again
};

class Hub {
    struct Token {  // Only open() can make one.
        explicit Token() = default;
    };

  public:
    Hub(Token, HubOptions options, config::Config config, SdNotify notify, LockFile lock);
    // Folders, lock, index, endpoints, link socket: everything that can refuse, refuses here.
    // `refused`: another daemon has the data folder. Signals must be blocked already.
    static Result<std::unique_ptr<Hub>> open(HubOptions options, config::Config config,
                                             SdNotify notify);
    ~Hub();

    // Until SIGTERM, SIGINT or SIGUSR2 on `signal_fd` (signalfd(2)). Call once.
    HubEnd run(int signal_fd);
    // False: what was opened is on a drive that is gone. RocksDB must not be closed then.
    bool may_close() const { return !drive_.moved() && !index_->store().failed(); }
    // How often this program will have started itself in a row, if it does so now.
    unsigned restarts_now() const { return drive_.restarts_after(system_clock().boot()); }

  private:
    Result<void> open_parts();
    void start_threads();
    void stop_threads();

    enum class Wish { go_on, stop, leave };
    bool may_start_anew();
    Wish read_signals(int signal_fd);
    void loop_once(int signal_fd);
    void stop_recorders(int signal_fd);
    void reload();
    void apply_plans();
    void look_at_health(BootTime now);
    std::optional<GateKeeper::Plan> gate_plan() const;

    const HubOptions options_;
    const config::Config first_config_;  // what the endpoints were opened with
    config::Config config_;              // SIGHUP replaces it; only `super`
    SdNotify notify_;
    LockFile lock_;
    std::string gate_program_;
    std::string recorder_program_;

    // Shared by the threads; each guards itself.
    StatusBoard board_;
    RulingBoard ruling_;
    CheckBoard checks_;
    HoldBoard holds_;
    DriveWatch drive_;
    EventOutbox events_;
    IndexInbox inbox_{kIndexInboxMax};
    GateWatch gate_watch_;
    std::atomic<bool> rpc_ended_{false};

    std::unique_ptr<IndexWorker> index_;
    std::unique_ptr<RpcWorker> rpc_;
    std::unique_ptr<Supervisor> supervisor_;
    std::unique_ptr<SyncDesk> sync_;  // null: recorders sync their own files
    std::unique_ptr<GateKeeper> gate_;
    std::shared_ptr<const Ruling> applied_;
    bool applied_once_ = false;
    BootTime next_health_{};
    BootTime next_watchdog_{};
    BootTime next_anew_{};
    std::jthread index_thread_;
    std::jthread rpc_thread_;
    std::jthread sync_thread_;
};

}  // namespace hd::daemon
