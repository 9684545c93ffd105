#include "gateway/daemon/hub.hpp"

#include <algorithm>
#include <csignal>

#include <pthread.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/daemon/ballast.hpp"
#include "gateway/daemon/event_fields.hpp"
#include "gateway/daemon/recorder_user.hpp"
#include "gateway/daemon/walls.hpp"
#include "gateway/ledger/hub_folder.hpp"
#include "index/base/log.hpp"
#include "index/base/syscall_filter.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {

constexpr Micros kTurn = 100ms;
constexpr Micros kHealthPeriod = 10s;
// Recorders get 15 s from Stop to SIGKILL (SeatLimits); then their last words are read.
constexpr Micros kStopDeadline = 20s;

Result<void> make_private_folder(const std::string& path) {
    HD_TRY(real_file_system().make_folders(path, 0700));
    if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
        return errno_error(errno, "use folder " + path);
    }
    return {};
}

void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), name); }

// A program that the configuration names must be there; one beside us too.
Result<std::string> program_path(const std::string& configured, const std::string& name,
                                 const std::string& libexec) {
    if (!configured.empty()) {
        if (::access(configured.c_str(), X_OK) == 0) return configured;
        return errno_error(errno, "run " + configured);
    }
    return find_program(name, libexec);
}

}  // namespace

Hub::Hub(Token, HubOptions options, config::Config config, SdNotify notify, LockFile lock)
    : options_(std::move(options)),
      first_config_(config),
      config_(std::move(config)),
      notify_(std::move(notify)),
      lock_(std::move(lock)),
      drive_(real_file_system(), first_config_.hub.data_folder, system_clock().boot(),
             options_.restarts) {}

Hub::~Hub() { stop_threads(); }

Result<std::unique_ptr<Hub>> Hub::open(HubOptions options, config::Config config, SdNotify notify) {
    HD_TRY(make_private_folder(config.hub.data_folder));
    HD_TRY(make_private_folder(config.hub.runtime_folder));
    HD_ASSIGN(auto lock, LockFile::take(join(config.hub.data_folder, "halfdoord.lock")));
    auto hub = std::make_unique<Hub>(Token(), std::move(options), std::move(config),
                                     std::move(notify), std::move(lock));
    HD_TRY(hub->open_parts());
    return hub;
}

Result<void> Hub::open_parts() {
    FileSystem& fs = real_file_system();
    Clock& clock = system_clock();
    const config::HubSettings& hub = first_config_.hub;
    HD_ASSIGN(recorder_program_,
              program_path(hub.recorder_program, "halfdoor-recorder", options_.libexec_folder));
    if (!first_config_.requester.listen.empty()) {
        HD_ASSIGN(gate_program_,
                  program_path(hub.gate_program, "halfdoor-gate", options_.libexec_folder));
        // `halfdoor init` makes it and puts its public half on the hub's card; without it the
        // gate would not start.
        HD_TRY(wire::read_or_make_curve_key(
            join(join(hub.data_folder, "hub"), ledger::kRequesterCurveFile)));
    }
    HD_TRY(make_room(hub.data_folder));
    HD_ASSIGN(index_, IndexWorker::open({.data_folder = hub.data_folder,
                                         .runtime_folder = hub.runtime_folder,
                                         .memory_bytes = hub.index_memory_bytes},
                                        {.fs = fs,
                                         .clock = clock,
                                         .board = board_,
                                         .events = events_,
                                         .holds = holds_,
                                         .checks = checks_,
                                         .drive = drive_,
                                         .inbox = inbox_}));
    HD_ASSIGN(rpc_, RpcWorker::open(first_config_, {.fs = fs,
                                                    .clock = clock,
                                                    .store = index_->store(),
                                                    .board = board_,
                                                    .ruling = ruling_,
                                                    .checks = checks_,
                                                    .holds = holds_,
                                                    .events = events_,
                                                    .inbox = inbox_,
                                                    .gate = gate_watch_,
                                                    .drive = drive_}));
    events_.set_wake([rpc = rpc_.get()] { rpc->wake(); });
    HD_ASSIGN(const auto recorder_user, find_recorder_user(hub.recorder_user));
    // Once it may start programs as that user it may be nobody else: not root, whatever happens.
    std::vector<Wall> walls;
    if (recorder_user && ::geteuid() != 0)
        walls.push_back(restrict_user_changes(recorder_user->uid));
    HD_ASSIGN(supervisor_, Supervisor::open({.data_folder = hub.data_folder,
                                             .runtime_folder = hub.runtime_folder,
                                             .recorder_program = recorder_program_,
                                             .recorder_user = recorder_user,
                                             .drive_came_back = options_.restarts > 0},
                                            SeatLimits{},
                                            {.fs = fs,
                                             .clock = clock,
                                             .board = board_,
                                             .events = events_,
                                             .drive = drive_,
                                             .inbox = inbox_}));
    sync_ = SyncDesk::open({.data_folder = hub.data_folder,
                            .runtime_folder = hub.runtime_folder,
                            .recorder_user = recorder_user},
                           {.clock = clock, .board = board_});
    gate_ = std::make_unique<GateKeeper>(clock, board_);
    std::ranges::move(look_at_walls(hub.data_folder, hub.runtime_folder, recorder_user),
                      std::back_inserter(walls));
    board_.set_walls(std::move(walls));
    return {};
}

