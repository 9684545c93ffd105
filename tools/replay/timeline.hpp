// Where a camera is in its loop, and which number its next frame has. Pure: the caller brings the
// time.
//
// Frame numbers count what the camera "saw" since the program began, whether or not somebody was
// connected: they go on through reconnects, so a checker can count what was lost in between.
#pragma once

#include "tools/replay/footage.hpp"

namespace hd::replay {

// A point of the program's own clock, from its start.
using Tick = Micros;

class Timeline {
  public:
    // `footage` must outlive this and hold at least one frame. The first frame is due at `begin`.
    Timeline(const Footage& footage, Tick begin) : footage_(&footage), loop_begin_(begin) {}

    const VideoUnit& frame() const { return footage_->video[index_]; }
    std::uint64_t number() const { return number_; }
    Tick due() const { return loop_begin_ + frame().dts; }

    // The frame was sent (or lost): on to the next.
    void advance();
    // Frames due before `now` were seen by nobody.
    void skip_until(Tick now);
    // A client came: begin with the newest key frame, due at `now`. The number stays.
    void rewind_to_key(Tick now);
    // The next frame is the first of this footage, due when the next of the old one was.
    void show(const Footage& footage);
    // All that is to come happens `by` later.
    void delay(Micros by) { loop_begin_ += by; }

    // Begin of the loop that the current frame is in.
    Tick loop_begin() const { return loop_begin_; }

  private:
    const Footage* footage_;
    Tick loop_begin_;
    std::size_t index_ = 0;
    std::uint64_t number_ = 0;
};

}  // namespace hd::replay
