#include "pipelines/record/recorder_work.hpp"

#include <algorithm>

#include <pthread.h>
#include <sched.h>

#include "pipelines/record/confinement.hpp"
#include "pipelines/record/session_plan.hpp"

namespace hd::record {
namespace {

// Longer than any teardown (measured: 101 ms on a frozen peer); what takes longer hangs.
constexpr Micros kStopPatience = std::chrono::seconds(2);

link::CameraState state_after(journal::GapCause cause) {
    switch (cause) {
        case journal::GapCause::unreachable:
            return link::CameraState::unreachable;
        case journal::GapCause::refused:
            return link::CameraState::refused;
        case journal::GapCause::stalled:
            return link::CameraState::stalled;
        case journal::GapCause::encoder:
            return link::CameraState::encoder_failed;
        case journal::GapCause::overload:
        case journal::GapCause::disk_full:
        case journal::GapCause::disk_error:
            return link::CameraState::disk_problem;
        default:
            return link::CameraState::connecting;
    }
}

std::optional<journal::CameraClock> facts_of(const std::optional<ingest::CameraClock>& clock) {
    if (!clock) return std::nullopt;
    return journal::CameraClock{.offset = clock->offset,
                                .spread = clock->spread,
                                .reports = clock->reports,
                                .jumps = clock->jumps};
}

}  // namespace

Recorder::Work::Work(const Wiring& wiring, const link::RecorderSettings& settings)
    : ingress({.bytes = settings.buffer_bytes}),
      time(wiring.fs, wiring.clock, join(settings.data_folder, "journal/clock.log")),
      disk(wiring.fs, wiring.clock, settings.data_folder, settings.camera),
      queue(disk, wiring.clock, {.sync_period = settings.sync_period}, [this] { ingress.wake(); }),
      session(plan_of(settings), {.disk = queue,
                                  .new_clip_id = [] { return random_id<ClipId>(); },
                                  .time_base = [this] { return time.now(); },
                                  .activity = &activity}) {
    want_activity(wiring, settings);
    if (!wiring.disk_thread) return;
    disk_runner = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "disk");
        queue.run();
    });
}

void Recorder::Work::want_activity(const Wiring& wiring, const link::RecorderSettings& settings) {
    if (!settings.activity || !wiring.disk_thread || activity_runner.joinable()) return;
    activity_runner = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "activity");
        // It runs when nothing else wants to. Without that wish granted it costs others little.
        const sched_param none{};
        static_cast<void>(::pthread_setschedparam(::pthread_self(), SCHED_IDLE, &none));
        activity.run();
    });
}

void Recorder::Work::finish_threads() {
    activity.close();
    if (activity_runner.joinable()) activity_runner.join();
    queue.close();
    if (disk_runner.joinable())
        disk_runner.join();
    else
        queue.step();
}

void Recorder::begin_work() {
    work_ = std::make_unique<Work>(wiring_, *settings_);
    work_->retry_at = wiring_.clock.boot();
}

void Recorder::end_work(std::string_view why) {
    if (!work_) return;
    if (work_->camera) {
        end_session(journal::GapCause::restart, std::string(why), clip::EndReason::shutdown);
    } else {
        work_->session.end(clip::EndReason::shutdown, why).ignore();
        work_->queue.offer(
            OpenGap{work_->time.stamp_now(), journal::GapCause::restart, std::string(why)});
    }
    work_->finish_threads();
    follow_disk();
    say_state(link::CameraState::ending, std::string(why));
}

void Recorder::follow_disk() {
    if (!wiring_.disk_thread) {
        work_->activity.step();
        work_->queue.step();
    }
    for (DiskEvent& event : work_->queue.take_events()) take_disk(std::move(event));
}

