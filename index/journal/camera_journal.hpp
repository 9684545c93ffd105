// What happened to a camera, and to the clock: the records of <data>/journal/<camera id>.log and
// <data>/journal/clock.log, as values and as bytes. The document is docs/formats/journal.md.
// Pure. On disk: do not renumber any enum here.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "index/base/crypto.hpp"
#include "index/base/ids.hpp"
#include "index/base/time.hpp"
#include "index/journal/journal.hpp"

namespace hd::journal {

// Why there is no video.
enum class GapCause : std::uint8_t {
    unreachable = 1,  // no TCP connection
    refused = 2,      // wrong credentials, no such stream, or a stream that we cannot record
    stalled = 3,      // connected, but no frames
    clock = 4,        // the clock was stepped
    disk_full = 5,
    overload = 6,  // frames came faster than they could be written
    encoder = 7,
    restart = 8,   // hub or recorder was not running: stop, crash, power cut
    disabled = 9,  // by the owner
    closed = 10,   // the camera ended the stream
    disk_error = 11,
};
std::string_view to_string(GapCause c);

// An instant on both clocks. utc is the best known at that moment.
struct Stamp {
    BootId boot;
    BootTime at;
    WallTime utc;
    ClockQuality quality = ClockQuality::unsynchronised;
    bool operator==(const Stamp&) const = default;
};

struct Configured {
    Stamp when;
    CameraId camera;
    std::string name;
};  // also: renamed, enabled again
struct Disabled {
    Stamp when;
};
struct RunBegan {
    Stamp when;
    RunId run;
    std::string encoder;
};
// The camera's own clock against the hub's, as the run's RTCP sender reports told it. A fact to
// know, never to order by.
struct CameraClock {
    Micros offset{0};  // camera UTC minus hub UTC, the median
    Micros spread{0};  // half of the middle half of the reports: how sure that is
    std::uint32_t reports = 0;
    std::uint32_t jumps = 0;  // reports over 1 s away from the one before
    bool operator==(const CameraClock&) const = default;
};
struct RunEnded {
    Stamp when;
    RunId run;
    GapCause cause = GapCause::closed;
    std::string detail;
    std::optional<CameraClock> camera_clock;  // none: the camera never told its time
};
// A gap is two records: its opening is durable at once, its end when video is back.
struct GapBegan {
    Stamp when;
    GapCause cause = GapCause::closed;
    std::string detail;
};
struct GapEnded {
    Stamp when;
};
struct ClipClosed {  // the manifest line of a closed clip
    Stamp when;
    ClipId clip;
    RunId run;
    WallTime name_time;
    std::uint64_t size_bytes = 0;
    Digest pieces_sha256{};  // over the age_sha256 of all pieces in order
};

using CameraRecord =
    std::variant<Configured, Disabled, RunBegan, RunEnded, GapBegan, GapEnded, ClipClosed>;

// clock.log
struct ClockRecord {
    Stamp when;                   // utc - at is the offset from here on
    std::int64_t stepped_us = 0;  // 0 at boot; else how far UTC moved
};

Record encode(const CameraRecord& record);
Result<CameraRecord> decode_camera_record(const Record& record);
Record encode(const ClockRecord& record);
Result<ClockRecord> decode_clock_record(const Record& record);

}  // namespace hd::journal
