#include "pipelines/ingest/frame_times.hpp"

#include <algorithm>

namespace hd::ingest {
namespace {
constexpr unsigned kMaxDepth = 16;  // H.264 A.3.1 and H.265 A.4.2: decoded picture buffer
// Sender reports come every 1 to 5 s: five minutes at the most frequent.
constexpr std::size_t kMaxSamples = 300;
constexpr std::int64_t kJumpUs = 1'000'000;
// 16 frames of 30 fps are shorter; a longer way back is a jump of the camera's timestamps.
constexpr Micros kNotReordering{1'000'000};
}  // namespace

void DecodeTimes::restart(std::optional<unsigned> depth, Micros frame_duration) {
    depth_ = std::min(depth.value_or(0), kMaxDepth);
    frame_duration_ = frame_duration > Micros(0) ? frame_duration : Micros(40'000);
    latest_.clear();
}

void DecodeTimes::seed(BootTime pts) {
    // The frames before the first one that would have filled the buffer, one duration apart.
    for (unsigned i = depth_; i > 0; --i) latest_.push_back(pts - frame_duration_ * i);
}

DecodeTimes::Times DecodeTimes::next(BootTime pts) {
    if (latest_.empty()) seed(pts);
    latest_.insert(std::upper_bound(latest_.begin(), latest_.end(), pts), pts);
    if (latest_.size() > depth_ + 1) latest_.erase(latest_.begin());
    BootTime dts = latest_.front();

    if (last_dts_ && dts <= *last_dts_) dts = *last_dts_ + Micros(1);
    if (dts > pts) {
        // It is displayed before a frame that it was decoded after, by more than we knew.
        if (depth_ < kMaxDepth && dts - pts < kNotReordering) {
            ++depth_;
            latest_.insert(latest_.begin(), latest_.front());
        }
        ++moved_;
        pts = dts;
    }
    last_dts_ = dts;
    return {pts, dts};
}

void CameraClockEstimate::add(Micros camera_minus_hub) {
    const std::int64_t us = camera_minus_hub.count();
    if (last_ && std::abs(us - *last_) > kJumpUs) {
        ++state_.jumps;
        samples_.clear();  // A new epoch of the camera's clock: old samples say nothing about it.
    }
    last_ = us;
    ++state_.reports;
    samples_.push_back(us);
    if (samples_.size() > kMaxSamples) samples_.pop_front();
}

std::optional<CameraClock> CameraClockEstimate::value() const {
    if (samples_.empty()) return std::nullopt;
    std::vector<std::int64_t> sorted(samples_.begin(), samples_.end());
    std::sort(sorted.begin(), sorted.end());
    CameraClock out = state_;
    const std::size_t n = sorted.size();
    out.offset = Micros(sorted[n / 2]);
    out.spread = Micros((sorted[n * 3 / 4] - sorted[n / 4]) / 2);
    return out;
}

}  // namespace hd::ingest
