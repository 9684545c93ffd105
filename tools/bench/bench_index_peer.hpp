// The peer of the index bench: SQLite with the schema that hubs of this kind use, the same fields
// and the same cache size. And the made-up history that both stores are filled with.
#pragma once

#include <random>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "index/clip/clip_format.hpp"
#include "index/store/rows.hpp"

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

class SqlitePeer {
  public:
    SqlitePeer(const std::string& path, std::uint64_t cache_bytes,
               const std::vector<CameraId>& ids);
    ~SqlitePeer();
    SqlitePeer(const SqlitePeer&) = delete;
    SqlitePeer& operator=(const SqlitePeer&) = delete;

    void set_full_sync(bool full);
    void begin();
    void commit();
    void insert(int camera, const clip::ClipSummary& s);
    void erase(int camera, WallTime start);
    // Appends what overlaps the window, as the index's own rows.
    void window(int camera, TimeSpan window, std::vector<store::ClipRow>& out);
    void checkpoint();

  private:
    void run(const char* sql);
    sqlite3* db_ = nullptr;
    sqlite3_stmt *insert_ = nullptr, *erase_ = nullptr, *select_ = nullptr;
    std::vector<CameraId> ids_;
};

}  // namespace hd::bench