void Hub::start_threads() {
    index_thread_ = std::jthread([this](const std::stop_token& stop) {
        name_thread("index");
        index_->run(stop);
    });
    rpc_thread_ = std::jthread([this](const std::stop_token& stop) {
        name_thread("rpc");
        rpc_->run(stop);
        rpc_ended_ = true;
    });
    if (!sync_) return;
    sync_thread_ = std::jthread([this](const std::stop_token& stop) {
        name_thread("sync");
        sync_->run(stop);
    });
}

void Hub::stop_threads() {
    if (sync_thread_.joinable()) {
        sync_thread_.request_stop();
        sync_thread_.join();
    }
    if (index_thread_.joinable()) {
        index_thread_.request_stop();
        inbox_.close();
        index_thread_.join();
    }
    // After the index: its last events still go out.
    if (rpc_thread_.joinable()) {
        rpc_thread_.request_stop();
        rpc_->wake();
        rpc_thread_.join();
    }
}

std::optional<GateKeeper::Plan> Hub::gate_plan() const {
    if (first_config_.requester.listen.empty() || !applied_ || !applied_->policy) {
        return std::nullopt;
    }
    if (applied_->policy->policy.requesters.empty()) return std::nullopt;
    return GateKeeper::Plan{
        .program = gate_program_,
        .hub = "ipc://" + join(first_config_.hub.runtime_folder, "gate.sock"),
        .key_file = join(join(first_config_.hub.data_folder, "hub"), ledger::kRequesterCurveFile),
        .listen = first_config_.requester.listen};
}

void Hub::apply_plans() {
    auto ruling = ruling_.get();
    if (applied_once_ && ruling == applied_) return;
    applied_ = std::move(ruling);
    applied_once_ = true;
    const auto plans = plan_cameras(config_, applied_.get());
    supervisor_->apply(plans);
    gate_->want(gate_plan());
    RetentionLimits limits;
    for (const CameraPlan& plan : plans) limits.cameras[plan.camera] = plan.limits;
    if (config_.retention.max_age.count() > 0) limits.others.max_age = config_.retention.max_age;
    if (config_.retention.camera_max_bytes > 0) {
        limits.others.max_bytes = config_.retention.camera_max_bytes;
    }
    if (config_.retention.max_bytes > 0) limits.max_total_bytes = config_.retention.max_bytes;
    limits.reserve_bytes = config_.retention.reserve_bytes;
    limits.delete_per_s = config_.retention.delete_per_s;
    (void)inbox_.try_push(std::move(limits));
}

void Hub::reload() {
    config::ReadConfig read = config::read_config(options_.config_path);
    if (!read.ok()) {
        log::error("config.refused", "action=keep_old errors=\"{}\"", config::errors_text(read));
        board_.raise("config", "error",
                     "The changed configuration was refused, the old one is used: " +
                         config::errors_text(read));
        return;
    }
    board_.clear("config");
    // Folders and endpoints stay as they were opened; a restart changes them without losing a
    // frame, because recorders go on.
    config_.cameras = std::move(read.config.cameras);
    config_.retention = read.config.retention;
    log::set_level(read.config.hub.log_level);
    applied_once_ = false;
    log::info("config.reloaded", "cameras={}", config_.cameras.size());
}

Hub::Wish Hub::read_signals(int signal_fd) {
    Wish wish = Wish::go_on;
    signalfd_siginfo info{};
    while (::read(signal_fd, &info, sizeof info) == sizeof info) {
        switch (info.ssi_signo) {
            case SIGTERM:
            case SIGINT:
                wish = Wish::stop;
                break;
            case SIGUSR2:
                wish = Wish::leave;
                break;
            case SIGHUP:
                reload();
                break;
            default:
                break;
        }
    }
    return wish;
}

