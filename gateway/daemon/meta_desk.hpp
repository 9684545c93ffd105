// The verbs that dashboards and owners share: what is recorded, how the hub is. Metadata only.
#pragma once

#include "gateway/config/config.hpp"
#include "gateway/daemon/check_board.hpp"
#include "gateway/daemon/clip_lines.hpp"
#include "gateway/daemon/event_outbox.hpp"
#include "gateway/daemon/index_worker.hpp"
#include "gateway/daemon/policy_shelf.hpp"
#include "gateway/daemon/status_board.hpp"
#include "gateway/daemon/verb.hpp"
#include "gateway/wire/event_log.hpp"

namespace hd::daemon {

// What `status` needs beside the boards.
struct StatusFacts {
    WallTime now, started;
    BootTime boot_now;
    ClockQuality clock = ClockQuality::unsynchronised;
    std::string data_folder;
    const Ruling* ruling = nullptr;  // null: not initialised
    std::uint64_t events = 0, dropped_events = 0, dropped_notices = 0;
    wire::ServerCounters wire;
    bool requester_on = false;
};
std::string status_json(const StatusFacts& facts, const StatusBoard& board);

class MetaDesk {
  public:
    struct Wiring {  // Borrowed; all must outlive the desk.
        FileSystem& fs;
        Clock& clock;
        const store::Store& store;
        StatusBoard& board;
        RulingBoard& ruling;
        CheckBoard& checks;
        IndexInbox& inbox;
        std::string data_folder;
    };
    explicit MetaDesk(Wiring wiring) : wiring_(std::move(wiring)) {}

    VerbResult cameras(const wire::Request& request) const;
    VerbResult clips(const wire::Request& request) const;
    VerbResult clip_read(const wire::Request& request) const;
    VerbResult check(const wire::Request& request) const;
    VerbResult reindex(const wire::Request& request) const;

    // Ids or names of configured cameras, or ids of cameras that have clips, as ids. The field is
    // named `cameras` in the error.
    Result<std::vector<CameraId>> cameras_of(const std::vector<std::string>& words) const;

  private:
    Result<void> write_gaps(wire::JsonWriter& out, const store::WindowQuery& query) const;
    Result<void> add_pending(ClipLines& lines, const store::WindowQuery& query) const;
    Wiring wiring_;
};

}  // namespace hd::daemon
