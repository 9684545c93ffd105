// Chance that can be had again: from here on the whole test program draws its "random" bytes (keys,
// ids, waits before another try) from a seed. For tests only, and never undone.
#pragma once

#include <cstdint>

namespace hd::test {

void seed_random(std::uint64_t seed);

}  // namespace hd::test
