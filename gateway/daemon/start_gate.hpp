// Cameras are not all connected to at once: after a power cut the hub would load its processor, and
// a switch or a recorder's worth of cameras their network, with every handshake in one second.
// Pure.
#pragma once

#include <map>
#include <optional>

#include "index/base/ids.hpp"
#include "index/base/time.hpp"

namespace hd::daemon {

class StartGate {
  public:
    struct Limits {
        std::size_t at_once = 4;
        // A camera that does not answer keeps nobody waiting for longer: of 16 cameras the last is
        // started after 6 s at the latest.
        Micros hold = std::chrono::seconds(2);
    };
    explicit StartGate(Limits limits) : limits_(limits) {}
    StartGate() : StartGate(Limits{}) {}

    bool may_start(BootTime now) {
        std::erase_if(starting_,
                      [&](const auto& entry) { return now - entry.second >= limits_.hold; });
        return starting_.size() < limits_.at_once;
    }
    void started(const CameraId& camera, BootTime now) { starting_[camera] = now; }
    // It records, or has found out that it cannot, or is gone.
    void settled(const CameraId& camera) { starting_.erase(camera); }

  private:
    const Limits limits_;
    std::map<CameraId, BootTime> starting_;
};

}  // namespace hd::daemon
