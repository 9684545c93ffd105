// What recorder and daemon tell each other over the SOCK_SEQPACKET socket <runtime>/link.sock, one
// message a packet. Losable hints: everything in them can be read from clips and journals too. The
// document is docs/formats/link.md.
#pragma once

#include <string>
#include <variant>

#include "index/clip/clip_format.hpp"
#include "index/journal/camera_journal.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::link {

constexpr std::uint16_t kLinkVersion = 1;
constexpr std::size_t kMaxMessageBytes = 64 * 1024;

enum class CameraState : std::uint8_t {
    starting = 0,
    connecting = 1,
    recording = 2,
    stalled = 3,
    unreachable = 4,
    refused = 5,
    encoder_failed = 6,
    disk_problem = 7,
    ending = 8,
};
std::string_view to_string(CameraState s);

// Recorder to daemon.
struct Hello {  // first packet of each connection
    std::uint16_t version = kLinkVersion;
    CameraId camera;
    std::uint32_t pid = 0;
    bool has_settings = false;  // an orphan that goes on recording
    Digest settings{};          // settings_hash of what it runs with
};
struct StateChanged {
    CameraState state;
    std::string detail;
    std::string encoder;
    std::string encoder_why;
    std::string audio;  // how it is recorded, or why it is not
};
struct ClipOpened {
    std::string path;
    clip::ClipHeader header;
};                     // path relative to <data>/clips
struct PieceDurable {  // after fdatasync
    std::string path;
    ClipId clip;
    std::uint32_t sequence = 0;
    std::uint64_t file_size = 0;
    BootTime boot_end;
    WallTime utc_end;
    std::uint32_t frames = 0;  // of the clip so far
};
struct ClipFinished {
    std::string path;
    clip::ClipSummary summary;
};  // renamed and folder synced
struct GapChanged {
    bool open = false;
    journal::Stamp when;
    journal::GapCause cause;
    std::string detail;
};
struct Progress {  // every 5 s: counters since the start of the recorder
    std::uint64_t frames = 0, bytes = 0, dropped_frames = 0, reconnects = 0;
    std::int64_t camera_clock_offset_us = 0;
    bool camera_clock_known = false;
    std::uint32_t queue_bytes_max = 0;
    std::uint32_t sync_ms_max = 0;
};
struct Farewell {
    std::string why;
};  // last packet of an orderly end

// Daemon to recorder.
struct NewSettings {
    RecorderSettings settings;
};
struct Stop {
    std::string why;
};  // finish the clip, then end

using Message = std::variant<Hello, StateChanged, ClipOpened, PieceDurable, ClipFinished,
                             GapChanged, Progress, Farewell, NewSettings, Stop>;

Bytes encode(const Message& message);
Result<Message> decode(ByteView packet);

}  // namespace hd::link
