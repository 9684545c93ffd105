// What a Recorder has once settings came: the disk thread, the clip session, and the session with
// the camera. Only recorder*.cpp include this.
#pragma once

#include "pipelines/ingest/stream_guard.hpp"
#include "pipelines/record/recorder.hpp"
#include "pipelines/record/time_keeper.hpp"

namespace hd::record {

// One connection to the camera, from start() to its loss.
struct CameraSession {
    std::unique_ptr<ingest::Source> source;
    ingest::StreamGuard guard;  // while the camera's own stream is kept
    RunId run;
    BootTime started;
    BootTime last_frame;     // when it came in, by our clock
    BootTime last_unusable;  // the same of what nobody can decode yet
    std::uint64_t unusable = 0;
    // Frames that no clip took for want of a key frame, of the whole process; and since when there
    // is no key frame while something comes.
    std::uint64_t skipped = 0;
    std::optional<BootTime> keyless_since;
    std::string_view undecodable;  // why nothing is recorded yet; of static storage
    Micros gap_said{0};            // for so long, in the journal
    // Why there is no clip in a session that had one, and what the disk does to the frames.
    journal::GapCause broke = journal::GapCause::disk_error;
    std::string broke_detail;
    std::uint64_t refused = 0;  // by the ingress, since the process began
    bool overload = false;      // frames are refused
    bool connected = false;     // the camera accepted PLAY
    bool has_frames = false;    // RunBegan is in the journal
    bool kept = false;          // the stream is the camera's own
};

struct Recorder::Work {
    Work(const Wiring& wiring, const link::RecorderSettings& settings);
    ~Work() { finish_threads(); }
    // Its thread is there from the first settings that want it.
    void want_activity(const Wiring& wiring, const link::RecorderSettings& settings);
    // Everything offered so far is on the disk when this returns.
    void finish_threads();

    ingest::Ingress ingress;
    TimeKeeper time;
    ClipDisk disk;  // Only the thread `disk`, after its start.
    DiskThread queue;
    ActivityWatch activity;
    ClipSession session;
    std::thread disk_runner, activity_runner;

    std::optional<CameraSession> camera;
    BootTime retry_at{};
    unsigned failures = 0;             // sessions in a row without a frame
    unsigned key_asks = 0;             // sessions ended for a key frame, since video was durable
    std::uint64_t sessions = 0;        // since the start
    std::uint64_t damaged_before = 0;  // frames, in the sessions that have ended
    bool disk_problem = false;         // until a piece of a later clip is durable
};

}  // namespace hd::record
