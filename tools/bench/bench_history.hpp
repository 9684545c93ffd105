// The made-up history that the benches of the index are filled with.
#pragma once

#include <random>
#include <vector>

#include "index/clip/clip_format.hpp"

namespace hd::bench {

constexpr WallTime kBegin{1'735'689'600'000'000};  // 2025-01-01

inline CameraId camera_id(int n) {
    std::mt19937_64 rng(static_cast<std::uint64_t>(n) + 99);
    CameraId id;
    for (auto& b : id.bytes) b = static_cast<std::uint8_t>(rng());
    return id;
}

// Clips as a camera at 25 fps makes them: about 60 s, to the next key frame, one after the other,
// sizes that wander, a new run now and then.
class History {
  public:
    History(int cameras, std::uint64_t seed) : rng_(seed) {
        for (int i = 0; i < cameras; ++i) at_.push_back({camera_id(i), kBegin, {1}});
    }
    int cameras() const { return static_cast<int>(at_.size()); }
    // The next clip of a camera.
    clip::ClipSummary next(int camera) {
        At& at = at_[static_cast<std::size_t>(camera)];
        if (rng_() % 1000 == 0) {
            at.run = {static_cast<std::uint32_t>(rng_())};
            at.time = at.time + Micros(static_cast<std::int64_t>(rng_() % 3'000'000));
        }
        clip::ClipSummary s;
        s.camera = at.id;
        s.run = at.run;
        s.utc_begin = at.time;
        const std::int64_t frames = 1500 + static_cast<std::int64_t>(rng_() % 25);
        s.utc_end = at.time + Micros(frames * 40'000 + static_cast<std::int64_t>(rng_() % 1000));
        s.name_time = s.utc_begin;
        s.quality = ClockQuality::synchronised;
        s.frames = static_cast<std::uint32_t>(frames);
        s.pieces = static_cast<std::uint32_t>(60 + rng_() % 3);
        s.size_bytes = 14'000'000 + rng_() % 2'000'000;
        at.time = s.utc_end;
        return s;
    }
    WallTime now(int camera) const { return at_[static_cast<std::size_t>(camera)].time; }

  private:
    struct At {
        CameraId id;
        WallTime time;
        RunId run;
    };
    std::mt19937_64 rng_;
    std::vector<At> at_;
};

}  // namespace hd::bench
