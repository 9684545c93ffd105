#include "pipelines/record/session_plan.hpp"

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
            .longest_frame = s.frame_gap_timeout};
}

bool needs_reconnect(const link::RecorderSettings& a, const link::RecorderSettings& b) {
    return a.url != b.url || a.user != b.user || a.password != b.password || a.tls != b.tls ||
           a.transport != b.transport || a.reader != b.reader || a.encode != b.encode ||
           a.audio != b.audio || a.jitter_latency != b.jitter_latency ||
           a.max_width != b.max_width || a.max_height != b.max_height ||
           a.max_frames_per_s != b.max_frames_per_s || a.max_kbit_per_s != b.max_kbit_per_s;
}

Micros retry_delay(journal::GapCause cause, unsigned failures, std::uint32_t jitter) {
    if (cause != journal::GapCause::unreachable)
        return ingest::reconnect_delay(cause, failures, jitter);
    // 0.75 to 1 s: cameras that lost power together are not asked together.
    constexpr std::int64_t kLeastUs = 750'000, kSpreadUs = 250'000;
    return Micros(kLeastUs + kSpreadUs * (std::int64_t{jitter} >> 16) / 65536);
}

}  // namespace hd::record
