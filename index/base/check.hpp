// HD_CHECK: for our own mistakes only, on in every build. Never for input, disks or peers.
#pragma once

namespace hd {
[[noreturn]] void check_failed(const char* expr, const char* file, int line);
}

#define HD_CHECK(expr) \
    ((expr) ? static_cast<void>(0) : ::hd::check_failed(#expr, __FILE_NAME__, __LINE__))

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif
