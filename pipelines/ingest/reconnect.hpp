// When to try again. Pure: no clock, no I/O; the caller brings a random number.
#pragma once

#include <cstdint>

#include "index/base/time.hpp"

namespace hd::ingest {

// Delay before the next attempt at a camera that refuses us, after `failures` sessions in a row
// without a frame (0: the last one had frames): 0.5 s, doubling to 30 s, with its upper half at
// random. `jitter` in [0, 2^32). docs/decisions/0013-time-gaps-reconnect.md says why not slower.
Micros reconnect_delay(unsigned failures, std::uint32_t jitter);

}  // namespace hd::ingest
