// The answer of `status` (docs/protocol.md). Pure but for one statvfs.
#include <algorithm>

#include <fmt/format.h>
#include <sys/statvfs.h>

#include "gateway/daemon/meta_desk.hpp"
#include "gateway/daemon/walls.hpp"

namespace hd::daemon {

using wire::JsonWriter;

namespace {

constexpr std::string_view kRecording = "recording";
// What is beyond this is worth a word: to show a window its clips have to be read from the key
// frame before it on, and a release begins at the first key frame inside of it.
constexpr Micros kFarKeyFrames = std::chrono::seconds(10);

void write_time_or_null(JsonWriter& out, std::string_view name, const std::optional<WallTime>& t) {
    out.key(name);
    if (t) {
        out.value(*t);
    } else {
        out.null();
    }
}

// One number for the hub: the camera that is furthest behind says it.
struct Durable {
    std::optional<WallTime> until;
    Micros age{0};
};
Durable durable_of(const StatusFacts& facts, const std::map<CameraId, CameraStatus>& cameras) {
    Durable out;
    for (const auto& [id, camera] : cameras) {
        if (camera.state != kRecording || !camera.durable_until || !camera.durable_boot) continue;
        if (!out.until || *camera.durable_until < *out.until) out.until = camera.durable_until;
        out.age = std::max(out.age, facts.boot_now - *camera.durable_boot);
    }
    return out;
}

void write_camera(JsonWriter& out, const StatusFacts& facts, const CameraId& id,
                  const CameraStatus& camera, const CameraStock& stock) {
    out.begin_object()
        .field("camera", id)
        .field("name", camera.name)
        .field("enabled", camera.enabled)
        .field("state", camera.state)
        .field("detail", camera.detail)
        .field("since", camera.since)
        .field("encode", camera.encode)
        .field("encoder", camera.encoder)
        .field("encoder_why", camera.encoder_why)
        .field("codec", camera.codec)
        .field("audio", camera.audio)
        .field("width", static_cast<std::uint32_t>(camera.width))
        .field("height", static_cast<std::uint32_t>(camera.height))
        .field("frames", camera.frames)
        .field("bytes", camera.bytes)
        .field("dropped_frames", camera.dropped_frames)
        .field("damaged_frames", camera.damaged_frames)
        .field("reconnects", camera.reconnects)
        .field("recorder_restarts", camera.recorder_restarts)
        .field("sync_ms_max", camera.sync_ms_max)
        .field("key_distance_ms", camera.key_distance.count() / 1000)
        .field("loss_window_ms", camera.loss_window.count() / 1000);
    write_time_or_null(out, "durable_until", camera.durable_until);
    if (camera.durable_boot) {
        out.field("durable_age_ms", (facts.boot_now - *camera.durable_boot).count() / 1000);
    }
    if (camera.camera_clock_offset_us) {
        out.field("camera_clock_offset_ms", *camera.camera_clock_offset_us / 1000);
    }
    out.field("clips", stock.clips).field("stored_bytes", stock.stored_bytes);
    write_time_or_null(out, "oldest", stock.oldest);
    write_time_or_null(out, "newest", stock.newest);
    out.end_object();
}

void write_disk(JsonWriter& out, const StatusFacts& facts, const IndexStatus& index) {
    struct statvfs disk {};
    std::uint64_t total = 0;
    std::uint64_t free = 0;
    if (::statvfs(facts.data_folder.c_str(), &disk) == 0) {
        total = static_cast<std::uint64_t>(disk.f_blocks) * disk.f_frsize;
        free = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    }
    out.key("disk")
        .begin_object()
        .field("data_folder", facts.data_folder)
        .field("total_bytes", total)
        .field("free_bytes", free)
        .field("stored_bytes", index.stored_bytes)
        .field("clips", index.rows)
        .end_object();
}

void write_index(JsonWriter& out, const IndexStatus& index) {
    out.key("index")
        .begin_object()
        .field("state", index.rebuilding ? "rebuilding" : "ready")
        .field("rows", index.rows)
        .field("complete_from", index.complete_from);
    if (index.rebuilding) {
        out.field("rebuild_done", index.rebuild_done).field("rebuild_total", index.rebuild_total);
    }
    out.end_object();
    out.key("retention")
        .begin_object()
        .field("lag_bytes", index.lag.bytes)
        .field("lag_s", index.lag.age.count() / 1'000'000)
        .field("garbage_bytes", index.lag.garbage_bytes)
        .end_object();
}

void write_wall(JsonWriter& out, const Wall& wall) {
    out.begin_object()
        .field("name", wall.name)
        .field("state", to_string(wall.state))
        .field("detail", wall.detail)
        .end_object();
}

void write_encoders(JsonWriter& out, const std::optional<EncoderStatus>& encoders) {
    out.key("encoders");
    if (!encoders) {
        out.null();
        return;
    }
    out.begin_object().key("elements").begin_array();
    for (const std::string& element : encoders->elements) out.value(element);
    out.end_array()
        .field("why", encoders->why)
        .field("hardware_pixels_per_s", encoders->hardware_budget)
        .field("hardware_used", encoders->hardware_used)
        .field("hardware_why", encoders->hardware_why)
        .field("software_pixels_per_s", encoders->software_budget)
        .field("software_used", encoders->software_used)
        .field("refused_cameras", encoders->refused_cameras)
        .end_object();
}

void write_sync(JsonWriter& out, const SyncStatus& sync) {
    out.key("sync")
        .begin_object()
        .field("way", sync.shared ? "shared" : "own")
        .field("why", sync.why)
        .end_object();
}

void write_warning(JsonWriter& out, std::string_view name, std::string_view text) {
    out.begin_object().field("name", name).field("text", text).end_object();
}

void write_key_warnings(JsonWriter& out, const std::map<CameraId, CameraStatus>& cameras) {
    for (const auto& [id, camera] : cameras) {
        if (camera.state != kRecording || camera.key_distance <= kFarKeyFrames) continue;
        write_warning(
            out, "key_frames",
            fmt::format("Camera {}: key frames {} s apart. All is recorded, but to show a "
                        "window its video is needed from the key frame before it on, and "
                        "a release begins at the first key frame of a clip inside it. "
                        "Let the camera send one every 1 to 4 s (smart codec off).",
                        camera.name, camera.key_distance.count() / 1'000'000));
    }
}

void write_warnings(JsonWriter& out, const StatusFacts& facts, const StatusBoard& board,
                    const std::map<CameraId, CameraStatus>& cameras) {
    out.key("warnings").begin_array();
    if (facts.ruling == nullptr || !facts.ruling->policy) {
        write_warning(out, "not_initialised",
                      "No policy rules: nothing is recorded. Run `halfdoor init` on this hub.");
    }
    if (facts.ruling != nullptr && facts.ruling->owner_key_here) {
        write_warning(out, "owner_key_here",
                      "A thief of this hub can open the video: the owner's key is on it.");
    }
    if (facts.clock == ClockQuality::unsynchronised) {
        write_warning(out, "clock_unsynchronised",
                      "No time source has set the clock since the machine started: times may be "
                      "wrong. Check NTP.");
    }
    write_key_warnings(out, cameras);
    for (const auto& [name, health] : board.health()) write_warning(out, name, health.text);
    out.end_array();
}

}  // namespace

std::string status_json(const StatusFacts& facts, const StatusBoard& board) {
    const auto cameras = board.cameras();
    const IndexStatus index = board.index();
    const Durable durable = durable_of(facts, cameras);
    JsonWriter out;
    out.begin_object().field("time", facts.now).field("version", HALFDOOR_VERSION);
    out.field("hub", facts.ruling != nullptr ? to_string(facts.ruling->hub) : std::string());
    out.field("started", facts.started).field("clock", to_string(facts.clock));
    write_time_or_null(out, "durable_until", durable.until);
    if (durable.until) out.field("durable_age_ms", durable.age.count() / 1000);
    out.key("policy").begin_object();
    if (facts.ruling != nullptr && facts.ruling->policy) {
        const consent::Policy& policy = facts.ruling->policy->policy;
        out.field("number", policy.number)
            .field("recipients", std::uint64_t{policy.recipients.size()})
            .field("requesters", std::uint64_t{policy.requesters.size()});
    } else {
        out.field("number", 0).field("recipients", 0).field("requesters", 0);
    }
    out.end_object();
    out.field("requester_endpoint", facts.requester_on ? "on" : "off");
    out.key("cameras").begin_array();
    for (const auto& [id, camera] : cameras) {
        const auto stock = index.cameras.find(id);
        write_camera(out, facts, id, camera,
                     stock != index.cameras.end() ? stock->second : CameraStock{});
    }
    out.end_array();
    write_disk(out, facts, index);
    write_index(out, index);
    write_encoders(out, board.encoders());
    write_sync(out, board.sync());
    out.key("walls").begin_array();
    for (const Wall& wall : board.walls()) write_wall(out, wall);
    for (const Wall& wall : recorder_walls(cameras)) write_wall(out, wall);
    for (const Wall& wall : board.gate_walls()) write_wall(out, wall);
    out.end_array();
    out.key("counters")
        .begin_object()
        .field("notices", board.notices())
        .field("events", facts.events)
        .field("dropped_events", facts.dropped_events)
        .field("dropped_notices", facts.dropped_notices)
        .field("refused_keys", facts.wire.refused_handshakes)
        .field("dropped_messages", facts.wire.dropped_too_many_frames + facts.wire.dropped_too_big +
                                       facts.wire.dropped_no_user)
        .field("dropped_replies", facts.wire.dropped_replies)
        .end_object();
    write_warnings(out, facts, board, cameras);
    out.end_object();
    return std::move(out).take();
}

}  // namespace hd::daemon
