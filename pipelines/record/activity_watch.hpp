// Scores key frames on a thread of its own, which never holds up video: it has room for one key
// frame, and what comes while that one is in work gets no score. Who runs run() may have the lowest
// priority.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "index/base/log.hpp"
#include "index/clip/activity.hpp"
#include "pipelines/ingest/frame.hpp"
#include "pipelines/mux/activity.hpp"

namespace hd::record {

mux::VideoTrack track_of(const ingest::StreamFormat& format);

class ActivityWatch {
  public:
    // Any thread. A key frame of this run; another run or format begins without one to compare
    // with.
    void offer(const ingest::Frame& key_frame, const ingest::StreamFormat& format, RunId run);
    // Any thread. What is ready since the last call.
    clip::Activity take();

    // Returns when close() was called.
    void run();
    // One turn of run() that does not wait, for a program without that thread.
    void step();
    void close();

    // A camera whose every frame is a key frame is looked at so often.
    static constexpr Micros kLeastApart = std::chrono::milliseconds(900);

  private:
    struct Job {
        ingest::Frame frame;
        ingest::StreamFormat format;
        RunId run;
    };
    // Nothing: no picture came of it.
    std::optional<clip::ActivityScore> score(const Job& job);
    void work(const Job& job);
    void skip();  // with mutex_ held

    // Only the thread that runs.
    std::unique_ptr<mux::ActivityMeter> meter_;
    std::optional<ingest::StreamFormat> format_;  // that meter_ is for, or cannot be had for
    RunId run_;
    log::RateLimit fail_log_{3600'000'000};

    // Guarded by mutex_. No lock is taken under it, and nothing decoded.
    std::mutex mutex_;
    std::condition_variable ready_;
    std::optional<Job> next_;
    bool in_work_ = false;
    bool closed_ = false;
    std::optional<BootTime> newest_;  // that was offered and taken
    clip::Activity done_;
};

}  // namespace hd::record
