// From frames to sealed pieces: cuts, packs into fMP4, seals, and hands to the disk. One object per
// recorder; it lives through runs and clips. One thread.
//
// Each frame goes into exactly one piece, in the order of its coming. A piece is sealed before it
// leaves this object, and its plain bytes are zeroed then.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "index/seal/key_file.hpp"
#include "pipelines/ingest/frame.hpp"
#include "pipelines/mux/fragment_writer.hpp"
#include "pipelines/record/activity_watch.hpp"
#include "pipelines/record/audio_queue.hpp"
#include "pipelines/record/clip_cutter.hpp"
#include "pipelines/record/disk_jobs.hpp"

namespace hd::record {

struct SessionPlan {
    CameraId camera;
    HubId hub;
    std::uint64_t policy_number = 0;
    Digest policy_hash{};
    std::vector<seal::Recipient> recipients;
    CutLimits limits;
    bool activity = false;  // pieces of that kind are written
    // A picture stands for at most this long; what is longer without a frame is no coverage.
    Micros longest_frame = std::chrono::seconds(3);
};

// The mapping from BOOTTIME to UTC, as it is when a clip begins. It holds for the whole clip.
struct TimeBase {
    BootId boot;
    Micros wall_minus_boot{0};
    ClockQuality quality = ClockQuality::unsynchronised;
    WallTime to_wall(BootTime t) const { return WallTime{t.us + wall_minus_boot.count()}; }
    journal::Stamp stamp(BootTime t) const { return {boot, t, to_wall(t), quality}; }
};

class ClipSession {
  public:
    struct Wiring {
        DiskSink& disk;  // must outlive this
        std::function<ClipId()> new_clip_id;
        std::function<TimeBase()> time_base;
        ActivityWatch* activity = nullptr;  // must outlive this; null: no scores
    };
    ClipSession(SessionPlan plan, Wiring wiring);
    ~ClipSession();

    // A new run: frames are dropped until the first key frame. Ends an open clip (stream_lost).
    void begin_run(RunId run);
    // The clip is cut before the next frame if this differs from what is being written.
    void set_format(const ingest::StreamFormat& format);
    // Of the run's sound; before its first frame.
    void set_audio(const ingest::AudioFormat& format);
    // Sound goes into pieces of its own, each behind the piece of video that it belongs to.
    void add_audio(const ingest::AudioFrame& frame) { audio_.add(frame); }
    const std::string& audio_words() const { return audio_.words(); }
    // invalid or corrupt: this stream cannot be recorded (its parameters make no MP4); the clip is
    // closed. exhausted: the disk queue is closed.
    Result<void> add(const ingest::Frame& frame);
    // Ends the open clip, if there is one. `now`: the last picture stands no longer than until then
    // (nothing: as long as the one before it).
    Result<void> end(clip::EndReason reason, std::string_view detail,
                     std::optional<BootTime> now = std::nullopt);
    // Ends it without a footer: its file is broken. The next clip begins with a key frame.
    void abandon(ClipId clip);

    // Cut at the next key frame. The plan, if given, holds from the next clip on.
    void want_cut(clip::EndReason reason);
    void replace_plan(SessionPlan plan);

    bool is_open() const { return clip_ != nullptr; }
    const TimeBase* clip_time() const;                         // of the open clip, or null
    std::uint64_t frames() const { return frames_; }           // taken into pieces since the start
    std::uint64_t skipped_frames() const { return skipped_; }  // before a first key frame
    std::optional<BootTime> end_of_last_frame() const { return last_end_; }

  private:
    struct Clip;
    Result<void> open_clip(const ingest::Frame& first);
    Result<void> settle_pending(std::optional<BootTime> next_dts,
                                std::optional<BootTime> now = std::nullopt);
    Result<void> close_piece();
    Result<void> close_audio();
    Result<void> close_activity(const clip::PieceIdentity& video);
    void meet(BootTime next);
    Result<void> close_clip(clip::EndReason reason, std::string_view detail);
    Result<void> hand_over(const clip::PieceIdentity& identity, ByteView plain);
    Result<void> add_frame(const ingest::Frame& frame);

    SessionPlan plan_;
    Wiring wiring_;
    RunId run_;
    std::optional<ingest::StreamFormat> format_;
    AudioQueue audio_;
    // Where decoding can begin: of the run's newest key frame.
    struct KeyPlace {
        BootTime pts;
        ClipId clip;
    };
    std::optional<KeyPlace> last_key_;
    std::unique_ptr<Clip> clip_;
    bool needs_key_ = true;
    std::uint64_t frames_ = 0, skipped_ = 0;
    std::optional<BootTime> last_end_;
};

}  // namespace hd::record
