// The times that RFC 3339 can write: up to the end of the year 9999. Later ones are nobody's, and
// could overflow a subtraction.
#pragma once

#include <cstdint>

namespace hd {

constexpr std::int64_t kLastTimeUs = 253'402'300'799'999'999;  // 9999-12-31T23:59:59.999999Z
constexpr std::int64_t kEndTimeUs = kLastTimeUs + 1;           // the first that is too late

}  // namespace hd
