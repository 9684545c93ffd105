#include "gateway/daemon/camera_seat.hpp"

#include <algorithm>

namespace hd::daemon {

std::string_view to_string(SeatAct a) {
    switch (a) {
        case SeatAct::nothing:
            return "nothing";
        case SeatAct::start:
            return "start";
        case SeatAct::send_settings:
            return "send_settings";
        case SeatAct::ask_stop:
            return "ask_stop";
        case SeatAct::kill:
            return "kill";
    }
    return "unknown";
}

SeatAct CameraSeat::want(std::optional<Digest> settings_hash, BootTime now) {
    const bool was_wanted = wanted_.has_value();
    wanted_ = settings_hash;
    if (!wanted_) {
        if (!process_ && !connected_) return SeatAct::nothing;
        if (!stop_asked_) stop_asked_ = now;
        return connected_ ? SeatAct::ask_stop : SeatAct::nothing;
    }
    // A wish that comes back gets its recorder at once, but orphans keep their time to connect.
    if (!was_wanted) failures_ = 0;
    if (connected_ && !stop_asked_ && told_ != wanted_) return SeatAct::send_settings;
    return SeatAct::nothing;
}

SeatAct CameraSeat::hello(bool has_settings, const Digest& settings_hash, BootTime now) {
    connected_ = true;
    if (!process_) {
        process_ = true;  // Adopted.
        started_at_ = now;
    }
    killed_ = false;
    last_heard_ = now;
    told_ = has_settings ? std::optional(settings_hash) : std::nullopt;
    if (!wanted_) {
        if (!stop_asked_) stop_asked_ = now;
        return SeatAct::ask_stop;
    }
    if (stop_asked_) return SeatAct::ask_stop;
    return told_ == wanted_ ? SeatAct::nothing : SeatAct::send_settings;
}

void CameraSeat::link_lost(BootTime now) {
    connected_ = false;
    told_.reset();
    last_heard_ = now;
}

void CameraSeat::started(BootTime now) {
    if (ever_started_) ++restarts_;
    ever_started_ = true;
    process_ = true;
    killed_ = false;
    stop_asked_.reset();
    started_at_ = now;
    last_heard_ = now;
}

Micros CameraSeat::backoff() const {
    if (failures_ <= 1) return Micros(0);
    const std::uint32_t doublings = std::min<std::uint32_t>(failures_ - 2, 16);
    return std::min(limits_.backoff_max, limits_.backoff_first * (1 << doublings));
}

void CameraSeat::start_failed(BootTime now) {
    // Not even a process: never immediate.
    failures_ = std::max<std::uint32_t>(failures_ + 1, 2);
    next_start_ = now + backoff();
}

bool CameraSeat::ended(BootTime now) {
    const bool asked = stop_asked_.has_value();
    if (!asked) {
        if (now - started_at_ >= limits_.steady_after) failures_ = 0;
        ++failures_;
        next_start_ = now + backoff();
    } else {
        next_start_ = now;
    }
    process_ = false;
    connected_ = false;
    killed_ = false;
    told_.reset();
    stop_asked_.reset();
    return !asked;
}

SeatAct CameraSeat::tick(BootTime now, bool lock_held) {
    if (process_) {
        if (killed_) return SeatAct::nothing;  // Its end is on the way.
        const bool late_stop = stop_asked_ && now - *stop_asked_ >= limits_.stop_wait;
        const Micros silence = connected_ ? limits_.silence_limit : limits_.hello_wait;
        if (late_stop || now - last_heard_ >= silence) {
            killed_ = true;
            return SeatAct::kill;
        }
        return SeatAct::nothing;
    }
    if (!wanted_ || lock_held || now < next_start_) return SeatAct::nothing;
    return SeatAct::start;
}

}  // namespace hd::daemon
