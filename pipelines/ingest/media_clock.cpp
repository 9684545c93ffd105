#include "pipelines/ingest/media_clock.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace hd::ingest {
namespace {
constexpr std::int64_t kJumpUs = 1'000'000;
// Per picture, of the way still to go: at 25 fps the mapping follows within some 2 s.
constexpr double kFollow = 1.0 / 48;
// At the start the way may be long (the first picture of a session often comes late, and the first
// of a stream with B-frames always does); an eighth of the time that passes keeps pictures in
// order.
constexpr double kStartSlew = 1.0 / 8;
}  // namespace

std::int64_t MediaClock::media_us(std::int64_t ticks) const {
    const std::int64_t rate = rate_;
    return ticks / rate * 1'000'000 + ticks % rate * 1'000'000 / rate;
}

void MediaClock::begin(std::uint32_t timestamp, BootTime arrival) {
    base_ = arrival;
    last_timestamp_ = timestamp;
    last_arrival_ = arrival;
    ticks_ = 0;
    skew_us_ = 0;
    count_ = next_ = 0;
    started_ = true;
}

std::int64_t MediaClock::window_min() const {
    return *std::min_element(window_.begin(),
                             window_.begin() + static_cast<std::ptrdiff_t>(count_));
}

void MediaClock::follow(std::int64_t elapsed_us) {
    const double way = static_cast<double>(window_min()) - skew_us_;
    double step = way * kFollow;
    if (count_ < kWindow && way < 0) {
        const double most = static_cast<double>(std::clamp<std::int64_t>(elapsed_us, 0, kJumpUs));
        step = std::max(way, -most * kStartSlew);
    }
    skew_us_ += step;
}

BootTime MediaClock::map(std::uint32_t timestamp, BootTime arrival) {
    if (!started_) begin(timestamp, arrival);
    const std::int64_t step = static_cast<std::int32_t>(timestamp - last_timestamp_);
    const std::int64_t step_us = media_us(step);
    const std::int64_t arrival_us = (arrival - last_arrival_).count();
    const std::int64_t delta = (arrival - base_).count() - media_us(ticks_ + step);
    // Later than before by over a second: the network was slow, unless the timestamps themselves
    // went back. Earlier by over a second: nothing comes before it was taken.
    const bool jumped = std::abs(step_us) > kJumpUs && std::abs(step_us - arrival_us) > kJumpUs;
    const bool too_early = static_cast<double>(delta) < skew_us_ - static_cast<double>(kJumpUs);
    // Every picture of a whole window came late: it was not the network.
    const bool all_late =
        count_ == kWindow && static_cast<double>(window_min()) > skew_us_ + kJumpUs;
    if (jumped || too_early || all_late) {
        ++resyncs_;
        begin(timestamp, arrival);
        return base_;
    }
    ticks_ += step;
    last_timestamp_ = timestamp;
    last_arrival_ = arrival;
    window_[next_] = delta;
    next_ = (next_ + 1) % kWindow;
    count_ = std::min(count_ + 1, kWindow);
    follow(step_us);
    return base_ + Micros(media_us(ticks_) + std::llround(skew_us_));
}

std::optional<BootTime> MediaClock::where(std::uint32_t timestamp) const {
    if (!started_) return std::nullopt;
    const std::int64_t ticks = ticks_ + static_cast<std::int32_t>(timestamp - last_timestamp_);
    return base_ + Micros(media_us(ticks) + std::llround(skew_us_));
}

}  // namespace hd::ingest