void Recorder::take_disk(DiskEvent&& event) {
    if (auto* begun = std::get_if<ClipBegun>(&event)) {
        say(link::ClipOpened{begun->path, std::move(begun->header)});
    } else if (const auto* synced = std::get_if<PieceSynced>(&event)) {
        const clip::PieceIdentity& id = synced->identity;
        say(link::PieceDurable{.path = synced->path,
                               .clip = id.clip,
                               .sequence = id.sequence,
                               .file_size = synced->file_size,
                               .boot_end = id.boot_end,
                               .utc_end = id.utc_end,
                               .frames = synced->frames});
        if (id.kind == clip::PieceKind::video && work_->session.is_open()) {
            work_->key_asks = 0;
            work_->disk_problem = false;  // take_frame() says so.
        }
    } else if (auto* ended = std::get_if<ClipEnded>(&event)) {
        say(link::ClipFinished{ended->path, std::move(ended->summary)});
    } else if (auto* gap = std::get_if<GapStands>(&event)) {
        say(link::GapChanged{gap->open, gap->when, gap->cause, std::move(gap->detail)});
    } else if (const auto* failed = std::get_if<DiskFailed>(&event)) {
        work_->session.abandon(failed->clip);
        if (work_->camera && !work_->session.is_open()) {
            work_->camera->broke = cause_of(failed->error);
            work_->camera->broke_detail = failed->error.what;
        }
        // A drive came back, or somebody made the folder anew: a new process has the right to it.
        if (wiring_.confine && folder_identity(*settings_) != folder_)
            stop_why_ = "its clips folder is another one now";
        if (std::exchange(work_->disk_problem, true)) return;
        say_state(link::CameraState::disk_problem, failed->error.what);
    }
}

void Recorder::begin_session() {
    Work& w = *work_;
    const BootTime now = wiring_.clock.boot();
    w.ingress.clear();
    ++w.sessions;
    CameraSession camera{
        .source = wiring_.make_source(*settings_, wiring_.clock, w.ingress, encoders_),
        .guard = {*settings_, encoders_},
        .run = random_run_id(),
        .started = now,
        .last_frame = now,
        .skipped = w.session.skipped_frames(),
        .refused = w.ingress.stats().refused_frames};
    w.session.begin_run(camera.run);
    w.camera.emplace(std::move(camera));
    if (!w.disk_problem && w.failures == 0) say_state(link::CameraState::connecting, "");
    if (auto started = w.camera->source->start(); !started)
        end_session(started.error().code == ErrorCode::invalid ? journal::GapCause::refused
                                                               : journal::GapCause::encoder,
                    started.error().what, clip::EndReason::stream_lost);
}

void Recorder::take(ingest::SourceEvent&& event) {
    Work& w = *work_;
    if (!w.camera) return;
    if (const auto* frame = std::get_if<ingest::Frame>(&event)) {
        take_frame(*frame);
    } else if (const auto* format = std::get_if<ingest::StreamFormat>(&event)) {
        take_format(*format);
    } else if (const auto* heard = std::get_if<ingest::AudioFrame>(&event)) {
        w.session.add_audio(*heard);
    } else if (const auto* sound = std::get_if<ingest::AudioFormat>(&event)) {
        w.session.set_audio(*sound);
        if (std::exchange(state_.audio, w.session.audio_words()) != state_.audio)
            log::info("camera.audio", "camera={} audio=\"{}\"", to_string(options_.camera),
                      state_.audio);
    } else if (const auto* dropped = std::get_if<ingest::Dropped>(&event)) {
        take_dropped(*dropped);
    } else if (const auto* lost = std::get_if<ingest::Lost>(&event)) {
        take_lost(*lost);
    } else {
        w.camera->connected = true;
    }
}

void Recorder::take_lost(const ingest::Lost& lost) {
    end_session(lost.cause, lost.detail, clip::EndReason::stream_lost);
    if (lost.remedy == ingest::Remedy::new_source || ended_ == Ended::hung) return;
    stop_why_ = lost.detail;
    ended_ = Ended::no_dialer;
}

void Recorder::take_format(const ingest::StreamFormat& format) {
    Work& w = *work_;
    state_.encoder = format.encoder;
    state_.encoder_why = format.encoder_why;
    w.camera->kept = format.encoder == "camera";
    const auto lost =
        w.camera->kept ? w.camera->guard.look(format, wiring_.clock.boot()) : std::nullopt;
    if (lost) return end_session(lost->cause, lost->detail, clip::EndReason::stream_lost);
    w.session.set_format(format);
}

