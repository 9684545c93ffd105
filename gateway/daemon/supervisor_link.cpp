// The listening half of Supervisor: connections of recorders and what they say.
#include <algorithm>

#include "gateway/daemon/event_fields.hpp"
#include "gateway/daemon/supervisor.hpp"
#include "gateway/daemon/supervisor_parts.hpp"
#include "gateway/daemon/walls.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

namespace {

// Connections beyond this are turned away: two for each camera and some strangers.
constexpr std::size_t kMaxConnections = 2 * config::kMaxCameras + 16;

constexpr std::string_view kPart = ".part";

std::string without_part(std::string path) {
    if (path.ends_with(kPart)) path.resize(path.size() - kPart.size());
    return path;
}
std::string with_part(std::string path) {
    if (!path.ends_with(kPart)) path += kPart;
    return path;
}

}  // namespace

void Supervisor::accept_all() {
    while (true) {
        auto channel = listener_.accept();
        if (!channel) {
            log::warn("link.refused", "error=\"{}\"", channel.error().what);
            if (channel.error().code != ErrorCode::refused) return;
            continue;
        }
        if (!*channel) return;
        auto peer = (*channel)->peer();
        if (!peer || connections_.size() >= kMaxConnections) continue;
        connections_.push_back(std::make_unique<Connection>(Connection{
            .channel = std::move(**channel), .peer = *peer, .since = wiring_.clock.boot()}));
    }
}

void Supervisor::read_from(Connection& connection) {
    for (int i = 0; i < kMessagesPerTurn && !connection.dead; ++i) {
        auto message = connection.channel.receive();
        if (!message) {
            if (message.error().code != ErrorCode::unavailable) {
                log::warn("link.bad_message", "pid={} error=\"{}\"", connection.peer.pid,
                          message.error().what);
            }
            connection.dead = true;
            return;
        }
        if (!*message) return;
        take(connection, std::move(**message));
    }
}

void Supervisor::drop_dead_connections(BootTime now) {
    for (auto& connection : connections_) {
        const Micros patience = connection->unknown ? limits_.stop_wait : kHelloDeadline;
        if (connection->camera == nullptr && now - connection->since >= patience) {
            connection->dead = true;
        }
        if (!connection->dead || connection->camera == nullptr) continue;
        Camera& camera = *connection->camera;
        if (camera.connection == connection.get()) {
            camera.connection = nullptr;
            camera.seat.link_lost(now);
        }
        connection->camera = nullptr;
    }
    std::erase_if(connections_, [](const auto& connection) { return connection->dead; });
}

void Supervisor::take(Connection& connection, link::Message&& message) {
    if (const auto* hello = std::get_if<link::Hello>(&message)) {
        return on_hello(connection, *hello);
    }
    if (connection.unknown) {
        if (const auto* m = std::get_if<link::ClipFinished>(&message)) {
            offer(ClipDone{.camera = *connection.unknown, .path = without_part(m->path)});
        }
        return;
    }
    if (connection.camera == nullptr) {
        connection.dead = true;  // Hello comes first.
        return;
    }
    Camera& camera = *connection.camera;
    camera.seat.heard(wiring_.clock.boot());
    wiring_.board.count_notice();
    std::visit(
        [&](const auto& m) {
            using T = std::decay_t<decltype(m)>;
            if constexpr (std::is_same_v<T, link::Hello> || std::is_same_v<T, link::NewSettings> ||
                          std::is_same_v<T, link::Stop> || std::is_same_v<T, link::EncoderGrant> ||
                          std::is_same_v<T, link::SyncAsk> || std::is_same_v<T, link::SyncAnswer>) {
                connection.dead = true;  // Not for a recorder to say, or not here.
            } else {
                on_message(camera, m);
            }
        },
        message);
}

void Supervisor::on_hello(Connection& connection, const link::Hello& hello) {
    if (connection.camera != nullptr || connection.unknown) {
        connection.dead = true;
        return;
    }
    const auto found = cameras_.find(hello.camera);
    if (found == cameras_.end()) {
        log::info("recorder.unknown_camera", "camera={} pid={} action=stop",
                  to_string(hello.camera), connection.peer.pid);
        (void)connection.channel.send(link::Stop{"no such camera in the configuration"});
        connection.unknown = hello.camera;
        return;
    }
    Camera& camera = *found->second;
    const BootTime now = wiring_.clock.boot();
    if (hello.has_settings) offer(RecorderMet{});
    if (!camera.process || camera.process->pid() != connection.peer.pid) {
        auto handle = ProcessHandle::of(connection.peer.pid);
        if (!handle) {
            connection.dead = true;
            return;
        }
        if (camera.process) strays_.push_back(std::move(*camera.process));
        camera.process.emplace(std::move(*handle));
        log::info("recorder.adopted", "camera={} pid={} has_settings={}", to_string(hello.camera),
                  connection.peer.pid, hello.has_settings);
    }
    if (camera.connection != nullptr) {
        camera.connection->camera = nullptr;
        camera.connection->dead = true;
    }
    camera.connection = &connection;
    connection.camera = &camera;
    encoders_.connected(camera.plan.camera);
    act(camera, camera.seat.hello(hello.has_settings, hello.settings, now));
}

