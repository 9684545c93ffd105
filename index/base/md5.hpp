// MD5 (RFC 1321), for RTSP and HTTP digest authentication only: cameras offer nothing else. It
// protects nothing of ours.
#pragma once

#include <array>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"

namespace hd {

// `unavailable` where the machine's policy forbids MD5 (FIPS).
Result<std::array<std::uint8_t, 16>> md5(ByteView bytes);

}  // namespace hd
