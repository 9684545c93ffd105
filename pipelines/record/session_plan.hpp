// What a clip session takes from the settings. Pure.
#pragma once

#include "pipelines/link/settings.hpp"
#include "pipelines/record/clip_session.hpp"

namespace hd::record {

SessionPlan plan_of(const link::RecorderSettings& settings);

// True if the camera has to be connected to again; otherwise a cut is enough.
bool needs_reconnect(const link::RecorderSettings& before, const link::RecorderSettings& after);

// How a session with the camera ended.
struct LostSession {
    journal::GapCause cause = journal::GapCause::closed;
    unsigned failures = 0;     // sessions in a row without a frame
    std::uint32_t jitter = 0;  // random, in [0, 2^32): cameras lost together are not asked together
    BootTime began, ended;
};
// When to try again. A camera that is off, or that takes our connection and gives no video, is
// asked once a second: that costs nothing, and it is back the sooner. One that says no, or an
// encoder that fails, is left alone for longer and longer (pipelines/ingest/reconnect.hpp).
BootTime retry_at(const LostSession& lost);

}  // namespace hd::record
