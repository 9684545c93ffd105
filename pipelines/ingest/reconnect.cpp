#include "pipelines/ingest/reconnect.hpp"

#include <algorithm>

namespace hd::ingest {

Micros reconnect_delay(unsigned failures, std::uint32_t jitter) {
    constexpr Micros kFirst = std::chrono::milliseconds(500);
    constexpr Micros kMost = std::chrono::seconds(30);
    const unsigned doublings = std::min(failures, 10u);  // 0.5 s * 2^10 is over the limit
    const Micros full = std::min(kMost, kFirst * (1 << doublings));
    const auto spread = (full.count() / 2) * (std::int64_t{jitter} >> 16) / 65536;
    return full / 2 + Micros(spread);
}

}  // namespace hd::ingest
