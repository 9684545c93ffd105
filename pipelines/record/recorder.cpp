#include "pipelines/record/recorder.hpp"

#include <algorithm>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "pipelines/record/recorder_work.hpp"
#include "pipelines/record/session_plan.hpp"

namespace hd::record {
namespace {

// A new daemon waits 1.5 s for recorders of the old one before it starts its own.
constexpr Micros kReconnect = std::chrono::milliseconds(500);
// The daemon takes a recorder that is silent for 30 s for hung.
constexpr Micros kProgressPeriod = std::chrono::seconds(5);
constexpr Micros kClockPeriod = std::chrono::seconds(1);
// How often the link is looked at while frames come.
constexpr Micros kLinkPeriod = std::chrono::milliseconds(50);
// How long the loop sleeps when no frame comes: also how late a Stop is seen.
constexpr Micros kLongestWait = std::chrono::milliseconds(100);

}  // namespace

Recorder::Recorder(Options options, Wiring wiring)
    : options_(std::move(options)), wiring_(std::move(wiring)) {
    alone_since_ = next_connect_ = wiring_.clock.boot();
    state_.state = link::CameraState::starting;
}

Recorder::~Recorder() = default;

bool Recorder::take_lock() {
    const std::string path =
        join(parent_folder(options_.link_path), "recorder-" + to_string(options_.camera) + ".lock");
    Fd fd{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return false;
    lock_ = std::move(fd);
    return true;
}

Ended Recorder::run(const std::atomic<bool>& stop) {
    while (step(kLongestWait))
        if (stop) ask_to_end("asked to end");
    return finish();
}

bool Recorder::step(Micros patience) {
    keep_link();
    read_link();
    if (stop_why_) return false;
    if (!work_) {
        // Nothing to record yet: only the link can bring something.
        wiring_.clock.sleep_until(wiring_.clock.boot() + std::min(patience, kLinkPeriod));
        return true;
    }
    follow_disk();
    watch_session();
    check_clock();
    say_progress();
    say_encoder(false);
    // While the disk is behind, frames wait in the ingress, which drops them when it is full.
    if (!work_->queue.has_room())
        work_->queue.wait_for_room(patience);
    else if (auto event = work_->ingress.pop(patience))
        take(std::move(*event));
    return !stop_why_;
}

Ended Recorder::finish() {
    end_work(*stop_why_);
    say(link::Farewell{*stop_why_});
    log::info("recorder.ended", "camera={} why=\"{}\"", to_string(options_.camera), *stop_why_);
    return ended_;
}

void Recorder::keep_link() {
    const BootTime now = wiring_.clock.boot();
    if (link_) {
        alone_since_ = now;
        return;
    }
    const Micros patience =
        settings_ ? settings_->orphan_timeout : link::RecorderSettings{}.orphan_timeout;
    if (now - alone_since_ > patience) {
        stop_why_ = "no daemon for too long";
        ended_ = Ended::orphaned;
        return;
    }
    if (now < next_connect_) return;
    next_connect_ = now + kReconnect;
    auto channel = wiring_.connect_link(options_.link_path);
    if (!channel) return;
    link_ = std::move(*channel);
    say(link::Hello{.camera = options_.camera,
                    .pid = static_cast<std::uint32_t>(::getpid()),
                    .has_settings = settings_.has_value(),
                    .settings = settings_hash_});
    say(state_);
    say_walls();
    say_encoder(true);
}

void Recorder::read_link() {
    const BootTime now = wiring_.clock.boot();
    if (now < next_read_) return;
    next_read_ = now + kLinkPeriod;
    while (link_ && !stop_why_) {
        auto message = link_->receive();
        if (!message) {
            // A daemon of another release: it cannot tell us anything, so make room for a recorder
            // that it can talk to, at a place where nothing is lost.
            if (message.error().code == ErrorCode::invalid) {
                if (!leave_by_ && settings_) leave_by_ = now + settings_->clip_max;
                if (!work_) stop_why_ = "the daemon is of another release";
            }
            log::info("link.lost", "camera={} why=\"{}\"", to_string(options_.camera),
                      message.error().what);
            link_.reset();
            return;
        }
        if (!*message) return;
        take(std::move(**message));
    }
}

void Recorder::take(link::Message&& message) {
    if (auto* fresh = std::get_if<link::NewSettings>(&message))
        take_settings(std::move(fresh->settings));
    else if (const auto* stop = std::get_if<link::Stop>(&message))
        stop_why_ = stop->why;
    else if (auto* grant = std::get_if<link::EncoderGrant>(&message))
        encoders_->set_grant(std::move(*grant));
}

void Recorder::take_settings(link::RecorderSettings fresh) {
    if (fresh.camera != options_.camera) {
        log::warn("settings.refused", "camera={} for={}", to_string(options_.camera),
                  to_string(fresh.camera));
        return;
    }
    const Digest hash = link::settings_hash(fresh);
    if (settings_ && hash == settings_hash_) return;
    const std::optional<link::RecorderSettings> before = std::exchange(settings_, std::move(fresh));
    settings_hash_ = hash;
    if (!before) {
        if (confine()) begin_work();
        return;
    }
    if (before->data_folder != settings_->data_folder) {
        // Another disk: a new process begins cleanly there.
        stop_why_ = "the data folder changed";
        return;
    }
    if (wiring_.confine && needs_new_process(*before, *settings_)) {
        // What was given up cannot be had back.
        stop_why_ = "the camera's settings need other rights";
        return;
    }
    work_->session.want_cut(clip::EndReason::settings_change);
    work_->session.replace_plan(plan_of(*settings_));
    work_->want_activity(wiring_, *settings_);
    if (needs_reconnect(*before, *settings_) && work_->camera) {
        end_session(journal::GapCause::restart, "the camera's settings changed",
                    clip::EndReason::settings_change);
        work_->retry_at = wiring_.clock.boot();
        work_->failures = 0;
    }
}

// False: this process cannot begin, and has said so; the next one tries again.
bool Recorder::confine() {
    if (!wiring_.confine) return true;
    auto walls = wiring_.confine(*settings_);
    if (!walls) {
        say_state(link::CameraState::disk_problem, walls.error().what);
        stop_why_ = walls.error().what;
        return false;
    }
    folder_ = folder_identity(*settings_);
    wiring_.walls.insert(wiring_.walls.end(), walls->begin(), walls->end());
    say_walls();
    for (const Wall& wall : *walls)
        if (wall.state == WallState::missing)
            log::debug("wall.missing", "name={} why=\"{}\"", wall.name, wall.detail);
    return true;
}

void Recorder::say_walls() {
    if (wiring_.walls.empty()) return;
    link::WallsReport report;
    for (const Wall& wall : wiring_.walls)
        report.walls.push_back({"recorder." + wall.name, wall.state, wall.detail});
    say(report);
}

void Recorder::say(const link::Message& message) {
    if (link_ && link_->send(message) == link::LinkChannel::Sent::closed) link_.reset();
}

void Recorder::say_state(link::CameraState state, std::string detail) {
    if (state == state_.state && detail == state_.detail) return;
    state_.state = state;
    state_.detail = std::move(detail);
    say(state_);
}

void Recorder::say_progress() {
    const BootTime now = wiring_.clock.boot();
    if (now < next_progress_) return;
    next_progress_ = now + kProgressPeriod;
    const ingest::Ingress::Stats stats = work_->ingress.stats();
    link::Progress p{.frames = work_->session.frames(),
                     .bytes = stats.bytes,
                     .dropped_frames = stats.refused_frames,
                     .reconnects = work_->sessions > 0 ? work_->sessions - 1 : 0,
                     .damaged_frames = work_->damaged_before,
                     .queue_bytes_max = static_cast<std::uint32_t>(
                         std::min<std::uint64_t>(stats.bytes_queued_max, UINT32_MAX)),
                     .sync_ms_max = work_->queue.sync_ms_max()};
    if (work_->camera) {
        p.damaged_frames += work_->camera->source->stats().unusable_frames;
        if (const auto clock = work_->camera->source->stats().camera_clock) {
            p.camera_clock_known = true;
            p.camera_clock_offset_us = clock->offset.count();
        }
    }
    say(p);
}

void Recorder::say_encoder(bool again) {
    if (auto report = encoders_->report(wiring_.clock.boot(), again)) say(*report);
}

void Recorder::check_clock() {
    const BootTime now = wiring_.clock.boot();
    if (now < next_clock_check_) return;
    next_clock_check_ = now + kClockPeriod;
    if (work_->time.look()) work_->session.want_cut(clip::EndReason::clock_step);
}

}  // namespace hd::record
