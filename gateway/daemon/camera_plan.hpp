// From configuration and policy to what each recorder is told. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/config/config.hpp"
#include "gateway/daemon/policy_shelf.hpp"
#include "index/store/retention.hpp"

namespace hd::daemon {

struct CameraPlan {
    CameraId camera;
    std::string name;
    bool enabled = true;
    std::string encode;  // "auto", "camera", "hub"
    // A power cut takes at most so much of the newest video, on a disk that keeps up.
    Micros loss_window{0};
    // None: nothing may be recorded, because the camera is disabled or no policy rules yet.
    std::optional<link::RecorderSettings> settings;
    store::CameraLimits limits;
};

// Enabled cameras without a policy wait: nothing is recorded that nobody could open.
std::vector<CameraPlan> plan_cameras(const config::Config& config, const Ruling* ruling);

}  // namespace hd::daemon
