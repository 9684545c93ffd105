// What a clip session takes from the settings. Pure.
#pragma once

#include "pipelines/link/settings.hpp"
#include "pipelines/record/clip_session.hpp"

namespace hd::record {

SessionPlan plan_of(const link::RecorderSettings& settings);

// True if the camera has to be connected to again; otherwise a cut is enough.
bool needs_reconnect(const link::RecorderSettings& before, const link::RecorderSettings& after);

// When to try again after a session that ended for `cause`. A camera that is off is asked once a
// second, because one refused TCP connection costs nothing and it is back the sooner; for the rest
// pipelines/ingest/reconnect.hpp decides. `jitter` in [0, 2^32).
Micros retry_delay(journal::GapCause cause, unsigned failures, std::uint32_t jitter);

}  // namespace hd::record
