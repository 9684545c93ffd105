#include "pipelines/ingest/reconnect.hpp"

#include <algorithm>

namespace hd::ingest {

Micros reconnect_delay(journal::GapCause cause, unsigned failures, std::uint32_t jitter) {
    using namespace std::chrono_literals;
    const bool refused = cause == journal::GapCause::refused;
    const Micros first = refused ? Micros(15s) : Micros(500ms);
    const Micros most = refused ? Micros(120s) : Micros(30s);
    const unsigned doublings = std::min(failures, 10u);  // 0.5 s * 2^10 is over any limit
    const Micros full = std::min(most, first * (1 << doublings));
    const auto spread = (full.count() / 2) * (std::int64_t{jitter} >> 16) / 65536;
    return full / 2 + Micros(spread);
}

}  // namespace hd::ingest
