#include "gateway/daemon/supervisor.hpp"

#include <algorithm>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "gateway/daemon/event_fields.hpp"
#include "gateway/daemon/last_video.hpp"
#include "gateway/daemon/lock_file.hpp"
#include "gateway/daemon/recorder_user.hpp"
#include "gateway/daemon/supervisor_parts.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {

constexpr Micros kClockLookPeriod = 1s;
constexpr Micros kPaceLookPeriod = 1s;
// How soon a journal that could not be written is tried again.
constexpr Micros kJournalRetry = 1s;

std::string lock_path(const std::string& runtime, const CameraId& camera) {
    return join(runtime, "recorder-" + to_string(camera) + ".lock");
}

// Only while nobody writes it: a torn tail is cut, and if video was being recorded when the hub
// went down, the journal says so from now on. Before the index finishes what the crash left, so
// that both find the same files.
void settle_journal(FileSystem& fs, const SupervisorPlaces& places, const CameraId& camera,
                    const journal::Stamp& now) {
    const std::string path = join(places.data_folder, "journal/" + to_string(camera) + ".log");
    auto report = journal::repair_tail(fs, path, "camera");
    if (!report) {
        log::warn("journal.repair_failed", "camera={} error=\"{}\"", to_string(camera),
                  report.error().what);
        return;
    }
    if (report->torn_bytes > 0)
        log::info("journal.repaired", "camera={} cut_bytes={}", to_string(camera),
                  report->torn_bytes);
    auto keeper = JournalKeeper::open(fs, path, camera);
    if (!keeper) return;  // Said when its camera is configured.
    const auto newest =
        newest_video(fs, join(places.data_folder, "clips"), camera, keeper->word(), now);
    const auto said =
        places.drive_came_back
            ? keeper->video_ended(newest, journal::GapCause::disk_error, "the drive was away")
            : keeper->video_ended(newest, journal::GapCause::restart, "the hub was down");
    if (!said)
        log::warn("journal.write_failed", "camera={} error=\"{}\"", to_string(camera),
                  said.error().what);
}

void settle_journals(FileSystem& fs, const SupervisorPlaces& places, const journal::Stamp& now) {
    auto files = fs.list(join(places.data_folder, "journal"));
    if (!files) return;
    for (const FileEntry& file : *files) {
        if (!file.name.ends_with(".log") || file.name == "clock.log") continue;
        auto camera = parse_id<CameraId>(file.name.substr(0, file.name.size() - 4), "camera");
        // The journals of live recorders are left alone.
        if (!camera || LockFile::is_held(lock_path(places.runtime_folder, *camera))) continue;
        settle_journal(fs, places, *camera, now);
    }
}

}  // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::open(SupervisorPlaces places, SeatLimits limits,
                                                     Wiring wiring) {
    const std::string journals = join(places.data_folder, "journal");
    HD_TRY(wiring.fs.make_folders(journals, 0700));
    HD_ASSIGN(auto clock, ClockKeeper::open(wiring.fs, wiring.clock, join(journals, "clock.log")));
    settle_journals(wiring.fs, places, clock.now());
    const std::string socket = join(places.runtime_folder, "link.sock");
    link::LinkListener::Options who{.path = socket, .allowed_users = {}};
    if (places.recorder_user) who.allowed_users = {places.recorder_user->uid, ::geteuid()};
    HD_ASSIGN(auto listener, link::LinkListener::bind(std::move(who)));
    if (places.recorder_user) {
        const RecorderPlaces doors{places.data_folder, places.runtime_folder};
        HD_TRY(open_doors(doors, *places.recorder_user));
        HD_TRY(share_socket(socket, *places.recorder_user));
    }
    return std::make_unique<Supervisor>(Token(), std::move(places), limits, wiring,
                                        std::move(clock), std::move(listener));
}

