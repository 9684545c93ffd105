// One camera's recorder, told by a daemon over the link socket: connects to the camera, watches it,
// records, reconnects, tells what happened. One thread runs it; the disk has its own (disk_thread).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "index/base/clock.hpp"
#include "index/base/files.hpp"
#include "index/base/log.hpp"
#include "index/base/walls.hpp"
#include "pipelines/ingest/source.hpp"
#include "pipelines/link/link_socket.hpp"
#include "pipelines/record/clip_session.hpp"
#include "pipelines/record/confinement.hpp"
#include "pipelines/record/disk_thread.hpp"

namespace hd::record {

// Why run() returned; the exit codes of halfdoor-recorder.
enum class Ended : int {
    asked = 0,       // Stop or SIGTERM: the clip is closed
    orphaned = 0,    // no daemon for orphan_timeout: the clip is closed
    already = 75,    // another recorder of this camera lives
    hung = 70,       // a driver or the network layer did not come back: end the process at once
    no_dialer = 71,  // what connected for it is gone: the next recorder has another one
};

class Recorder {
  public:
    struct Options {
        std::string link_path;
        CameraId camera;
    };
    using MakeSource = std::function<std::unique_ptr<ingest::Source>(
        const link::RecorderSettings&, Clock&, ingest::Ingress&,
        std::shared_ptr<ingest::EncoderDesk>)>;
    struct Wiring {
        FileSystem& fs;
        Clock& clock;
        MakeSource make_source;
        // Gives up what this camera does not need; called once, before any thread and any byte of
        // the camera. Empty: nothing is given up (tests).
        std::function<Result<std::vector<Wall>>(const link::RecorderSettings&)> confine;
        std::vector<Wall> walls;  // what the program gave up before
        std::function<Result<link::LinkChannel>(const std::string&)> connect_link =
            link::LinkChannel::connect;
        // False: the disk's work is done by step() itself, so that one thread and a clock that a
        // test moves make a day.
        bool disk_thread = true;
    };
    Recorder(Options options, Wiring wiring);
    ~Recorder();

    // Takes the camera's lock beside the socket, so that no two recorders write one camera. False:
    // somebody else has it.
    bool take_lock();

    // Until asked to end. `stop` may be set by a signal handler.
    Ended run(const std::atomic<bool>& stop);
    // One turn of that: waits at most `patience` for a frame. False: it is to end, so finish().
    bool step(Micros patience);
    Ended finish();
    void ask_to_end(std::string why) { stop_why_ = std::move(why); }

  private:
    // The part that exists once settings came.
    struct Work;

    void keep_link();
    void read_link();
    void take(link::Message&& message);
    void take_settings(link::RecorderSettings settings);
    bool confine();
    void say(const link::Message& message);
    void say_state(link::CameraState state, std::string detail);
    void say_progress();
    void say_encoder(bool again);
    void say_walls();

    void begin_work();
    void end_work(std::string_view why);
    void follow_disk();
    void take_disk(DiskEvent&& event);

    void begin_session();
    void end_session(journal::GapCause cause, const std::string& detail, clip::EndReason reason);
    void watch_session();
    bool watch_overload(BootTime now);
    bool watch_undecodable(BootTime now);
    bool ask_for_key(BootTime now);
    void end_overloaded(const std::string& detail);
    void take(ingest::SourceEvent&& event);
    void take_lost(const ingest::Lost& lost);
    void take_format(const ingest::StreamFormat& format);
    void take_frame(const ingest::Frame& frame);
    void take_dropped(const ingest::Dropped& dropped);
    void check_clock();

    const Options options_;
    Wiring wiring_;
    Fd lock_;

    std::optional<link::LinkChannel> link_;
    BootTime next_connect_{}, next_read_{};
    BootTime alone_since_{};
    std::optional<std::string> stop_why_;
    std::optional<BootTime> leave_by_;  // a daemon of another release is there
    Ended ended_ = Ended::asked;

    std::optional<link::RecorderSettings> settings_;
    std::optional<FolderIdentity> folder_;  // that this process is confined to
    Digest settings_hash_{};
    std::unique_ptr<Work> work_;
    link::StateChanged state_{};
    BootTime next_progress_{}, next_clock_check_{};
    const std::shared_ptr<ingest::EncoderDesk> encoders_ = std::make_shared<ingest::EncoderDesk>();
    log::RateLimit loss_log_{60'000'000};
};

}  // namespace hd::record
