// Decode times for frames that come with display times only, and the camera clock's offset. Pure.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "index/base/time.hpp"
#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

// RTP carries display times. dts(n) is the (depth + 1)-th largest pts so far: it grows, and is
// never after the pts, if `depth` is the reorder depth of the stream.
class DecodeTimes {
  public:
    struct Times {
        BootTime pts, dts;
    };

    // A new stream format. `depth` unknown: begins with 0 and learns; the frames from which it
    // learns are shown up to `depth` frames late. `frame_duration` 0: 40 ms is taken.
    void restart(std::optional<unsigned> depth, Micros frame_duration);

    // Frames in decode order. dts of the result grows strictly, dts <= pts.
    Times next(BootTime pts);

    // As in restart(), or the value taken instead.
    Micros frame_duration() const { return frame_duration_; }

    // Frames whose pts had to be moved to keep that promise.
    std::uint64_t moved() const { return moved_; }

  private:
    void seed(BootTime pts);

    unsigned depth_ = 0;
    Micros frame_duration_{40'000};
    std::vector<BootTime> latest_;  // sorted; the depth_ + 1 largest pts so far
    std::optional<BootTime> last_dts_;
    std::uint64_t moved_ = 0;
};

// Median over the last reports; see CameraClock.
class CameraClockEstimate {
  public:
    void add(Micros camera_minus_hub);
    std::optional<CameraClock> value() const;

  private:
    std::deque<std::int64_t> samples_;
    std::optional<std::int64_t> last_;
    CameraClock state_;
};

}  // namespace hd::ingest
