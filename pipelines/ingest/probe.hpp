// Which video encoders of this machine work, tried and not believed. `halfdoor-recorder --probe`
// calls run_probe().
#pragma once

#include <iosfwd>

namespace hd::ingest {

// Reads the board's facts, tries each candidate encoder in a child process with a deadline and
// writes one JSON object a line to `out`: {"board":...}, {"encoder":...} for each candidate and
// {"choice":...}. Returns the exit code of the program: 0 a hardware encoder works, 0 as well if
// only software does, 1 if nothing encodes. Takes up to 4 s per candidate. It forks: call it in a
// process with one thread, before anything else of GStreamer.
int run_probe(std::ostream& out);

}  // namespace hd::ingest