void Recorder::take_frame(const ingest::Frame& frame) {
    Work& w = *work_;
    w.camera->last_frame = std::max(wiring_.clock.boot(), w.camera->started + Micros(1));
    if (leave_by_ && frame.key()) {
        stop_why_ = "the daemon is of another release";
        return;
    }
    if (auto done = w.session.add(frame); !done) {
        end_session(journal::GapCause::refused, done.error().what, clip::EndReason::stream_lost);
        return;
    }
    if (!w.session.is_open()) return;
    w.camera->keyless_since.reset();
    if (!w.camera->has_frames) {
        w.camera->has_frames = true;
        w.failures = 0;
        w.queue.offer(WriteJournal{
            journal::RunBegan{w.time.now().stamp(frame.pts), w.camera->run, state_.encoder}});
        if (!w.disk_problem) {
            state_.state = link::CameraState::recording;
            state_.detail.clear();
            say(state_);
        }
    }
    if (!w.disk_problem && !w.camera->overload) say_state(link::CameraState::recording, "");
    const auto lost =
        w.camera->kept ? w.camera->guard.look(frame, wiring_.clock.boot()) : std::nullopt;
    if (lost) end_session(lost->cause, lost->detail, clip::EndReason::stream_lost);
}

void Recorder::end_session(journal::GapCause cause, const std::string& detail,
                           clip::EndReason reason) {
    Work& w = *work_;
    CameraSession camera = std::move(*w.camera);
    w.damaged_before += camera.source->stats().unusable_frames;
    w.camera.reset();
    if (auto stopped = camera.source->stop(wiring_.clock.boot() + kStopPatience); !stopped) {
        // Its threads still run and use the ingress. Close what is open and end the process.
        log::error("source.hung", "camera={} error=\"{}\" action=restart",
                   to_string(options_.camera), stopped.error().what);
        static_cast<void>(camera.source.release());
        ended_ = Ended::hung;
        stop_why_ = "the connection to the camera hung";
    }
    // What came in before is recorded still.
    while (auto event = camera.has_frames ? w.ingress.pop(Micros(0)) : std::nullopt) {
        if (const auto* dropped = std::get_if<ingest::Dropped>(&*event)) take_dropped(*dropped);
        if (const auto* format = std::get_if<ingest::StreamFormat>(&*event))
            w.session.set_format(*format);
        if (const auto* heard = std::get_if<ingest::AudioFrame>(&*event))
            w.session.add_audio(*heard);
        const auto* frame = std::get_if<ingest::Frame>(&*event);
        if (frame && !w.session.add(*frame)) break;
    }
    if (const std::uint64_t lost = w.ingress.stats().dropping; lost > 0)
        take_dropped({.frames = lost, .first_pts = {}});
    const auto camera_clock = camera.source ? facts_of(camera.source->stats().camera_clock)
                                            : std::optional<journal::CameraClock>();
    camera.source.reset();
    say_encoder(false);  // Before a process that hangs ends: the daemon remembers what failed.
    w.session.end(reason, detail, wiring_.clock.boot()).ignore();
    const journal::Stamp seen = w.time.stamp_now();
    if (camera.has_frames) {
        const auto end = w.session.end_of_last_frame();
        w.queue.offer(WriteJournal{journal::RunEnded{.when = end ? w.time.now().stamp(*end) : seen,
                                                     .run = camera.run,
                                                     .cause = cause,
                                                     .detail = detail,
                                                     .camera_clock = camera_clock}});
    }
    w.queue.offer(OpenGap{seen, cause, detail});
    w.failures = camera.has_frames ? 0 : w.failures + 1;
    const BootTime now = wiring_.clock.boot();
    w.retry_at = retry_at({.cause = cause,
                           .failures = w.failures,
                           .jitter = random_run_id().value,
                           .began = camera.started,
                           .ended = now});
    if (reason != clip::EndReason::stream_lost) return;
    if (!w.disk_problem) say_state(state_after(cause), detail);
    std::uint64_t suppressed = 0;
    if (loss_log_.allow(now.us, suppressed))
        log::warn("stream.lost", "camera={} cause={} detail=\"{}\" retry_in_ms={} suppressed={}",
                  to_string(options_.camera), journal::to_string(cause), detail,
                  (w.retry_at - now).count() / 1000, suppressed);
}

}  // namespace hd::record
