// The thread `index`: the only writer of the store. Makes rows from finished clips, gaps from
// journals, follows the clips that are being written, reconciles, rebuilds, checks, and deletes
// what is too much.
//
// Notices are hints: when the inbox is full they are dropped and the next reconcile finds on the
// disk what they said. A row is synced before its event is published.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "gateway/daemon/bounded_queue.hpp"
#include "gateway/daemon/check_board.hpp"
#include "gateway/daemon/drive_watch.hpp"
#include "gateway/daemon/event_outbox.hpp"
#include "gateway/daemon/hold_board.hpp"
#include "gateway/daemon/read_crew.hpp"
#include "gateway/daemon/status_board.hpp"
#include "index/base/clock.hpp"
#include "index/base/log.hpp"
#include "index/store/rebuild.hpp"
#include "index/store/retention.hpp"
#include "index/store/store.hpp"
#include "pipelines/link/notice.hpp"

namespace hd::daemon {

// What other threads tell the index.
struct ClipSeen {  // opened, or grown
    CameraId camera;
    std::string path;
    std::optional<clip::ClipHeader> header;  // with ClipOpened only
    std::uint64_t size_bytes = 0;
    std::uint32_t frames = 0;
    std::optional<WallTime> end;
};
struct ClipDone {
    CameraId camera;
    std::string path;  // of the finished file
};
struct RecorderGone {  // its process has ended; `open_path` is a ".part" that nobody writes now
    CameraId camera;
    std::string open_path;
};
struct RecorderMet {};  // it worked while nobody listened: what it did is on the disk
struct GapSeen {        // began, changed or ended: its journal says
    CameraId camera;
};
struct OffsetKnown {
    BootId boot;
    Micros wall_minus_boot{0};
};
struct RetentionLimits {
    std::map<CameraId, store::CameraLimits> cameras;
    store::CameraLimits others;  // of cameras that left the configuration
    std::optional<std::uint64_t> max_total_bytes;
    std::uint64_t reserve_bytes = 0;
    std::uint32_t delete_per_s = 20;  // clips; more while the disk is below its reserve
};
struct ReindexWanted {};
struct CheckWanted {
    store::CheckLevel level = store::CheckLevel::size;
    bool repair = false;
};

using IndexTask = std::variant<ClipSeen, ClipDone, RecorderGone, RecorderMet, GapSeen, OffsetKnown,
                               RetentionLimits, ReindexWanted, CheckWanted>;

// A camera sends two notices a second; 64 cameras while one reconcile takes 30 s.
constexpr std::size_t kIndexInboxMax = 4096;
using IndexInbox = BoundedQueue<IndexTask>;
constexpr Micros kRetentionPeriod = std::chrono::seconds(10);

struct IndexPlaces {
    std::string data_folder;
    std::string runtime_folder;  // where recorders hold their locks
    std::uint64_t memory_bytes = 48ull << 20;
};

class IndexWorker {
    struct Token {  // Only open() can make one.
        explicit Token() = default;
    };

  public:
    struct Wiring;
    IndexWorker(Token, IndexPlaces places, Wiring wiring, std::unique_ptr<store::Store> store,
                const store::OpenReport& report);
    struct Wiring {  // Borrowed; all must outlive the worker.
        FileSystem& fs;
        Clock& clock;
        StatusBoard& board;
        EventOutbox& events;
        HoldBoard& holds;
        CheckBoard& checks;
        DriveWatch& drive;
        IndexInbox& inbox;
    };
    // Opens the store: an error means disk or lock. Reconcile happens in run().
    static Result<std::unique_ptr<IndexWorker>> open(IndexPlaces places, Wiring wiring);

    // Returns when asked to stop, with the inbox emptied and every finished clip indexed.
    void run(const std::stop_token& stop);

    // For readers on other threads (Store's const functions are thread-safe).
    const store::Store& store() const { return *store_; }

  private:
    void handle(IndexTask&& task);
    void take(const ClipSeen& seen);
    void take(const ClipDone& done);
    void take(const RecorderGone& gone);
    void take(const RecorderMet&);
    void take(const GapSeen& gap);
    void take(const OffsetKnown& offset);
    void take(RetentionLimits& limits);
    void take(const ReindexWanted&);
    void take(const CheckWanted& wanted);

    void reconcile();
    void recover(const std::vector<std::string>& parts);
    void recover_one(const std::string& part);
    void commit(const clip::ClipSummary& summary);
    void background_step();
    void step_rebuild();
    void step_check();
    void step_sweep();
    store::RunJobs read_in_parallel();
    void retention_pass();
    void delete_clips(const store::RetentionPlan& plan);
    void publish_status();
    void heal_if_damaged();
    void look_at_drive();
    bool recorder_alive(const CameraId& camera) const;
    void complain(std::string_view event, const Error& error);

    const IndexPlaces places_;          // Constant after construction.
    const store::DataFolders folders_;  // Constant after construction.
    Wiring wiring_;
    std::unique_ptr<store::Store> store_;

    // Only the `index` thread.
    std::unique_ptr<ReadCrew> crew_;  // while a walk runs
    std::unique_ptr<store::Rebuild> rebuild_;
    std::unique_ptr<store::Check> check_;
    CheckState check_state_;
    std::optional<RetentionLimits> limits_;
    std::map<std::string, store::ClipRow> open_rows_;  // by path; bounded by the cameras
    store::WalkProgress rebuild_progress_;
    RetentionLag lag_;
    bool below_reserve_ = false;
    BootTime last_sweep_{};
    BootTime next_retention_{};
    BootTime next_status_{};
    BootTime next_reconcile_{};
    BootTime next_drive_look_{};
    DriveWatch::Sight drive_sight_ = DriveWatch::Sight::well;
    log::RateLimit complaints_{10'000'000};  // while the store is failed
    std::uint64_t refused_seen_ = 0;
    bool sweep_more_ = false;
};

}  // namespace hd::daemon
