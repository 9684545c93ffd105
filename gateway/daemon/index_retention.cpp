// The retention half of IndexWorker: asks the planner, marks, sweeps, tells.
#include <sys/statvfs.h>

#include "gateway/daemon/ballast.hpp"
#include "gateway/daemon/event_fields.hpp"
#include "gateway/daemon/index_worker.hpp"
#include "index/base/log.hpp"
#include "index/base/time_range.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {

constexpr Micros kSweepPeriod = 500ms;
// How many clips the planner reads of a camera at a time.
constexpr std::uint32_t kPage = 200;
// Until 9999-12-31T23:59:59.999999Z, the last instant that a window may name.
constexpr TimeSpan kAllTimes{{0}, {kLastTimeUs}};
// Deleted in one pass while a rebuild runs: 20 a second, what the ordinary rate of deletion is.
constexpr std::uint32_t kBlindDeletions = 200;

// Gives a camera's clips oldest first, a page at a time.
class OldestFirst {
  public:
    OldestFirst(const store::Store& store, CameraId camera, TimeSpan window) : store_(&store) {
        query_.window = window;
        query_.cameras = {camera};
        query_.limit = kPage;
    }
    std::optional<store::ClipRow> operator()() {
        while (at_ == page_.size()) {
            if (last_) return std::nullopt;
            auto answer = store_->window(query_);
            if (!answer) {
                log::warn("retention.read_failed", "error=\"{}\"", answer.error().what);
                last_ = true;
                return std::nullopt;
            }
            page_ = std::move(answer->clips);
            at_ = 0;
            query_.cursor = answer->next_cursor;
            last_ = query_.cursor.empty();
        }
        return page_[at_++];
    }

  private:
    const store::Store* store_;  // Must outlive this.
    store::WindowQuery query_;
    std::vector<store::ClipRow> page_;
    std::size_t at_ = 0;
    bool last_ = false;
};

std::string_view word_of(store::DeleteReason why) {
    switch (why) {
        case store::DeleteReason::camera_age:
            return "age";
        case store::DeleteReason::camera_bytes:
        case store::DeleteReason::total_bytes:
            return "size";
        case store::DeleteReason::free_space:
            return "disk";
    }
    return "size";
}

}  // namespace

void IndexWorker::retention_pass() {
    if (!limits_) return;
    // On a full disk nothing could be marked, so that nothing would ever go. What it lacks it says
    // at the start; here `disk_low` does.
    make_room(places_.data_folder).ignore();
    store::RetentionInput input;
    input.reserve_bytes = limits_->reserve_bytes;
    struct statvfs disk {};
    if (::statvfs(places_.data_folder.c_str(), &disk) == 0) {
        input.free_bytes = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    } else {
        input.reserve_bytes = 0;  // An unknown disk is not a full one.
    }
    input.held = [this](const store::ClipRow& row) { return wiring_.holds.held(row); };
    TimeSpan known = kAllTimes;
    if (rebuild_) {
        // While the index is not whole sums and ages say nothing, and only a disk that fills up
        // makes clips die: the oldest by what the disk itself says.
        if (input.free_bytes >= input.reserve_bytes) return;
        auto until = store::put_oldest(*store_, wiring_.fs, folders_, kBlindDeletions, input.held);
        if (!until) return complain("retention.read_failed", until.error());
        known.end = *until;
        input.max_delete = kBlindDeletions;
    }
    for (const store::CameraTotals& totals : store_->all_totals()) {
        const auto own = limits_->cameras.find(totals.camera);
        input.cameras.push_back(
            {.camera = totals.camera,
             .limits = own != limits_->cameras.end() ? own->second : limits_->others,
             .totals = totals,
             .next_oldest = OldestFirst(*store_, totals.camera, known)});
        if (rebuild_) input.cameras.back().limits.max_bytes.reset();
        if (rebuild_) input.cameras.back().limits.max_age.reset();
    }
    if (!rebuild_) input.max_total_bytes = limits_->max_total_bytes;
    input.now = wiring_.clock.wall();
    input.now_quality = wiring_.clock.quality();
    // Rows leave the answers no faster than their files leave the disk.
    if (input.free_bytes >= input.reserve_bytes)
        input.max_delete =
            limits_->delete_per_s * static_cast<std::uint32_t>(kRetentionPeriod / 1s);
    const store::RetentionPlan plan = store::plan_retention(input);
    below_reserve_ = plan.below_reserve;
    lag_.bytes = plan.lag_bytes;
    lag_.age = plan.lag_age;
    if (!plan.deletions.empty()) delete_clips(plan);
}

void IndexWorker::delete_clips(const store::RetentionPlan& plan) {
    std::vector<clip::ClipName> names;
    names.reserve(plan.deletions.size());
    for (const store::Deletion& deletion : plan.deletions) {
        names.push_back(store::clip_name(deletion.clip));
    }
    auto marked = store_->mark_garbage(names);
    if (!marked) return complain("index.mark_failed", marked.error());
    const WallTime now = wiring_.clock.wall();
    for (const store::Deletion& deletion : plan.deletions) {
        wiring_.events.publish("clip.deleted", now,
                               clip_deleted_fields(deletion.clip, word_of(deletion.why)));
    }
    log::info("clips.deleted", "count={} bytes={} lag_bytes={}", *marked, plan.bytes,
              plan.lag_bytes);
    sweep_more_ = true;
}

void IndexWorker::step_sweep() {
    const BootTime now = wiring_.clock.boot();
    const std::uint32_t allowed = store::sweep_allowance(
        now - last_sweep_, limits_ ? limits_->delete_per_s : 1, below_reserve_);
    // A folder is synced once for all of its files: half a second's worth at a time.
    if (now - last_sweep_ < kSweepPeriod || allowed == 0) return;
    last_sweep_ = now;
    auto swept = store::sweep_garbage(*store_, wiring_.fs, folders_, allowed);
    if (!swept) complain("index.sweep_failed", swept.error());
    sweep_more_ = swept && *swept == allowed;
}

}  // namespace hd::daemon