Supervisor::Supervisor(Token, SupervisorPlaces places, SeatLimits limits, Wiring wiring,
                       ClockKeeper clock, link::LinkListener listener)
    : places_(std::move(places)),
      limits_(limits),
      wiring_(wiring),
      clock_keeper_(std::move(clock)),
      encoders_({places_.runtime_folder, places_.recorder_program}, wiring_.fs, wiring_.clock,
                wiring_.board),
      listener_(std::move(listener)) {}

Supervisor::~Supervisor() = default;

void Supervisor::offer(IndexTask&& task) {
    // Refusals are counted in the inbox; the index then reconciles with the disk.
    (void)wiring_.inbox.try_push(std::move(task));
}

Supervisor::Camera& Supervisor::camera_of(const CameraPlan& plan) {
    auto& slot = cameras_[plan.camera];
    if (!slot)
        slot = std::make_unique<Camera>(
            Camera{.plan = plan, .seat = CameraSeat(limits_, wiring_.clock.boot())});
    if (slot->keeper || !may_write_journals()) return *slot;
    auto keeper = JournalKeeper::open(
        wiring_.fs, join(places_.data_folder, "journal/" + to_string(plan.camera) + ".log"),
        plan.camera);
    if (keeper) {
        slot->keeper.emplace(std::move(*keeper));
    } else {
        log::error("journal.open_failed", "camera={} error=\"{}\"", to_string(plan.camera),
                   keeper.error().what);
    }
    return *slot;
}

void Supervisor::apply(const std::vector<CameraPlan>& plans) {
    for (auto& [id, camera] : cameras_) {
        const bool listed = std::ranges::any_of(
            plans, [&id = id](const CameraPlan& plan) { return plan.camera == id; });
        if (listed) continue;
        camera->removed = true;
        CameraPlan gone = camera->plan;
        gone.enabled = false;
        gone.settings.reset();
        take_plan(*camera, gone);
    }
    order_.clear();
    for (const CameraPlan& plan : plans) {
        order_.push_back(plan.camera);
        Camera& camera = camera_of(plan);
        camera.removed = false;
        take_plan(camera, plan);
    }
}

void Supervisor::take_plan(Camera& camera, const CameraPlan& plan) {
    camera.plan = plan;
    const journal::Stamp now = clock_keeper_.now();
    if (camera.keeper && plan.enabled && may_write_journals()) {
        if (auto wrote = camera.keeper->configured(now, plan.name); !wrote) {
            log::warn("journal.write_failed", "camera={} error=\"{}\"", to_string(plan.camera),
                      wrote.error().what);
        }
        tell_gaps(camera);
    }
    wiring_.board.update_camera(plan.camera, [&](CameraStatus& s) {
        s.name = plan.name;
        s.enabled = plan.enabled;
        s.encode = plan.encode;
        s.loss_window = plan.loss_window;
        if (s.since.us == 0) s.since = now.utc;
    });
    std::optional<Digest> hash;
    if (plan.settings && !stopping_) hash = link::settings_hash(*plan.settings);
    act(camera, camera.seat.want(hash, now.at));
    if (!hash && camera.seat.empty()) {
        if (!plan.enabled) end_video(camera, "disabled by the owner").ignore();
        set_state(camera, "stopped",
                  plan.enabled ? "no policy yet: run `halfdoor init`" : "disabled");
    }
}

void Supervisor::set_state(Camera& camera, std::string_view state, std::string_view detail) {
    const std::string said = std::string(state) + "|" + std::string(detail);
    if (camera.said_state == said) return;
    camera.said_state = said;
    const WallTime now = wiring_.clock.wall();
    wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) {
        if (s.state != state) s.since = now;
        s.state = state;
        s.detail = detail;
    });
    wiring_.events.publish(
        "camera.state", now,
        camera_state_fields(camera.plan.camera, camera.plan.name, state, detail));
}

