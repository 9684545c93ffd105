// What a Recorder has once settings came: the disk thread, the clip session, and the session with
// the camera. Only recorder*.cpp include this.
#pragma once

#include "pipelines/record/recorder.hpp"

namespace hd::record {

// One connection to the camera, from start() to its loss.
struct CameraSession {
    std::unique_ptr<ingest::Source> source;
    RunId run;
    BootTime started;
    BootTime last_frame;      // when it came in, by our clock
    bool connected = false;   // the camera accepted PLAY
    bool has_frames = false;  // RunBegan is in the journal
};

struct Recorder::Work {
    Work(FileSystem& fs, Clock& clock, const link::RecorderSettings& settings,
         std::function<TimeBase()> time_base);
    ~Work() { finish_disk(); }
    // Everything offered so far is on the disk when this returns.
    void finish_disk();

    ingest::Ingress ingress;
    ClipDisk disk;  // Only the thread `disk`, after its start.
    DiskThread queue;
    ClipSession session;
    std::thread disk_runner;

    std::optional<CameraSession> camera;
    BootTime retry_at{};
    unsigned failures = 0;       // sessions in a row without a frame
    std::uint64_t sessions = 0;  // since the start
    bool video_away = true;      // CloseGap is due at the next frame that is recorded
    // The disk failed. The gap ends with the first piece of a later clip that is durable.
    bool disk_problem = false;
};

}  // namespace hd::record
