#include "pipelines/record/session_plan.hpp"

#include <algorithm>

#include "pipelines/ingest/reconnect.hpp"

namespace hd::record {

SessionPlan plan_of(const link::RecorderSettings& s) {
    CutLimits limits;
    limits.target = s.clip_target;
    limits.hard_max = s.clip_max;
    limits.tick = s.sync_period;
    return {.camera = s.camera,
            .hub = s.hub,
            .policy_number = s.policy_number,
            .policy_hash = s.policy_hash,
            .recipients = s.recipients,
            .limits = limits,
            .activity = s.activity,
            .longest_frame = s.frame_gap_timeout};
}

bool needs_reconnect(const link::RecorderSettings& a, const link::RecorderSettings& b) {
    return a.url != b.url || a.user != b.user || a.password != b.password || a.tls != b.tls ||
           a.transport != b.transport || a.encode != b.encode || a.audio != b.audio ||
           a.jitter_latency != b.jitter_latency || a.max_width != b.max_width ||
           a.max_height != b.max_height || a.max_frames_per_s != b.max_frames_per_s ||
           a.max_kbit_per_s != b.max_kbit_per_s;
}

BootTime retry_at(const LostSession& lost) {
    using enum journal::GapCause;
    // What is ours to answer for: the camera is well, and begins anew with a key frame.
    constexpr Micros kAtLeast = std::chrono::milliseconds(100);
    if (lost.cause == overload || lost.cause == disk_full || lost.cause == disk_error)
        return lost.ended + kAtLeast;
    if (lost.cause != unreachable && lost.cause != stalled && lost.cause != closed)
        return lost.ended + ingest::reconnect_delay(lost.failures, lost.jitter);
    // Counted from the beginning of a try, which may itself have waited for a second. A camera that
    // was there a moment ago is asked again at once, but never in a tight loop.
    constexpr std::int64_t kLeastUs = 750'000, kSpreadUs = 250'000;
    const Micros wait(kLeastUs + kSpreadUs * (std::int64_t{lost.jitter} >> 16) / 65536);
    return std::max(lost.began + wait, lost.ended + kAtLeast);
}

}  // namespace hd::record
