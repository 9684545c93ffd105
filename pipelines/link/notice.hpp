// What recorder and daemon tell each other over the SOCK_SEQPACKET socket <runtime>/link.sock, one
// message a packet. Losable hints: everything in them can be read from clips and journals too. The
// document is docs/formats/link.md.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "index/base/walls.hpp"
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
    std::uint64_t damaged_frames = 0;  // left out: the camera or the network lost a part
    std::int64_t camera_clock_offset_us = 0;
    bool camera_clock_known = false;
    std::uint32_t queue_bytes_max = 0;
    std::uint32_t sync_ms_max = 0;
};
// What a camera needs of the hub's encoders, and how it goes: after Hello, when it changes, and
// every 5 s while the hub encodes.
struct EncoderReport {
    bool needed = false;                  // the hub has to encode this camera's video
    std::uint32_t width = 0, height = 0;  // of what is encoded; 0: not known yet
    std::uint32_t millihertz_in = 0;      // pictures per 1000 s that the camera sends
    std::uint32_t millihertz_out = 0;     // that the encoder gives; 0: not measured yet
    std::uint64_t frames_left_out = 0;    // since the start, because the encoder was too slow
    std::string element;                  // in use; empty: none
    std::vector<std::string> failed;      // elements that failed here while they encoded
    bool operator==(const EncoderReport&) const = default;
};
// What the recorder itself gave up, by the kernel's word: after Hello, and once it is confined.
struct WallsReport {
    std::vector<Wall> walls;
};
struct Farewell {
    std::string why;
};  // last packet of an orderly end
// On sync.sock, from the thread `disk`: all that it wrote so far is to be durable.
struct SyncAsk {
    std::uint64_t number = 0;  // counts up; the answer names it
    std::uint64_t device = 0;  // st_dev of its file
    bool operator==(const SyncAsk&) const = default;
};

// Daemon to recorder.
struct NewSettings {
    RecorderSettings settings;
};
struct Stop {
    std::string why;
};  // finish the clip, then end
// This camera's share of the hub's encoders. Not part of the settings: it answers EncoderReport.
struct EncoderGrant {
    std::vector<std::string> elements;  // GStreamer elements, best first; empty: may not encode
    std::string why;                    // a phrase, for status, log and clips
    bool operator==(const EncoderGrant&) const = default;
};

// On sync.sock. True: what was written before that ask is durable. False: sync it yourself.
struct SyncAnswer {
    std::uint64_t number = 0;
    bool synced = false;
    bool operator==(const SyncAnswer&) const = default;
};

using Message = std::variant<Hello, StateChanged, ClipOpened, PieceDurable, ClipFinished,
                             GapChanged, Progress, EncoderReport, WallsReport, Farewell, SyncAsk,
                             NewSettings, Stop, EncoderGrant, SyncAnswer>;

Bytes encode(const Message& message);
Result<Message> decode(ByteView packet);

}  // namespace hd::link