// No recorder of this camera runs: whatever its journal lacks about that is written down.
Result<void> Supervisor::end_video(Camera& camera, const std::string& detail) {
    if (!camera.keeper || !may_write_journals()) return {};
    const journal::Stamp now = clock_keeper_.now();
    const bool disabled = !camera.plan.enabled;
    Result<void> wrote = camera.keeper->catch_up();
    if (wrote) {
        const auto newest = newest_video(wiring_.fs, join(places_.data_folder, "clips"),
                                         camera.plan.camera, camera.keeper->word(), now);
        wrote = camera.keeper->video_ended(
            newest, disabled ? journal::GapCause::disabled : journal::GapCause::restart, detail);
    }
    if (wrote && disabled) wrote = camera.keeper->disabled(now);
    std::uint64_t suppressed = 0;
    if (!wrote && camera.journal_log.allow(now.at.us, suppressed))
        log::warn("journal.write_failed", "camera={} error=\"{}\" suppressed={}",
                  to_string(camera.plan.camera), wrote.error().what, suppressed);
    tell_gaps(camera);
    return wrote;
}

void Supervisor::tell_gaps(Camera& camera) {
    for (GapMark& mark : camera.keeper->take_marks()) {
        const CameraId& id = camera.plan.camera;
        offer(GapSeen{.camera = id});
        wiring_.events.publish("gap", wiring_.clock.wall(),
                               gap_fields({.camera = id,
                                           .open = mark.open,
                                           .at = mark.when.utc,
                                           .cause = mark.cause,
                                           .detail = mark.detail}));
    }
}

void Supervisor::act(Camera& camera, SeatAct what) {
    switch (what) {
        case SeatAct::nothing:
            return;
        case SeatAct::start:
            return start_recorder(camera);
        case SeatAct::send_settings:
            if (camera.connection == nullptr || !camera.plan.settings) return;
            if (camera.connection->channel.send(link::NewSettings{*camera.plan.settings}) ==
                link::LinkChannel::Sent::yes) {
                camera.seat.settings_sent();
            } else {
                camera.connection->dead = true;  // It connects again and is told then.
            }
            return;
        case SeatAct::ask_stop:
            if (camera.connection == nullptr) return;
            (void)camera.connection->channel.send(
                link::Stop{stopping_ ? "the hub is stopping" : "the camera is not to be recorded"});
            return;
        case SeatAct::kill:
            log::warn("recorder.killed", "camera={} why=\"{}\"", to_string(camera.plan.camera),
                      camera.seat.stopping() ? "did not end in time" : "said nothing for 30 s");
            if (camera.process) camera.process->signal(SIGKILL);
            return;
    }
}

void Supervisor::start_recorder(Camera& camera) {
    // What is there now is not ours to fill, or ours again: then the next process first writes down
    // what the journals lack, which are open here on a drive that is gone.
    if (wiring_.drive.moved()) {
        set_state(camera, "disk_problem",
                  "the hub's data folder is not there: is its drive mounted?");
        return;  // The seat asks again with the next tick.
    }
    // Whatever the journal lacks about the time without a recorder is written before the new one
    // can end that gap. A recorder that died while the disk took nothing took the gap's begin with
    // it: the next one must not record beyond that in silence, nor could it on such a disk.
    if (auto wrote = end_video(camera, "no recorder was running"); !wrote) {
        camera.seat.put_off(wiring_.clock.boot() + kJournalRetry);
        const link::StateChanged problem{.state = link::CameraState::disk_problem,
                                         .detail = wrote.error().what};
        set_state(camera, link::to_string(problem.state), problem.detail);
        return look_at_disks(problem);
    }
    ChildPlan plan{.program = places_.recorder_program,
                   .args = {"--link", join(places_.runtime_folder, "link.sock"), "--camera",
                            to_string(camera.plan.camera)},
                   .extra_environment = {},
                   .user = places_.recorder_user};
    if (plan.user) {
        // A disk that refuses this refuses the recorder too, which then says so.
        if (auto room = open_camera_room({places_.data_folder, places_.runtime_folder}, *plan.user,
                                         camera.plan.camera);
            !room) {
            log::warn("recorder.room", "camera={} error=\"{}\"", to_string(camera.plan.camera),
                      room.error().what);
        }
        plan.extra_environment.push_back("GST_REGISTRY=" +
                                         join(places_.data_folder, "cache/gst-registry.bin"));
    }
    auto pid = start_child(plan);
    if (!pid) {
        camera.seat.start_failed(wiring_.clock.boot());
        log::error("recorder.start_failed", "camera={} error=\"{}\"", to_string(camera.plan.camera),
                   pid.error().what);
        set_state(camera, "stopped", "the recorder cannot be started: " + pid.error().what);
        return;
    }
    auto handle = ProcessHandle::of(*pid);
    HD_CHECK(handle.ok());  // Our own child cannot vanish before it is reaped.
    camera.process.emplace(std::move(*handle));
    camera.seat.started(wiring_.clock.boot());
    starts_.started(camera.plan.camera, wiring_.clock.boot());
    set_state(camera, "starting", "");
    log::info("recorder.started", "camera={} pid={}", to_string(camera.plan.camera), *pid);
}

