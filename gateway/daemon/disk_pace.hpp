// Whether the disk keeps up with what is recorded. Pure: what recorders say in, words out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "index/base/ids.hpp"
#include "index/base/time.hpp"

namespace hd::daemon {

// A healthy disk's newest durable frame is at most 1.5 s old.
constexpr Micros kSlowDisk = std::chrono::seconds(5);
// Recorders count what they dropped every 5 s.
constexpr Micros kDroppedLately = std::chrono::seconds(12);

struct CameraPace {
    CameraId camera;
    std::string name;
    bool recording = false;
    std::optional<BootTime> durable;  // until when its video is on the disk
    Micros usual{0};  // how old that may be on a disk that keeps up, by its settings
    std::uint64_t dropped_frames = 0;  // since its recorder began
};

class DiskPace {
  public:
    // What is too slow, and what comes of it. Nothing: all is well. About once a second.
    std::optional<std::string> look(const std::vector<CameraPace>& cameras, BootTime now);

  private:
    struct Seen {
        std::optional<BootTime> recording_since;
        bool has_durable = false;  // of the present stretch of recording
        std::uint64_t dropped_frames = 0;
        std::optional<BootTime> dropped_at;
    };
    std::map<CameraId, Seen> seen_;
};

}  // namespace hd::daemon
