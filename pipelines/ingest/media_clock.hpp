// RTP timestamps to BOOTTIME: when the camera's picture was taken, as far as arrivals tell. Pure.
//
// As the jitter buffer of GStreamer in its `slave` mode: the least delayed packets of the last
// seconds show how the camera's clock stands to ours, and the mapping follows them slowly. So
// delays of the network do not move pictures, drift is followed, and there is no added latency.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "index/base/time.hpp"

namespace hd::ingest {

class MediaClock {
  public:
    // `rate`: RTP ticks per second, over 0.
    explicit MediaClock(std::uint32_t rate) : rate_(rate) {}

    // Maps the timestamp of an access unit whose first packet came at `arrival`. Timestamps may go
    // back a little (B-frames) and wrap. A jump of the camera's timestamps of over a second that
    // the arrivals do not share begins the mapping anew.
    BootTime map(std::uint32_t timestamp, BootTime arrival);

    // As map() would, but learns nothing; for sender reports. Nothing before the first map().
    std::optional<BootTime> where(std::uint32_t timestamp) const;

    // The next map() begins anew (another SSRC).
    void restart() { started_ = false; }

    std::uint64_t resyncs() const { return resyncs_; }

  private:
    // 2.5 s of 50 fps, 5 s of 25 fps: network delays are seldom longer, and 500 ppm of drift are
    // 2.5 ms in 5 s.
    static constexpr std::size_t kWindow = 128;

    std::int64_t media_us(std::int64_t ticks) const;
    void begin(std::uint32_t timestamp, BootTime arrival);
    std::int64_t window_min() const;
    void follow(std::int64_t elapsed_us);

    const std::uint32_t rate_;
    bool started_ = false;
    BootTime base_;
    std::uint32_t last_timestamp_ = 0;
    std::int64_t ticks_ = 0;  // of last_timestamp_, from base_
    BootTime last_arrival_;
    double skew_us_ = 0;  // added to base + media time
    std::array<std::int64_t, kWindow> window_{};
    std::size_t count_ = 0, next_ = 0;
    std::uint64_t resyncs_ = 0;
};

}  // namespace hd::ingest