void Supervisor::process_ended(Camera& camera) {
    const std::string words = camera.process->reap();
    camera.process.reset();
    if (camera.connection != nullptr) {
        // Its last words may still be in the socket.
        read_from(*camera.connection);
        camera.connection->dead = true;
        camera.connection->camera = nullptr;
        camera.connection = nullptr;
    }
    starts_.settled(camera.plan.camera);
    const bool unexpected = camera.seat.ended(wiring_.clock.boot());
    if (unexpected) {
        log::warn("recorder.ended", "camera={} how=\"{}\"", to_string(camera.plan.camera), words);
    } else {
        log::info("recorder.stopped", "camera={} how=\"{}\"", to_string(camera.plan.camera), words);
    }
    const bool disabled = !camera.plan.enabled;
    end_video(camera, unexpected ? "the recorder ended: " + words : "the recorder was stopped")
        .ignore();  // Tried again before there is another.
    offer(RecorderGone{.camera = camera.plan.camera, .open_path = camera.open_path});
    camera.open_path.clear();
    wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) {
        s.recorder_restarts = camera.seat.restarts();
        s.walls.clear();
        s.durable_until.reset();
        s.durable_boot.reset();
    });
    set_state(camera, camera.seat.wanted() ? "starting" : "stopped",
              unexpected ? "the recorder ended: " + words : (disabled ? "disabled" : ""));
}

void Supervisor::tick_cameras(BootTime now) {
    for (auto& [id, camera] : cameras_) {
        if (camera->process && camera->process->ended()) process_ended(*camera);
        const bool asks_lock = !camera->seat.has_process() && camera->seat.wanted();
        const bool held = asks_lock && LockFile::is_held(lock_path(places_.runtime_folder, id));
        const SeatAct due = camera->seat.tick(now, held);
        // The seat asks again with the next tick.
        if (due == SeatAct::start && !starts_.may_start(now)) continue;
        act(*camera, due);
    }
    std::erase_if(strays_, [](const ProcessHandle& stray) {
        if (!stray.ended()) return false;
        (void)stray.reap();
        return true;
    });
    std::erase_if(cameras_, [this](const auto& entry) {
        if (!entry.second->removed || !entry.second->seat.empty()) return false;
        wiring_.board.remove_camera(entry.first);
        encoders_.forget(entry.first);
        return true;
    });
}

void Supervisor::tick_encoders() {
    // A camera without a recorder encodes nothing.
    std::vector<CameraId> live;
    for (const CameraId& id : order_) {
        const auto found = cameras_.find(id);
        if (found != cameras_.end() && found->second->seat.has_process()) live.push_back(id);
    }
    encoders_.tick(live, [this](const CameraId& id, const link::EncoderGrant& grant) {
        const Camera& camera = *cameras_.at(id);
        return camera.connection != nullptr &&
               camera.connection->channel.send(grant) == link::LinkChannel::Sent::yes;
    });
}

