// Inside index/journal only.
#pragma once

#include <cstdint>

namespace hd::journal {

// The year 9999 in microseconds, the last that RFC 3339 can write. Times beyond it could overflow
// a subtraction.
constexpr std::int64_t kMaxTimeUs = 253'402'300'799'999'999;

}  // namespace hd::journal
