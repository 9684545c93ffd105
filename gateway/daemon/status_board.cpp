#include "gateway/daemon/status_board.hpp"

namespace hd::daemon {

void StatusBoard::update_camera(const CameraId& id,
                                const std::function<void(CameraStatus&)>& change) {
    const std::lock_guard lock(mutex_);
    change(cameras_[id]);
}

void StatusBoard::remove_camera(const CameraId& id) {
    const std::lock_guard lock(mutex_);
    cameras_.erase(id);
}

std::map<CameraId, CameraStatus> StatusBoard::cameras() const {
    const std::lock_guard lock(mutex_);
    return cameras_;
}

std::optional<CameraStatus> StatusBoard::camera(const CameraId& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = cameras_.find(id);
    if (found == cameras_.end()) return std::nullopt;
    return found->second;
}

std::optional<CameraId> StatusBoard::camera_named(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, status] : cameras_)
        if (status.name == name) return id;
    return std::nullopt;
}

void StatusBoard::set_index(IndexStatus status) {
    const std::lock_guard lock(mutex_);
    index_ = std::move(status);
}

IndexStatus StatusBoard::index() const {
    const std::lock_guard lock(mutex_);
    return index_;
}

bool StatusBoard::raise(const std::string& name, std::string state, std::string text) {
    const std::lock_guard lock(mutex_);
    Health& health = health_[name];
    const bool news = health.state != state;
    health = {std::move(state), std::move(text)};
    return news;
}

bool StatusBoard::clear(const std::string& name) {
    const std::lock_guard lock(mutex_);
    return health_.erase(name) > 0;
}

std::map<std::string, Health> StatusBoard::health() const {
    const std::lock_guard lock(mutex_);
    return health_;
}

void StatusBoard::set_encoders(EncoderStatus status) {
    const std::lock_guard lock(mutex_);
    encoders_ = std::move(status);
}

std::optional<EncoderStatus> StatusBoard::encoders() const {
    const std::lock_guard lock(mutex_);
    return encoders_;
}

void StatusBoard::set_sync(SyncStatus status) {
    const std::lock_guard lock(mutex_);
    sync_ = std::move(status);
}

SyncStatus StatusBoard::sync() const {
    const std::lock_guard lock(mutex_);
    return sync_;
}

void StatusBoard::set_walls(std::vector<Wall> walls) {
    const std::lock_guard lock(mutex_);
    walls_ = std::move(walls);
}

void StatusBoard::set_gate_walls(std::vector<Wall> walls) {
    const std::lock_guard lock(mutex_);
    gate_walls_ = std::move(walls);
}

std::vector<Wall> StatusBoard::gate_walls() const {
    const std::lock_guard lock(mutex_);
    return gate_walls_;
}

std::vector<Wall> StatusBoard::walls() const {
    const std::lock_guard lock(mutex_);
    return walls_;
}

}  // namespace hd::daemon