void Supervisor::look_at_clock(BootTime now) {
    if (now < next_clock_look_) return;
    next_clock_look_ = now + kClockLookPeriod;
    if (!may_write_journals()) return;
    auto change = clock_keeper_.look();
    if (!change) {
        log::warn("clock.log_failed", "error=\"{}\"", change.error().what);
        return;
    }
    if (!*change) return;
    const journal::ClockRecord& record = **change;
    log::info("clock.recorded", "utc={} stepped_us={} quality={}", to_rfc3339(record.when.utc),
              record.stepped_us, to_string(record.when.quality));
    if (record.when.quality == ClockQuality::synchronised) {
        offer(OffsetKnown{.boot = record.when.boot,
                          .wall_minus_boot = Micros(record.when.utc.us - record.when.at.us)});
    }
}

// One warning for the hub, as of a disk that takes nothing: look_at_disks().
void Supervisor::look_at_pace(BootTime now) {
    if (now < next_pace_look_) return;
    next_pace_look_ = now + kPaceLookPeriod;
    const auto said = wiring_.board.cameras();
    std::vector<CameraPace> paces;
    for (const auto& [id, camera] : cameras_) {
        const auto found = said.find(id);
        if (found == said.end() || !camera->plan.settings) continue;
        const CameraStatus& s = found->second;
        paces.push_back({.camera = id,
                         .name = s.name,
                         .recording = s.state == link::to_string(link::CameraState::recording),
                         .durable = s.durable_boot,
                         .usual = s.loss_window + camera->plan.settings->frame_gap_timeout,
                         .dropped_frames = s.dropped_frames});
    }
    const auto words = pace_.look(paces, now);
    const WallTime wall = wiring_.clock.wall();
    if (words && wiring_.board.raise("disk_slow", "warning", *words)) {
        log::warn("disk.slow", "why=\"{}\"", *words);
        wiring_.events.publish("health", wall, health_fields("disk_slow", "warning", *words));
    }
    if (!words && wiring_.board.clear("disk_slow"))
        wiring_.events.publish("health", wall, health_fields("disk_slow", "ok", ""));
}

void Supervisor::step(Micros timeout, std::span<const int> also) {
    std::vector<pollfd> waits;
    waits.push_back({.fd = listener_.fd(), .events = POLLIN, .revents = 0});
    for (const int fd : also) waits.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    for (const auto& connection : connections_) {
        waits.push_back({.fd = connection->channel.fd(), .events = POLLIN, .revents = 0});
    }
    for (const auto& [id, camera] : cameras_) {
        if (camera->process) {
            waits.push_back({.fd = camera->process->fd(), .events = POLLIN, .revents = 0});
        }
    }
    (void)::poll(waits.data(), waits.size(), static_cast<int>(timeout.count() / 1000));
    accept_all();
    for (std::size_t i = 0; i < connections_.size(); ++i) read_from(*connections_[i]);
    const BootTime now = wiring_.clock.boot();
    drop_dead_connections(now);
    tick_cameras(now);
    tick_encoders();
    look_at_clock(now);
    look_at_pace(now);
}

void Supervisor::begin_stop() {
    stopping_ = true;
    const BootTime now = wiring_.clock.boot();
    for (auto& [id, camera] : cameras_) {
        act(*camera, camera->seat.want(std::nullopt, now));
        // One that is not connected cannot be asked; it knows SIGTERM.
        if (camera->connection == nullptr && camera->process) camera->process->signal(SIGTERM);
    }
}

bool Supervisor::stopped() const { return live_recorders() == 0; }

std::size_t Supervisor::live_recorders() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        cameras_, [](const auto& entry) { return !entry.second->seat.empty(); }));
}

}  // namespace hd::daemon
