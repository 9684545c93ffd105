// Which video encoders of this machine work, tried and not believed. `halfdoor-recorder --probe`
// calls run_probe().
#pragma once

#include <iosfwd>

#include "pipelines/ingest/encoder_choice.hpp"

namespace hd::ingest {

// Longest time that one candidate gets. A hardware encoder needs some 100 ms for a dozen frames.
constexpr Micros kProbeDeadline = std::chrono::seconds(4);
// Frames that go in, and have to come out: some drivers stop after the first one.
constexpr int kProbeFrames = 12;

// Encodes kProbeFrames frames in a child process, which is killed after `deadline`: a driver may
// hang, or end its process. Forks: the calling process should have one thread.
ProbeResult probe_encoder(const Candidate& candidate, Micros deadline = kProbeDeadline);

// Reads the board's facts, probes each candidate and writes one JSON object a line to `out`:
// {"board":...}, {"excluded":...}, {"probed":...} for each candidate and {"choice":...}. Returns
// the exit code of the program: 0 something encodes, 1 nothing does.
int run_probe(std::ostream& out);

}  // namespace hd::ingest
