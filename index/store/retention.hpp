// Which clips die next. Pure: same inputs, same plan; no disk, no clock. The caller marks them as
// garbage (Store::mark_garbage) and sweeps (sweep_garbage).
//
// Rules, in this order: a held clip never dies; the newest `keep_clips` of a camera never die; age
// counts only when the clock can be trusted, and at most an hour beyond the newest clip of the hub;
// deletions are oldest first. At most `max_delete` clips
// and `max_delete_share` of a camera's clips in one pass, so that a wrong clock, a wrong setting or
// a burst of new clips never empties the disk.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "index/store/rows.hpp"

namespace hd::store {

struct CameraLimits {
    std::optional<std::uint64_t> max_bytes;  // none: no limit
    std::optional<Micros> max_age;           // a clip dies when its END is older than this
    std::uint32_t keep_clips = 10;           // the newest ones stay, whatever the limits say
};

struct RetentionCamera {
    CameraId camera;
    CameraLimits limits;
    CameraTotals totals;
    // Oldest first; gives none at the end. Called as often as the plan needs.
    std::function<std::optional<ClipRow>()> next_oldest;
};

struct RetentionInput {
    std::vector<RetentionCamera> cameras;
    std::optional<std::uint64_t> max_total_bytes;  // all cameras together
    std::uint64_t free_bytes = 0;                  // of the file system
    std::uint64_t reserve_bytes = 0;               // keep this much free; 0: no reserve
    std::vector<TimeSpan> holds;                   // nothing that overlaps these dies (all cameras)
    std::function<bool(const ClipRow&)>
        held;  // and nothing this says (live releases); may be empty
    WallTime now;
    ClockQuality now_quality = ClockQuality::unsynchronised;
    std::uint32_t max_delete = 1000;
    double max_delete_share = 0.25;  // of a camera's clips in one pass, for the age rule
};

enum class DeleteReason : std::uint8_t { camera_age, camera_bytes, total_bytes, free_space };
std::string_view to_string(DeleteReason r);

struct Deletion {
    ClipRow clip;
    DeleteReason why = DeleteReason::camera_bytes;
};

struct RetentionPlan {
    std::vector<Deletion> deletions;  // oldest first within a camera
    std::uint64_t bytes = 0;          // that they free
    std::uint64_t lag_bytes = 0;      // still over a limit after this plan (more passes, or holds)
    std::uint64_t lag_clips = 0;      // too old after this plan, as far as was looked
    Micros lag_age{0};                // by how much the oldest of them is too old
    bool below_reserve = false;       // the disk has less free space than it should: hurry
    bool age_ignored = false;         // the clock cannot be trusted: only sizes counted
};

RetentionPlan plan_retention(const RetentionInput& input);

// How many files may be unlinked now: `per_s` since the last time (a second of them at most, so
// that a rest is not followed by a burst), ten times as many while the disk is below its reserve.
std::uint32_t sweep_allowance(Micros since_last, std::uint32_t per_s, bool below_reserve);

}  // namespace hd::store
