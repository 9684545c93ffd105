#include "pipelines/ingest/stream_guard.hpp"

#include <fmt/format.h>

namespace hd::ingest {
namespace {

constexpr Micros kWindow = std::chrono::seconds(10);
constexpr unsigned kWindows = 2;

}  // namespace

std::optional<Lost> StreamGuard::exceeded(std::string what, BootTime now) const {
    using journal::GapCause;
    if (settings_.encode == link::EncodeMode::camera)
        return Lost{GapCause::refused,
                    what +
                        ", and encode = \"camera\" forbids the hub to encode: raise the limit, or "
                        "set encode = \"auto\""};
    desk_->need(what, now);
    return Lost{GapCause::encoder, what + ": the hub encodes from now on"};
}

std::optional<Lost> StreamGuard::look(const StreamFormat& format, BootTime now) {
    if (settings_.encode == link::EncodeMode::hub) return std::nullopt;
    if (format.width > settings_.max_width || format.height > settings_.max_height)
        return exceeded(fmt::format("camera sends {}x{}, over the limit of {}x{}", format.width,
                                    format.height, settings_.max_width, settings_.max_height),
                        now);
    // 29.97 and the like are rounded up by nobody.
    const std::int64_t least_us = 1'000'000 / (std::int64_t{settings_.max_frames_per_s} + 1);
    if (format.frame_duration > Micros(0) && format.frame_duration.count() <= least_us)
        return exceeded(fmt::format("camera sends {:.4g} pictures a second, over the limit of {}",
                                    1e6 / static_cast<double>(format.frame_duration.count()),
                                    settings_.max_frames_per_s),
                        now);
    return std::nullopt;
}

std::optional<Lost> StreamGuard::look(const Frame& frame, BootTime now) {
    if (settings_.encode != link::EncodeMode::automatic) return std::nullopt;
    if (!window_begin_) window_begin_ = now;
    const Micros span = now - *window_begin_;
    if (span < kWindow) {
        bytes_ += frame.bytes.size();
        ++frames_;
        return std::nullopt;
    }
    const double seconds = static_cast<double>(span.count()) / 1e6;
    const double kbit = static_cast<double>(bytes_) * 8 / 1000 / seconds;
    const double rate = static_cast<double>(frames_) / seconds;
    window_begin_ = now;
    bytes_ = frame.bytes.size();
    frames_ = 1;
    const bool many_bits = kbit > settings_.max_kbit_per_s * 1.1;
    const bool many_frames = rate > settings_.max_frames_per_s * 1.1;
    over_ = many_bits || many_frames ? over_ + 1 : 0;
    if (over_ < kWindows) return std::nullopt;
    over_ = 0;
    return exceeded(many_bits
                        ? fmt::format("camera sends {:.0f} kbit/s, over the limit of {}", kbit,
                                      settings_.max_kbit_per_s)
                        : fmt::format("camera sends {:.4g} pictures a second, over the limit of {}",
                                      rate, settings_.max_frames_per_s),
                    now);
}

}  // namespace hd::ingest
