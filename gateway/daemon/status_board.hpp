// What `status` and `cameras` show. Every thread writes its part, `rpc` copies it out. Thread-safe;
// locks are leaves and held only to copy.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/ids.hpp"
#include "index/base/time.hpp"
#include "index/base/walls.hpp"

namespace hd::daemon {

struct CameraStatus {
    std::string name;
    bool enabled = true;
    std::string encode;              // "auto", "camera", "hub"
    std::string state = "starting";  // a word of docs/protocol.md, `status`
    std::string detail;
    WallTime since;
    std::string encoder, encoder_why, codec;
    std::string audio;  // how it is recorded, or why it is not
    std::uint16_t width = 0, height = 0;
    std::uint64_t frames = 0, bytes = 0, dropped_frames = 0, reconnects = 0, damaged_frames = 0;
    std::uint32_t recorder_restarts = 0;
    std::uint32_t sync_ms_max = 0;
    std::optional<std::int64_t> camera_clock_offset_us;
    Micros key_distance{0};                 // between key frames, the longest of late
    Micros loss_window{0};                  // that the sync period means
    std::optional<WallTime> durable_until;  // of this daemon's time
    std::optional<BootTime> durable_boot;
    std::vector<Wall> walls;  // of the recorder that runs now, by its own report
};

struct CameraStock {  // what the index says
    std::uint64_t clips = 0, stored_bytes = 0;
    std::optional<WallTime> oldest, newest;
};

// What retention owes: clips that should be gone by now.
struct RetentionLag {
    std::uint64_t bytes = 0;          // over a limit of size or below the reserve
    Micros age{0};                    // of the oldest clip beyond its limit of age
    std::uint64_t garbage_bytes = 0;  // out of the index, file not yet unlinked
};

struct IndexStatus {
    RetentionLag lag;
    bool rebuilding = false;
    std::uint64_t rows = 0;
    WallTime complete_from{};
    std::uint64_t rebuild_done = 0, rebuild_total = 0;
    std::uint64_t stored_bytes = 0;
    std::map<CameraId, CameraStock> cameras;
};

// The board's encoders and who uses them; empty until somebody needed one.
struct EncoderStatus {
    std::vector<std::string> elements;  // that work, best first
    std::string why, hardware_why;
    std::uint64_t hardware_budget = 0, hardware_used = 0;  // pixels per second
    std::uint64_t software_budget = 0, software_used = 0;
    std::uint32_t refused_cameras = 0;
};

// How recorders make durable what they wrote.
struct SyncStatus {
    bool shared = false;  // one sync of the file system serves all; else each its own file
    std::string why;
};

// A condition that the operator should know of; gone when it is cleared.
struct Health {
    std::string state;  // warning, error
    std::string text;   // says what to do
};

class StatusBoard {
  public:
    void update_camera(const CameraId& id, const std::function<void(CameraStatus&)>& change);
    void remove_camera(const CameraId& id);
    std::map<CameraId, CameraStatus> cameras() const;
    std::optional<CameraStatus> camera(const CameraId& id) const;
    std::optional<CameraId> camera_named(std::string_view name) const;

    void set_index(IndexStatus status);
    IndexStatus index() const;

    // True if this is news: the caller then publishes a health event.
    bool raise(const std::string& name, std::string state, std::string text);
    bool clear(const std::string& name);
    std::map<std::string, Health> health() const;

    void count_notice() { ++notices_; }
    std::uint64_t notices() const { return notices_; }

    void set_encoders(EncoderStatus status);
    std::optional<EncoderStatus> encoders() const;

    void set_sync(SyncStatus status);
    SyncStatus sync() const;

    void set_walls(std::vector<Wall> walls);
    std::vector<Wall> walls() const;
    void set_gate_walls(std::vector<Wall> walls);  // empty: no gate runs
    std::vector<Wall> gate_walls() const;

  private:
    std::atomic<std::uint64_t> notices_{0};
    mutable std::mutex mutex_;  // A leaf.
    std::map<CameraId, CameraStatus> cameras_;
    IndexStatus index_;
    std::optional<EncoderStatus> encoders_;
    SyncStatus sync_;
    std::map<std::string, Health> health_;
    std::vector<Wall> walls_, gate_walls_;
};

}  // namespace hd::daemon
