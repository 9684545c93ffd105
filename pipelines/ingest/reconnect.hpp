// When to try again. Pure: no clock, no I/O; the caller brings a random number.
#pragma once

#include <cstdint>

#include "index/base/time.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::ingest {

// Delay before the next attempt, after `failures` sessions in a row that gave no frame (0: the last
// one had frames). 0.5 s, doubling to 30 s; after `refused` 15 s to 120 s, because cameras lock
// accounts out. `jitter` in [0, 2^32) spreads the delay over its upper half, so that cameras that
// lost power together are not asked together.
Micros reconnect_delay(journal::GapCause cause, unsigned failures, std::uint32_t jitter);

}  // namespace hd::ingest
