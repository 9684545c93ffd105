#include "tools/replay/camera_feed.hpp"

#include <algorithm>
#include <cmath>

#include "index/base/clock.hpp"

namespace hd::replay {
namespace {

// More than this in an appsrc means that its session has come to a stop: old data is dropped, and
// the feed of the others goes on.
constexpr guint64 kAppSrcMaxBytes = 16u << 20;
// Without a session there is nothing to do until one comes; prepare() does not wait for the step.
constexpr Micros kIdle{200'000};
// A frame this late was not delayed by a busy machine: the machine slept. Its frames are lost.
constexpr Micros kSlept{10'000'000};

std::uint64_t unix_ns() { return static_cast<std::uint64_t>(system_clock().wall().us) * 1000; }

GstClockTime to_gst(Micros t) {
    return static_cast<GstClockTime>(std::max<std::int64_t>(0, t.count())) * 1000;
}

GstCaps* video_caps(const Footage& f) {
    if (f.codec == VideoCodec::mjpeg)
        return gst_caps_new_simple("image/jpeg", "width", G_TYPE_INT, f.width, "height", G_TYPE_INT,
                                   f.height, nullptr);
    return gst_caps_new_simple(f.codec == VideoCodec::h264 ? "video/x-h264" : "video/x-h265",
                               "stream-format", G_TYPE_STRING, "byte-stream", "alignment",
                               G_TYPE_STRING, "au", "width", G_TYPE_INT, f.width, "height",
                               G_TYPE_INT, f.height, nullptr);
}

GstCaps* audio_caps(const AudioTrack& a) {
    if (a.codec == AudioCodec::opus)
        return gst_caps_new_simple("audio/x-opus", "rate", G_TYPE_INT, a.rate, "channels",
                                   G_TYPE_INT, a.channels, "channel-mapping-family", G_TYPE_INT, 0,
                                   nullptr);
    if (a.codec != AudioCodec::aac)
        return gst_caps_new_simple(a.codec == AudioCodec::pcma ? "audio/x-alaw" : "audio/x-mulaw",
                                   "rate", G_TYPE_INT, a.rate, "channels", G_TYPE_INT, a.channels,
                                   nullptr);
    GstBuffer* config = gst_buffer_new_memdup(a.codec_config.data(), a.codec_config.size());
    GstCaps* caps = gst_caps_new_simple("audio/mpeg", "mpegversion", G_TYPE_INT, 4, "stream-format",
                                        G_TYPE_STRING, "raw", "framed", G_TYPE_BOOLEAN, TRUE,
                                        "rate", G_TYPE_INT, a.rate, "channels", G_TYPE_INT,
                                        a.channels, "codec_data", GST_TYPE_BUFFER, config, nullptr);
    gst_buffer_unref(config);
    return caps;
}

void set_up(GstAppSrc* src, GstCaps* caps) {
    g_object_set(src, "format", GST_FORMAT_TIME, "is-live", TRUE, "block", FALSE, "max-bytes",
                 kAppSrcMaxBytes, "max-buffers", static_cast<guint64>(0), "caps", caps, nullptr);
    gst_util_set_object_arg(G_OBJECT(src), "leaky-type", "downstream");
    gst_caps_unref(caps);
}

}  // namespace

CameraFeed::CameraFeed(std::shared_ptr<const Footage> footage, Settings settings)
    : footage_(std::move(footage)),
      settings_(std::move(settings)),
      showing_(footage_),
      timeline_(*showing_, settings_.begin) {}

GstBuffer* CameraFeed::make_video(const VideoUnit& unit, std::uint64_t number) const {
    const ByteView au = ByteView(showing_->video_bytes).subspan(unit.offset, unit.size);
    Bytes sei;
    // RTP carries a JPEG's picture only: a number beside it would not arrive.
    if (settings_.counter && footage_->codec != VideoCodec::mjpeg)
        sei = counter_nal(footage_->codec, {number, unix_ns()});
    GstBuffer* buffer = gst_buffer_new_allocate(nullptr, au.size() + sei.size(), nullptr);
    const ByteView before = au.first(unit.first_vcl), after = au.subspan(unit.first_vcl);
    gst_buffer_fill(buffer, 0, before.data(), before.size());
    gst_buffer_fill(buffer, before.size(), sei.data(), sei.size());
    gst_buffer_fill(buffer, before.size() + sei.size(), after.data(), after.size());
    return buffer;
}

void CameraFeed::push_video() {
    const VideoUnit& unit = timeline_.frame();
    GstBuffer* buffer = make_video(unit, timeline_.number());
    const Micros since = timeline_.due() - session_begin_;
    GST_BUFFER_PTS(buffer) = running_begin_ + to_gst(since + (unit.pts - unit.dts));
    GST_BUFFER_DTS(buffer) = running_begin_ + to_gst(since);
    if (!unit.key) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    if (gst_app_src_push_buffer(video_.get(), buffer) == GST_FLOW_OK) ++sent_;
}

void CameraFeed::push_audio_until(Tick now) {
    if (!audio_) return;
    const AudioTrack& track = *footage_->audio;
    for (;;) {
        const AudioUnit& unit = track.units[audio_index_];
        const Tick due = audio_loop_ + unit.pts;
        if (due > now) return;
        if (due >= mute_until_) {
            const Micros away(drift_ppm_ == 0
                                  ? 0
                                  : std::llround(static_cast<double>((due - drift_begin_).count()) *
                                                 drift_ppm_ / 1e6));
            GstBuffer* buffer = gst_buffer_new_memdup(track.bytes.data() + unit.offset, unit.size);
            GST_BUFFER_PTS(buffer) = running_begin_ + to_gst(due - session_begin_ + away);
            gst_app_src_push_buffer(audio_.get(), buffer);
        }
        if (++audio_index_ == track.units.size()) {
            audio_index_ = 0;
            audio_loop_ += footage_->length;
        }
    }
}

void CameraFeed::prepare(AppSrcPtr video, AppSrcPtr audio, Tick now) {
    if (audio) set_up(audio.get(), audio_caps(*footage_->audio));
    const std::lock_guard lock(mutex_);
    set_up(video.get(), video_caps(*showing_));
    video_ = std::move(video);
    audio_ = std::move(audio);
    timeline_.skip_until(now);
    timeline_.rewind_to_key(now);
    session_begin_ = now;
    running_begin_ = 0;
    push_video();
    timeline_.advance();
    audio_loop_ = timeline_.loop_begin();
    audio_index_ = 0;
    if (audio_) {
        // The server also waits for a first packet of sound; it continues where the picture is.
        const auto& units = footage_->audio->units;
        while (audio_loop_ + units[audio_index_].pts < now)
            if (++audio_index_ == units.size()) {
                audio_index_ = 0;
                audio_loop_ += footage_->length;
            }
        push_audio_until(audio_loop_ + units[audio_index_].pts);
    }
    phase_ = Phase::prepared;
}

void CameraFeed::play(Tick now) {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::prepared) return;
    // The key frame of prepare() leaves now; what follows keeps its distance to it.
    const Micros waited = now - session_begin_;
    session_begin_ += waited;
    timeline_.delay(waited);
    audio_loop_ += waited;
    phase_ = Phase::playing;
}

void CameraFeed::end() {
    AppSrcPtr video, audio;  // Released outside the lock.
    const std::lock_guard lock(mutex_);
    video.swap(video_);
    audio.swap(audio_);
    phase_ = Phase::idle;
}

Tick CameraFeed::step(Tick now) {
    const std::lock_guard lock(mutex_);
    if (phase_ != Phase::playing) return now + kIdle;
    if (now - timeline_.due() > kSlept) timeline_.skip_until(now);
    while (timeline_.due() <= now) {
        const bool lost = timeline_.due() < silent_until_ || frames_to_lose_ > 0;
        if (frames_to_lose_ > 0) --frames_to_lose_;
        if (!lost) push_video();
        timeline_.advance();
    }
    if (now >= silent_until_) push_audio_until(now);
    return timeline_.due();
}

void CameraFeed::lose(Tick now, Micros span) {
    const std::lock_guard lock(mutex_);
    silent_until_ = now + span;
}

void CameraFeed::lose_sound(Tick now, Micros span) {
    const std::lock_guard lock(mutex_);
    mute_until_ = now + span;
}

void CameraFeed::end_sound() {
    const std::lock_guard lock(mutex_);
    mute_until_ = Tick::max();
}

void CameraFeed::drift_sound(Tick now, double ppm) {
    const std::lock_guard lock(mutex_);
    drift_begin_ = now;
    drift_ppm_ = ppm;
}

void CameraFeed::lose_frames(std::uint64_t frames) {
    const std::lock_guard lock(mutex_);
    frames_to_lose_ += frames;
}

void CameraFeed::show(std::shared_ptr<const Footage> footage) {
    const std::lock_guard lock(mutex_);
    timeline_.show(*footage);
    showing_ = std::move(footage);
    if (!video_) return;
    GstCaps* caps = video_caps(*showing_);
    gst_app_src_set_caps(video_.get(), caps);
    gst_caps_unref(caps);
}

}  // namespace hd::replay
