#include "gateway/daemon/camera_plan.hpp"

namespace hd::daemon {

namespace {

std::string word_of(link::EncodeMode mode) {
    switch (mode) {
        case link::EncodeMode::automatic:
            return "auto";
        case link::EncodeMode::camera:
            return "camera";
        case link::EncodeMode::hub:
            return "hub";
    }
    return "auto";
}

// A piece is a sync period long; what lies between its end and the disk is the jitter buffer, then
// the wait for the shared tick and the sync (docs/decisions/0004).
Micros loss_window(const link::RecorderSettings& settings) {
    constexpr Micros kToTheDisk = std::chrono::milliseconds(300);
    return settings.sync_period + settings.jitter_latency + kToTheDisk;
}

store::CameraLimits limits_of(const config::RetentionSettings& hub,
                              const config::CameraSettings& camera) {
    store::CameraLimits limits;
    const Micros age = camera.max_age.count() > 0 ? camera.max_age : hub.max_age;
    if (age.count() > 0) limits.max_age = age;
    const std::uint64_t bytes = camera.max_bytes > 0 ? camera.max_bytes : hub.camera_max_bytes;
    if (bytes > 0) limits.max_bytes = bytes;
    return limits;
}

}  // namespace

std::vector<CameraPlan> plan_cameras(const config::Config& config, const Ruling* ruling) {
    std::vector<CameraPlan> out;
    out.reserve(config.cameras.size());
    for (const config::CameraSettings& camera : config.cameras) {
        CameraPlan plan{.camera = camera.recorder.camera,
                        .name = camera.recorder.name,
                        .enabled = camera.enabled,
                        .encode = word_of(camera.recorder.encode),
                        .loss_window = loss_window(camera.recorder),
                        .settings = std::nullopt,
                        .limits = limits_of(config.retention, camera)};
        if (camera.enabled && ruling != nullptr && ruling->policy) {
            link::RecorderSettings settings = camera.recorder;
            settings.hub = ruling->hub;
            settings.data_folder = config.hub.data_folder;
            settings.policy_number = ruling->policy->policy.number;
            settings.policy_hash = ruling->policy->hash;
            settings.recipients = ruling->policy->policy.recipient_keys();
            plan.settings = std::move(settings);
        }
        out.push_back(std::move(plan));
    }
    return out;
}

}  // namespace hd::daemon
