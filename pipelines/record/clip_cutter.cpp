#include "pipelines/record/clip_cutter.hpp"

#include <algorithm>

namespace hd::record {
namespace {

// Leaves room in the piece table for the pieces that end with the clip.
constexpr std::uint32_t kMostPieces = clip::kMaxPieces - 8;

std::int64_t tick_number(BootTime t, Micros tick) {
    return t.us / std::max<std::int64_t>(tick.count(), 1);
}

bool clip_must_end(const OpenClip& clip, const FrameFacts& frame, const CutLimits& limits) {
    // The frame's own end is not known yet; the one before it is the best guess.
    const Micros step = std::max(clip.last_duration, frame.dts - clip.last_dts);
    const Micros length_with = frame.pts - clip.begin + step;
    return length_with > std::min(limits.hard_max, clip::kMaxClipLength) ||
           clip.bytes + frame.bytes > 2 * limits.max_bytes || clip.pieces >= kMostPieces;
}

}  // namespace

Decision decide_cut(const OpenClip& clip, const FrameFacts& frame, const CutLimits& limits) {
    if (frame.key && clip.wanted) return {Cut::clip, *clip.wanted};
    // By decode time: with B-frames a key frame is decoded before pictures that are shown earlier.
    if (frame.key && (frame.pts - clip.begin >= limits.target || clip.bytes >= limits.max_bytes))
        return {Cut::clip, clip::EndReason::target};
    if (clip_must_end(clip, frame, limits)) return {Cut::clip, clip::EndReason::hard_max};

    const bool on_tick =
        tick_number(frame.dts, limits.tick) != tick_number(clip.piece_first_dts, limits.tick);
    const bool on_key = frame.key && !(clip.piece_keyed && frame.dts - clip.piece_first_dts <
                                                               limits.shortest_keyed_piece);
    const bool full = clip.piece_bytes + frame.bytes > limits.max_piece_bytes;
    return {on_tick || on_key || full ? Cut::piece : Cut::keep, clip::EndReason::target};
}

OpenClip begin_clip(const FrameFacts& first) {
    OpenClip clip;
    clip.begin = first.pts;
    clip.last_dts = first.dts;
    clip.pieces = 1;  // init
    clip.bytes = clip.piece_bytes = first.bytes;
    clip.piece_first_dts = first.dts;
    clip.piece_keyed = first.key;
    return clip;
}

void take_frame(OpenClip& clip, const FrameFacts& frame, bool begins_piece) {
    clip.begin = std::min(clip.begin, frame.pts);
    clip.last_duration = frame.dts - clip.last_dts;
    clip.last_dts = frame.dts;
    clip.bytes += frame.bytes;
    if (begins_piece) {
        ++clip.pieces;
        clip.piece_first_dts = frame.dts;
        clip.piece_bytes = 0;
        clip.piece_keyed = frame.key;
    }
    clip.piece_bytes += frame.bytes;
}

Micros frame_duration(Micros to_next, Micros usual, Micros longest) {
    if (to_next <= Micros(0) || to_next > longest) return std::max(usual, Micros(1));
    return to_next;
}

}  // namespace hd::record
