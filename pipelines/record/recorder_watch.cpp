// The part of Recorder that watches a session with the camera: whether pictures come, whether
// anybody can decode them, and whether they find room on their way to the disk.
#include <algorithm>

#include "pipelines/record/recorder_work.hpp"

namespace hd::record {
namespace {

// Some cameras send parameter sets seldom, and "smart" codecs key frames 10 s apart and more.
// Connecting again would only lose them; some servers send them to nobody who does not.
constexpr Micros kDecodablePatience = std::chrono::seconds(60);
constexpr std::string_view kNoParameters =
    "pictures come, but no parameter sets (SPS, PPS) to decode them with";
constexpr std::string_view kNoKey = "pictures come, but no key frame yet";

// Pictures behind a hole of ours can be decoded from the next key frame on. A camera that sends
// none soon is asked again, because it begins with one; while the disk goes on refusing what comes
// of that, more and more seldom.
constexpr Micros kFirstAsk = std::chrono::seconds(3);
constexpr Micros kLastAsk = std::chrono::seconds(30);

}  // namespace

void Recorder::watch_session() {
    Work& w = *work_;
    const BootTime now = wiring_.clock.boot();
    if (leave_by_ && (!w.camera || now >= *leave_by_)) {
        stop_why_ = "the daemon is of another release";
        return;
    }
    if (!w.camera) {
        if (now >= w.retry_at) begin_session();
        return;
    }
    if (watch_overload(now) || watch_undecodable(now)) return;
    CameraSession& c = *w.camera;
    // A silent open TCP connection gives no error, ever: the watchdog is ours.
    const bool never = c.last_frame == c.started;
    const Micros patience = never ? settings_->first_frame_timeout : settings_->frame_gap_timeout;
    const BootTime last = std::max(c.last_frame, c.last_unusable);
    // Frames that wait in the ingress because the disk is slow are not the camera's fault.
    if (now - last <= patience || w.ingress.stats().bytes_queued > 0) return;
    end_session(journal::GapCause::stalled,
                never && !c.undecodable.empty()
                    ? std::string(c.undecodable)
                    : fmt::format("no frame for {} ms", (now - last).count() / 1000),
                clip::EndReason::stream_lost);
}

// True: the session has ended.
bool Recorder::watch_overload(BootTime now) {
    Work& w = *work_;
    CameraSession& c = *w.camera;
    const ingest::Ingress::Stats stats = w.ingress.stats();
    if (stats.dropping == 0) return false;
    // The camera lives, whatever becomes of its frames.
    if (std::exchange(c.refused, stats.refused_frames) != stats.refused_frames) c.last_frame = now;
    if (!std::exchange(c.overload, true)) {
        const std::string words = fmt::format("frames are dropped: the {} is too slow",
                                              w.queue.has_room() ? "machine" : "disk");
        log::warn("frames.dropping", "camera={} why=\"{}\"", to_string(options_.camera), words);
        say_state(link::CameraState::disk_problem, words);
        c.broke = journal::GapCause::overload;
        c.broke_detail = words;
    }
    // What came before the first of them is recorded still.
    if (stats.bytes_queued > 0) return false;
    end_overloaded(c.broke_detail);
    return ask_for_key(now);
}

void Recorder::end_overloaded(const std::string& detail) {
    Work& w = *work_;
    if (!w.session.is_open()) return;
    w.session.end(clip::EndReason::overload, detail, wiring_.clock.boot()).ignore();
    w.queue.offer(OpenGap{w.time.stamp_now(), journal::GapCause::overload, detail});
}

void Recorder::take_dropped(const ingest::Dropped& dropped) {
    log::warn("frames.dropped", "camera={} frames={}", to_string(options_.camera), dropped.frames);
    end_overloaded(fmt::format("{} frames dropped", dropped.frames));
    if (work_->camera) work_->camera->overload = false;
}

// Pictures that nobody can decode: the camera lives, so it is waited for, but not for ever. True:
// the session has ended.
bool Recorder::watch_undecodable(BootTime now) {
    Work& w = *work_;
    CameraSession& c = *w.camera;
    const bool never = c.last_frame == c.started;
    const std::uint64_t unusable = never ? c.source->stats().unusable_frames : c.unusable;
    const bool no_parameters = std::exchange(c.unusable, unusable) != unusable;
    const std::uint64_t skipped = w.session.skipped_frames();
    const bool no_key = std::exchange(c.skipped, skipped) != skipped;
    if (!no_parameters && !no_key) return false;
    if (no_parameters) c.last_unusable = now;
    if (w.session.is_open()) return false;
    if (c.has_frames) return ask_for_key(now);

    c.undecodable = no_parameters ? kNoParameters : kNoKey;
    if (!c.keyless_since) c.keyless_since = now;
    if (!w.disk_problem)
        say_state(link::CameraState::connecting, fmt::format("{}: waiting", c.undecodable));
    // After a machine that slept the key frame may wait in the ingress: no gap begins behind it.
    if (w.ingress.stats().bytes_queued > 0) return false;
    const Micros waited = now - *c.keyless_since;
    // Twice or more: GapBook takes a trouble for true when it lasts.
    if (waited - c.gap_said > settings_->first_frame_timeout) {
        c.gap_said = waited;
        w.queue.offer(
            OpenGap{w.time.stamp_now(), journal::GapCause::stalled, std::string(c.undecodable)});
    }
    if (waited <= kDecodablePatience) return false;
    end_session(journal::GapCause::stalled, std::string(c.undecodable),
                clip::EndReason::stream_lost);
    return true;
}

// True: the session has ended for it.
bool Recorder::ask_for_key(BootTime now) {
    Work& w = *work_;
    CameraSession& c = *w.camera;
    if (!c.keyless_since) c.keyless_since = now;
    const Micros wait = std::min(kFirstAsk * (1 << std::min(w.key_asks, 8u)), kLastAsk);
    if (now - *c.keyless_since < wait) return false;
    ++w.key_asks;
    log::info("camera.asked_for_key_frame", "camera={} after_ms={}", to_string(options_.camera),
              (now - *c.keyless_since).count() / 1000);
    const std::string why = c.broke_detail;  // The session takes its own with it.
    end_session(c.broke, why, clip::EndReason::stream_lost);
    return true;
}

}  // namespace hd::record
