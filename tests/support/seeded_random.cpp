#include "tests/support/seeded_random.hpp"

#include <mutex>
#include <random>

#include <sodium.h>

#include "index/base/check.hpp"

namespace hd::test {
namespace {

std::mutex mutex;
std::mt19937_64 source;  // Guarded by mutex.

void fill(void* out, std::size_t size) {
    const std::lock_guard lock(mutex);
    auto* bytes = static_cast<unsigned char*>(out);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(source());
}

}  // namespace

void seed_random(std::uint64_t seed) {
    static randombytes_implementation seeded{
        .implementation_name = [] { return "seeded"; },
        .random =
            [] {
                std::uint32_t out = 0;
                fill(&out, sizeof out);
                return out;
            },
        .stir = nullptr,
        .uniform = nullptr,
        .buf = fill,
        .close = nullptr,
    };
    HD_CHECK(sodium_init() >= 0);
    HD_CHECK(randombytes_set_implementation(&seeded) == 0);
    const std::lock_guard lock(mutex);
    source.seed(seed);
}

}  // namespace hd::test