void Supervisor::on_message(Camera& camera, const link::StateChanged& m) {
    if (m.state != link::CameraState::starting && m.state != link::CameraState::connecting)
        starts_.settled(camera.plan.camera);
    wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) {
        if (!m.encoder.empty()) s.encoder = m.encoder;
        if (!m.encoder_why.empty()) s.encoder_why = m.encoder_why;
        if (!m.audio.empty()) s.audio = m.audio;
        if (m.state != link::CameraState::recording) {
            s.durable_until.reset();
            s.durable_boot.reset();
        }
    });
    set_state(camera, link::to_string(m.state), m.detail);
    look_at_disks(m);
}

// One warning for the hub: the disk is the same for all cameras.
void Supervisor::look_at_disks(const link::StateChanged& m) {
    const WallTime now = wiring_.clock.wall();
    if (m.state == link::CameraState::disk_problem) {
        const std::string text =
            "Video cannot be written: " + m.detail +
            ". It goes on by itself once the disk takes it: free space, or look at the disk.";
        if (wiring_.board.raise("disk_problem", "error", text)) {
            wiring_.events.publish("health", now, health_fields("disk_problem", "error", text));
        }
        return;
    }
    const auto cameras = wiring_.board.cameras();
    const bool any = std::ranges::any_of(cameras, [](const auto& entry) {
        return entry.second.state == link::to_string(link::CameraState::disk_problem);
    });
    if (!any && wiring_.board.clear("disk_problem")) {
        wiring_.events.publish("health", now, health_fields("disk_problem", "ok", ""));
    }
}

void Supervisor::on_message(Camera& camera, const link::ClipOpened& m) {
    if (m.header.camera != camera.plan.camera) return;
    camera.open_path = with_part(m.path);
    wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) {
        s.codec = m.header.codec;
        s.width = m.header.width;
        s.height = m.header.height;
        if (!m.header.encoder.empty()) s.encoder = m.header.encoder;
        if (!m.header.encoder_why.empty()) s.encoder_why = m.header.encoder_why;
        if (const auto key = clip::key_distance(m.header.extensions))
            s.key_distance = std::max(s.key_distance, key->distance);
    });
    offer(ClipSeen{.camera = camera.plan.camera, .path = camera.open_path, .header = m.header});
}

void Supervisor::promise_durable(Camera& camera, const journal::Stamp& until) {
    // A clip that a failing disk broke is finished after newer ones.
    const auto& last = camera.last_durable;
    if (last && last->boot == until.boot && until.at < last->at) return;
    camera.last_durable = until;
    wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) {
        s.durable_until = until.utc;
        s.durable_boot = until.at;
    });
}

void Supervisor::on_message(Camera& camera, const link::PieceDurable& m) {
    camera.open_path = with_part(m.path);
    // An init piece alone holds no frame, and no recovery keeps it: nothing is promised by it.
    if (m.frames > 0) {
        promise_durable(camera, {.boot = wiring_.clock.boot_id(),
                                 .at = m.boot_end,
                                 .utc = m.utc_end,
                                 .quality = wiring_.clock.quality()});
    }
    offer(ClipSeen{.camera = camera.plan.camera,
                   .path = camera.open_path,
                   .size_bytes = m.file_size,
                   .frames = m.frames,
                   .end = m.utc_end});
}

void Supervisor::on_message(Camera& camera, const link::ClipFinished& m) {
    const std::string path = without_part(m.path);
    if (camera.open_path == with_part(path)) camera.open_path.clear();
    // The clip's end counts even if its last PieceDurable was lost.
    promise_durable(camera, {.boot = m.summary.boot,
                             .at = m.summary.boot_end,
                             .utc = m.summary.utc_end,
                             .quality = m.summary.quality});
    // A clip without a key frame says nothing of how far apart they are.
    if (m.summary.longest_key_distance_ms > 0) {
        wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) {
            s.key_distance = std::chrono::milliseconds(m.summary.longest_key_distance_ms);
        });
    }
    offer(ClipDone{.camera = camera.plan.camera, .path = path});
}

void Supervisor::on_message(Camera& camera, const link::GapChanged& m) {
    offer(GapSeen{.camera = camera.plan.camera});
    wiring_.events.publish("gap", wiring_.clock.wall(),
                           gap_fields({.camera = camera.plan.camera,
                                       .open = m.open,
                                       .at = m.when.utc,
                                       .cause = m.cause,
                                       .detail = m.detail}));
}

void Supervisor::on_message(Camera& camera, const link::Progress& m) {
    wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) {
        s.frames = m.frames;
        s.bytes = m.bytes;
        s.dropped_frames = m.dropped_frames;
        s.damaged_frames = m.damaged_frames;
        s.reconnects = m.reconnects;
        s.sync_ms_max = m.sync_ms_max;
        s.camera_clock_offset_us.reset();
        if (m.camera_clock_known) s.camera_clock_offset_us = m.camera_clock_offset_us;
    });
}

void Supervisor::on_message(Camera& camera, const link::EncoderReport& m) {
    encoders_.report(camera.plan.camera, camera.plan.name, m);
}

void Supervisor::on_message(Camera& camera, const link::WallsReport& m) {
    std::vector<Wall> walls{user_wall("recorder.user", camera.connection->peer.uid)};
    walls.insert(walls.end(), m.walls.begin(), m.walls.end());
    wiring_.board.update_camera(camera.plan.camera, [&](CameraStatus& s) { s.walls = walls; });
}

void Supervisor::on_message(Camera& camera, const link::Farewell& m) {
    log::info("recorder.farewell", "camera={} why=\"{}\"", to_string(camera.plan.camera), m.why);
}

}  // namespace hd::daemon
