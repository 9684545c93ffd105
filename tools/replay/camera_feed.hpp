// One camera: its place in the loop, and the appsrc elements of the session that is being served,
// if any. Frames are pushed by the one `pace` thread; sessions come and go on the server's threads.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <gst/app/gstappsrc.h>

#include "tools/replay/timeline.hpp"

namespace hd::replay {

struct GstUnref {
    void operator()(void* o) const { gst_object_unref(o); }
};
using AppSrcPtr = std::unique_ptr<GstAppSrc, GstUnref>;

class CameraFeed {
  public:
    struct Settings {
        std::string name;      // of this camera
        bool counter = false;  // an SEI with number and time in each frame
        Tick begin{0};         // when its first frame is due
    };
    CameraFeed(std::shared_ptr<const Footage> footage, Settings settings);

    const std::string& name() const { return settings_.name; }
    const Footage& footage() const { return *footage_; }
    std::uint64_t frames_sent() const { return sent_.load(); }

    // A session begins: one key frame is pushed at once, so that the server can describe the
    // stream; the rest follows after play(). `audio` may be null. Sets up both elements.
    void prepare(AppSrcPtr video, AppSrcPtr audio, Tick now);
    // The client said PLAY: the stream goes on from the key frame.
    void play(Tick now);
    // No client is left.
    void end();

    // Pushes what is due and returns when the next thing is. Only the `pace` thread.
    Tick step(Tick now);

    // Faults. Frames of the next `span`, or the next `frames` frames, are never sent.
    void lose(Tick now, Micros span);
    void lose_frames(std::uint64_t frames);
    // The same of its sound: for a while, for good, or with times that run away.
    void lose_sound(Tick now, Micros span);
    void end_sound();
    void drift_sound(Tick now, double ppm);
    // From the next frame on the pictures of another footage of the same codec.
    void show(std::shared_ptr<const Footage> footage);

  private:
    enum class Phase { idle, prepared, playing };

    GstBuffer* make_video(const VideoUnit& unit, std::uint64_t number) const;
    void push_video();
    void push_audio_until(Tick now);

    const std::shared_ptr<const Footage> footage_;  // Constant after construction.
    const Settings settings_;                       // Constant after construction.
    std::atomic<std::uint64_t> sent_{0};

    // Guarded by mutex_. Pushing into an appsrc never blocks and calls nobody back, so it is done
    // under the lock: a session cannot end between the decision and the push.
    std::mutex mutex_;
    Phase phase_ = Phase::idle;
    std::shared_ptr<const Footage> showing_;  // what timeline_ runs over
    AppSrcPtr video_, audio_;
    Timeline timeline_;
    Tick session_begin_{0};          // due time of the session's first frame
    GstClockTime running_begin_{0};  // running time of that frame's dts
    std::size_t audio_index_ = 0;
    Tick audio_loop_{0};
    Tick silent_until_{0};
    Tick mute_until_{0};    // of the sound alone
    double drift_ppm_ = 0;  // of its times
    Tick drift_begin_{0};
    std::uint64_t frames_to_lose_ = 0;
};

}  // namespace hd::replay
