// The thread `super` (the program's main thread): one recorder process per camera, the socket
// they talk on, the gate process, camera journals and clock.log. Listens to notices and hands
// them to the index, the status board and the event outbox. It never waits for a disk that a
// recorder needs, for a reader, or for the index.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/daemon/camera_plan.hpp"
#include "gateway/daemon/camera_seat.hpp"
#include "gateway/daemon/child.hpp"
#include "gateway/daemon/clock_keeper.hpp"
#include "gateway/daemon/disk_pace.hpp"
#include "gateway/daemon/drive_watch.hpp"
#include "gateway/daemon/encoder_keeper.hpp"
#include "gateway/daemon/event_outbox.hpp"
#include "gateway/daemon/index_worker.hpp"
#include "gateway/daemon/journal_keeper.hpp"
#include "gateway/daemon/start_gate.hpp"
#include "gateway/daemon/status_board.hpp"
#include "pipelines/link/link_socket.hpp"

namespace hd::daemon {

struct SupervisorPlaces {
    std::string data_folder, runtime_folder;
    std::string recorder_program;            // absolute
    std::optional<ChildUser> recorder_user;  // ours without
    bool drive_came_back = false;            // why cameras without a recorder have none
};

class Supervisor {
    struct Token {  // Only open() can make one.
        explicit Token() = default;
    };

  public:
    struct Wiring;
    Supervisor(Token, SupervisorPlaces places, SeatLimits limits, Wiring wiring, ClockKeeper clock,
               link::LinkListener listener);
    struct Wiring {  // Borrowed; all must outlive the supervisor.
        FileSystem& fs;
        Clock& clock;
        StatusBoard& board;
        EventOutbox& events;
        DriveWatch& drive;
        IndexInbox& inbox;
    };
    // Repairs the journals of cameras that nobody records, writes clock.log, binds link.sock.
    static Result<std::unique_ptr<Supervisor>> open(SupervisorPlaces places, SeatLimits limits,
                                                    Wiring wiring);
    ~Supervisor();

    // What shall be recorded from now on. Cameras that are missing in it are stopped.
    void apply(const std::vector<CameraPlan>& plans);

    // Waits at most `timeout` for something to happen on a link, a process or `also` (descriptors
    // that end the wait when readable), then does what is due.
    void step(Micros timeout, std::span<const int> also);

    // Asks every recorder to finish its clip and end. Go on stepping until stopped().
    void begin_stop();
    bool stopped() const;
    std::size_t live_recorders() const;
    // Before this process ends, by whatever way. Call no step() after it.
    void end_probe() { encoders_.end_probe(); }

  private:
    struct Camera;
    struct Connection;

    void accept_all();
    void read_from(Connection& connection);
    void take(Connection& connection, link::Message&& message);
    void on_hello(Connection& connection, const link::Hello& hello);
    void look_at_disks(const link::StateChanged& m);
    void on_message(Camera& camera, const link::StateChanged& m);
    void on_message(Camera& camera, const link::ClipOpened& m);
    // Everything of the camera until there is on the disk, and `status` may say so.
    void promise_durable(Camera& camera, const journal::Stamp& until);
    void on_message(Camera& camera, const link::PieceDurable& m);
    void on_message(Camera& camera, const link::ClipFinished& m);
    void on_message(Camera& camera, const link::GapChanged& m);
    void on_message(Camera& camera, const link::Progress& m);
    void on_message(Camera& camera, const link::EncoderReport& m);
    void on_message(Camera& camera, const link::WallsReport& m);
    void on_message(Camera& camera, const link::Farewell& m);
    void drop_dead_connections(BootTime now);

    void act(Camera& camera, SeatAct what);
    void start_recorder(Camera& camera);
    void process_ended(Camera& camera);
    void tick_cameras(BootTime now);
    void tick_encoders();
    void look_at_clock(BootTime now);
    void look_at_pace(BootTime now);
    Result<void> end_video(Camera& camera, const std::string& detail);
    void tell_gaps(Camera& camera);
    // No while the drive is away: the process that is started when it is back does it.
    bool may_write_journals() const { return !wiring_.drive.moved(); }
    void set_state(Camera& camera, std::string_view state, std::string_view detail);
    void offer(IndexTask&& task);
    void take_plan(Camera& camera, const CameraPlan& plan);
    Camera& camera_of(const CameraPlan& plan);

    const SupervisorPlaces places_;  // Constant after construction.
    const SeatLimits limits_;        // Constant after construction.
    Wiring wiring_;
    // Only the `super` thread.
    ClockKeeper clock_keeper_;
    EncoderKeeper encoders_;
    std::vector<CameraId> order_;  // of the configuration
    link::LinkListener listener_;
    std::map<CameraId, std::unique_ptr<Camera>> cameras_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<ProcessHandle> strays_;  // children that lost their camera to an adopted recorder
    StartGate starts_;
    BootTime next_clock_look_{}, next_pace_look_{};
    DiskPace pace_;
    bool stopping_ = false;
};

}  // namespace hd::daemon
