// What the index knows about a clip and about a gap. Values only; nothing here exists only in the
// index: a ClipRow is derived from the clip file's summary (and clock.log), a GapRow from the
// camera's journal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "index/base/ids.hpp"
#include "index/base/time.hpp"
#include "index/clip/clip_format.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::store {

// A clip, lean: digests, clip id, codec and piece table stay in its file.
struct ClipRow {
    CameraId camera;
    WallTime begin, end;  // half-open, UTC; re-stamped if `restamped`
    WallTime name_time;   // of the file name; differs from `begin` for a re-stamped clip
    RunId run;
    std::uint64_t size_bytes = 0;  // of the whole file
    std::uint32_t frames = 0;
    std::uint32_t pieces = 0;
    clip::EndReason reason = clip::EndReason::target;
    ClockQuality quality = ClockQuality::unsynchronised;  // what the file says
    bool restamped = false;  // recorded unsynchronised; begin and end = BOOTTIME + clock.log offset
    bool open = false;  // still being written: size and end are those of the last durable piece
    bool operator==(const ClipRow&) const = default;

    TimeSpan span() const { return {begin, end}; }
};

// Relative to <data>/clips.
std::string clip_path(const ClipRow& row);
clip::ClipName clip_name(const ClipRow& row);

// The order of every answer: begin, then camera, then what makes a clip unique.
inline bool answer_order(const ClipRow& a, const ClipRow& b) {
    if (a.begin != b.begin) return a.begin < b.begin;
    return std::tie(a.camera, a.name_time, a.run) < std::tie(b.camera, b.name_time, b.run);
}

// A clip whose UTC is not known yet: its boot has no offset in clock.log so far. It is visible to
// the owner, counted in the totals, and in no window.
struct PendingClip {
    ClipRow row;  // begin and end are what the file says, and may be decades off
    BootId boot;
    BootTime boot_begin, boot_end;
    bool operator==(const PendingClip&) const = default;
};

// A stretch without video, as the journal tells it: one GapBegan and, later, one GapEnded.
struct GapRecord {
    CameraId camera;
    journal::Stamp begin;
    std::optional<journal::Stamp> end;  // none: still open
    journal::GapCause cause = journal::GapCause::closed;
    bool operator==(const GapRecord&) const = default;
};

// Where a gap ends whose edges lie there in UTC. A clock that was set back by more than the gap
// lasted would end it before it began: then BOOTTIME says how long it was, if it is of one boot.
WallTime gap_end(const GapRecord& gap, WallTime begin, WallTime end);

// The same as an answer gives it.
struct GapRow {
    CameraId camera;
    WallTime begin;
    std::optional<WallTime> end;  // none: still open
    journal::GapCause cause = journal::GapCause::closed;
    bool operator==(const GapRow&) const = default;
};

// What is to be kept of a gap that is told again with the same begin.
GapRow retold(const GapRow& known, GapRow told);

struct CameraTotals {
    CameraId camera;
    std::uint64_t clips = 0, bytes = 0;                  // in the time index
    std::uint64_t pending_clips = 0, pending_bytes = 0;  // recorded, UTC unknown
    std::uint64_t garbage_clips = 0, garbage_bytes = 0;  // marked, file not yet unlinked
    std::optional<WallTime> first;                       // begin of the first clip
    std::optional<WallTime> last;                        // end of the last clip
    bool operator==(const CameraTotals&) const = default;
};

}  // namespace hd::store
