// When pieces and clips end. Pure: frames and limits in, a cut out. No clock, no I/O, no log.
#pragma once

#include <cstdint>
#include <optional>

#include "index/base/time.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::record {

struct CutLimits {
    Micros target = std::chrono::seconds(60);
    Micros hard_max = clip::kMaxClipLength;
    // All recorders of a hub close pieces when BOOTTIME crosses a multiple of this, so that their
    // disk syncs meet.
    Micros tick = std::chrono::seconds(1);
    // Cut at the next key frame from here on, and at any frame from twice this on: what a requester
    // fetches and a reader keeps in memory stays bounded whatever the camera's bit rate.
    std::uint64_t max_bytes = 64ull << 20;
    // A quarter of what the clip format allows for a piece. A 1 s piece of a 64 Mbit/s camera.
    std::uint64_t max_piece_bytes = 8ull << 20;
    // A camera whose every frame is a key frame would fill a clip's piece table: key frames this
    // soon after the one that began the piece do not cut.
    Micros shortest_keyed_piece = std::chrono::milliseconds(500);
};

struct FrameFacts {
    BootTime pts, dts;
    bool key = false;
    std::uint64_t bytes = 0;
};

// The clip that is being written, as far as cutting is concerned.
struct OpenClip {
    BootTime begin;            // smallest pts
    BootTime last_dts;         // of the newest frame
    Micros last_duration{0};   // between the two newest frames; 0 if there is but one
    std::uint64_t bytes = 0;   // of all frames
    std::uint32_t pieces = 0;  // closed ones, init included
    BootTime piece_first_dts;  // of the open piece
    std::uint64_t piece_bytes = 0;
    bool piece_keyed = false;  // the open piece begins with a key frame
    // Somebody asked for a cut: settings_change, clock_step.
    std::optional<clip::EndReason> wanted;
};

enum class Cut : std::uint8_t {
    keep,   // the frame goes on with the open piece
    piece,  // before this frame the piece ends
    clip,   // before this frame the clip ends
};
struct Decision {
    Cut cut = Cut::keep;
    clip::EndReason reason = clip::EndReason::target;  // if cut == clip
};

// Codec changes are not decided here: the stream says them, and they always cut.
Decision decide_cut(const OpenClip& clip, const FrameFacts& frame, const CutLimits& limits);

// OpenClip after the frame was taken in. `begins_piece`: the decision was piece (or the clip is
// new).
OpenClip begin_clip(const FrameFacts& first);
void take_frame(OpenClip& clip, const FrameFacts& frame, bool begins_piece);

// How long the newest frame is shown: until the next one, or as long as the one before it if there
// is none. A next one that is late by more than `longest` is not waited for: the time between is
// not claimed to be covered.
Micros frame_duration(Micros to_next, Micros usual, Micros longest);

}  // namespace hd::record
