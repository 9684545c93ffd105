#include "pipelines/ingest/encoder_watch.hpp"

#include <fmt/format.h>

namespace hd::ingest {
namespace {

// No encoder holds back that many: with B-frames and look-ahead off it is one to four.
constexpr std::uint64_t kHeldBack = 16;
// So many waiting pictures mean that the thread that takes them away stands still.
constexpr unsigned kStuck = 6;
constexpr Micros kWindow = std::chrono::seconds(5);

}  // namespace

void EncoderWatch::prepared(BootTime now) {
    const std::lock_guard lock(mutex_);
    if (!quiet_since_) quiet_since_ = now;
}

void EncoderWatch::taken(BootTime now) {
    const std::lock_guard lock(mutex_);
    if (!quiet_since_) quiet_since_ = now;
    ++taken_since_given_;
}

void EncoderWatch::given(BootTime now) {
    const std::lock_guard lock(mutex_);
    quiet_since_ = now;
    ever_given_ = true;
    taken_since_given_ = 0;
    ++given_in_window_;
}

std::optional<std::string> EncoderWatch::offered(BootTime now, unsigned waiting) {
    const std::lock_guard lock(mutex_);
    if (!window_begin_) window_begin_ = now;
    ++offered_in_window_;
    if (!quiet_since_) return std::nullopt;
    const Micros quiet = now - *quiet_since_;
    if (quiet <= (ever_given_ ? kPatience : kFirstPatience)) return std::nullopt;
    if (taken_since_given_ > kHeldBack)
        return fmt::format("took {} pictures and gave none for {} ms", taken_since_given_,
                           quiet.count() / 1000);
    if (waiting >= kStuck) return fmt::format("hangs for {} ms", quiet.count() / 1000);
    return std::nullopt;  // Nothing to encode: the decoder waits for a key frame.
}

std::optional<EncoderWatch::Rates> EncoderWatch::rates(BootTime now) {
    const std::lock_guard lock(mutex_);
    if (!window_begin_ || now - *window_begin_ < kWindow) return std::nullopt;
    const auto per_1000_s = [span = now - *window_begin_](std::uint64_t count) {
        return static_cast<std::uint32_t>(count * 1'000'000'000 /
                                          static_cast<std::uint64_t>(span.count()));
    };
    const Rates out{per_1000_s(offered_in_window_), per_1000_s(given_in_window_)};
    window_begin_ = now;
    offered_in_window_ = given_in_window_ = 0;
    return out;
}

}  // namespace hd::ingest
