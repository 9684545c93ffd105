// Times as people write them on a command line, read into UTC. Pure apart from the time zone, which
// comes from TZ as for date(1).
#pragma once

#include <string>
#include <string_view>

#include "index/base/time.hpp"

namespace hd::cli {

// One line for --help texts.
extern const char* const kWhenHelp;

// `now`; `-1h30m` and `+5m` (d, h, m, s) from now; `14:00` or `14:00:05` local time today;
// `yesterday 14:00`; `2026-11-22` (local midnight); `2026-11-22 14:00` (local);
// `2026-11-22T14:00:00.5Z` or with an offset like `+01:00` (RFC 3339).
// invalid: says the rule and gives examples.
Result<WallTime> parse_when(std::string_view text, WallTime now);

// `1h`, `90m`, `2d12h`, `30s`; no sign.
Result<Micros> parse_length(std::string_view text);

// "2026-11-22 15:00:00 +0100" in the local zone.
std::string local_text(WallTime t);

}  // namespace hd::cli