void Hub::look_at_health(BootTime now) {
    if (auto period = notify_.watchdog_period(); period && now >= next_watchdog_) {
        next_watchdog_ = now + *period;
        notify_.send("WATCHDOG=1");
    }
    if (now < next_health_) return;
    next_health_ = now + kHealthPeriod;
    if (drive_.moved()) return;  // What is there now is not this process's to fill.
    const auto looked = free_bytes_of(first_config_.hub.data_folder);
    if (!looked) return;
    const std::uint64_t free = *looked;
    keep_ballast(first_config_.hub.data_folder, free, config_.retention.reserve_bytes);
    const WallTime wall = system_clock().wall();
    if (free < config_.retention.reserve_bytes) {
        const std::string text = fmt::format(
            "The disk has {} MB free, less than the reserve of {} MB: the oldest clips are "
            "deleted. Give it more space or set [retention].",
            free >> 20, config_.retention.reserve_bytes >> 20);
        if (board_.raise("disk_low", "warning", text)) {
            log::warn("disk.low", "free_mb={} reserve_mb={}", free >> 20,
                      config_.retention.reserve_bytes >> 20);
            events_.publish("health", wall, health_fields("disk_low", "warning", text));
        }
    } else if (board_.clear("disk_low")) {
        events_.publish("health", wall, health_fields("disk_low", "ok", ""));
    }
}

void Hub::loop_once(int signal_fd) {
    const int also[] = {signal_fd};
    supervisor_->step(kTurn, also);
    gate_->tick(gate_watch_.last_asked_us.load());
    look_at_health(system_clock().boot());
}

void Hub::stop_recorders(int signal_fd) {
    notify_.send("STOPPING=1\nSTATUS=closing clips");
    log::info("hub.stopping", "recorders={}", supervisor_->live_recorders());
    gate_->want(std::nullopt);
    supervisor_->begin_stop();
    const BootTime deadline = system_clock().boot() + kStopDeadline;
    while (!supervisor_->stopped() || gate_->running()) {
        if (system_clock().boot() >= deadline) {
            log::warn("hub.stop_incomplete", "recorders={}", supervisor_->live_recorders());
            break;
        }
        loop_once(signal_fd);
        (void)read_signals(signal_fd);  // A second SIGTERM changes nothing.
    }
}

// Not with a configuration that the next start would refuse.
bool Hub::may_start_anew() {
    const BootTime now = system_clock().boot();
    if (!drive_.restart_wanted() || now < next_anew_) return false;
    next_anew_ = now + kHealthPeriod;
    const config::ReadConfig read = config::read_config(options_.config_path);
    if (read.ok()) return true;
    log::error("hub.start_anew_refused", "errors=\"{}\"", config::errors_text(read));
    board_.raise("config", "error",
                 "halfdoord has to start itself anew and the configuration is wrong: " +
                     config::errors_text(read));
    return false;
}

HubEnd Hub::run(int signal_fd) {
    name_thread("super");
    start_threads();
    apply_plans();
    notify_.send("READY=1\nSTATUS=recording");
    log::info("hub.started", "data={} cameras={} version={}", first_config_.hub.data_folder,
              config_.cameras.size(), HALFDOOR_VERSION);
    HubEnd end = HubEnd::stopped;
    while (true) {
        const Wish wish = read_signals(signal_fd);
        if (wish == Wish::stop) {
            stop_recorders(signal_fd);
            break;
        }
        if (wish == Wish::leave) {
            log::info("hub.leaving", "recorders={} action=they_go_on",
                      supervisor_->live_recorders());
            notify_.send("STOPPING=1");
            end = HubEnd::left;
            break;
        }
        if (rpc_ended_) {
            end = HubEnd::failed;
            break;
        }
        if (may_start_anew()) {
            log::warn("hub.starting_anew",
                      "why=\"the drive is back\" recorders={} action=they_go_on",
                      supervisor_->live_recorders());
            // Locks and sockets were on the drive too: the next daemon would not know them.
            const std::string& run = first_config_.hub.runtime_folder;
            if (drive_.moved() && run.starts_with(first_config_.hub.data_folder + "/"))
                stop_recorders(signal_fd);
            end = HubEnd::anew;
            break;
        }
        apply_plans();
        loop_once(signal_fd);
    }
    supervisor_->end_probe();
    stop_threads();
    log::info("hub.stopped", "how={}",
              end == HubEnd::failed ? "failed"
              : end == HubEnd::anew ? "to start anew"
                                    : "orderly");
    return end;
}

}  // namespace hd::daemon
