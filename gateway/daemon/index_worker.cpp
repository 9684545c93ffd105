#include "gateway/daemon/index_worker.hpp"

#include <algorithm>

#include "gateway/daemon/event_fields.hpp"
#include "gateway/daemon/lock_file.hpp"
#include "index/base/log.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/clip/recover.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {

// While nothing is asked of the thread it looks this often for work of its own.
constexpr std::chrono::milliseconds kIdleWait{200};
constexpr Micros kStatusPeriod = 1s;
// Lost notices are found at the latest then; a pass over the newest days takes milliseconds.
constexpr Micros kReconcilePeriod = std::chrono::minutes(10);
// Files per step of a rebuild or check: about 20 ms, so that notices wait no longer.
constexpr std::uint32_t kStepFiles = 200;

std::string lock_path(const std::string& runtime, const CameraId& camera) {
    return join(runtime, "recorder-" + to_string(camera) + ".lock");
}

}  // namespace

Result<std::unique_ptr<IndexWorker>> IndexWorker::open(IndexPlaces places, Wiring wiring) {
    store::OpenReport report;
    HD_TRY(wiring.fs.make_folders(join(places.data_folder, "clips"), 0700));
    HD_TRY(wiring.fs.make_folders(join(places.data_folder, "journal"), 0700));
    HD_ASSIGN(auto store, store::Store::open(join(places.data_folder, "index"),
                                             {.memory_bytes = places.memory_bytes},
                                             wiring.clock.wall(), report));
    if (!report.moved_aside.empty()) {
        log::warn("index.moved_aside", "to={} why=\"{}\"", report.moved_aside, report.why);
    }
    return std::make_unique<IndexWorker>(Token(), std::move(places), wiring, std::move(store),
                                         report);
}

IndexWorker::IndexWorker(Token, IndexPlaces places, Wiring wiring,
                         std::unique_ptr<store::Store> store, const store::OpenReport& report)
    : places_(std::move(places)),
      folders_{.clips = join(places_.data_folder, "clips"),
               .journal = join(places_.data_folder, "journal")},
      wiring_(wiring),
      store_(std::move(store)) {
    // Until run() has compared rows and files, answers may lack what a crash left unfinished.
    wiring_.board.set_index({.rebuilding = true});
    if (report.created || report.rebuild_unfinished) {
        rebuild_ =
            std::make_unique<store::Rebuild>(*store_, wiring_.fs, folders_, read_in_parallel());
        log::info("index.rebuild_began", "unfinished={}", report.rebuild_unfinished);
    }
}

void IndexWorker::complain(std::string_view event, const Error& error) {
    std::uint64_t suppressed = 0;
    if (!store_->failed() || complaints_.allow(wiring_.clock.boot().us, suppressed))
        log::warn(event, "error=\"{}\" code={} suppressed={}", error.what, to_string(error.code),
                  suppressed);
    if (wiring_.board.raise(
            "index", "error",
            "The index reported: " + error.what +
                ". Recording goes on; `halfdoor check` says which clips are concerned.")) {
        wiring_.events.publish("health", wiring_.clock.wall(),
                               health_fields("index", "error", error.what));
    }
}

bool IndexWorker::recorder_alive(const CameraId& camera) const {
    return LockFile::is_held(lock_path(places_.runtime_folder, camera));
}

void IndexWorker::run(const std::stop_token& stop) {
    reconcile();
    publish_status();
    while (!stop.stop_requested()) {
        const bool busy = rebuild_ || check_;
        if (auto task = wiring_.inbox.pop(busy ? 0ms : kIdleWait); task) {
            handle(std::move(*task));
            if (wiring_.inbox.size() > 0) continue;  // Notices first.
        }
        background_step();
    }
    // On a drive that is gone nothing can be written, and the next reconcile finds what was not.
    if (drive_sight_ != DriveWatch::Sight::well || wiring_.drive.moved()) return;
    while (auto task = wiring_.inbox.pop(0ms)) handle(std::move(*task));
    if (auto synced = store_->sync(); !synced) complain("index.sync_failed", synced.error());
}

void IndexWorker::handle(IndexTask&& task) {
    std::visit([this](auto& t) { take(t); }, task);
    heal_if_damaged();
}

void IndexWorker::heal_if_damaged() {
    // What a dead drive says of its bytes is no reason to put an index aside.
    if (!store_->damaged() || store_->failed() || wiring_.drive.moved()) return;
    check_.reset();
    rebuild_.reset();
    auto report = store_->start_over(wiring_.clock.wall());
    if (!report) return complain("index.start_over_failed", report.error());
    log::warn("index.damaged", "moved_to={} action=rebuild", report->moved_aside);
    rebuild_ = std::make_unique<store::Rebuild>(*store_, wiring_.fs, folders_, read_in_parallel());
}

void IndexWorker::reconcile() {
    next_reconcile_ = wiring_.clock.boot() + kReconcilePeriod;
    auto report = store::reconcile(*store_, wiring_.fs, folders_);
    if (!report) {
        complain("index.reconcile_failed", report.error());
        return heal_if_damaged();
    }
    if (wiring_.board.clear("index")) {
        wiring_.events.publish("health", wiring_.clock.wall(),
                               health_fields("index", "ok", "reconciled"));
    }
    for (const store::Finding& finding : report->findings) {
        if (finding.kind == store::FindingKind::unfinished) continue;
        log::warn("index.finding", "kind={} path={} what=\"{}\"", to_string(finding.kind),
                  finding.path, finding.what);
    }
    recover(report->unfinished);
    if (report->clips_put > 0 || report->garbage_removed > 0) {
        log::info("index.reconciled", "clips_put={} garbage_removed={} unfinished={}",
                  report->clips_put, report->garbage_removed, report->unfinished.size());
    }
}

// The list was made before each lock is looked at here. A recorder takes its lock before it makes
// a file, so a file of the list is dead if nobody holds the lock now.
void IndexWorker::recover(const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
        auto name = clip::parse_clip_path(part);
        if (!name || recorder_alive(name->camera)) continue;
        recover_one(part);
    }
}

void IndexWorker::recover_one(const std::string& part) {
    if (auto name = clip::parse_clip_path(part); name) store_->drop_open_clip(*name);
    open_rows_.erase(part);
    auto recovered = clip::recover_part(wiring_.fs, folders_.clips, part);
    if (!recovered) {
        if (recovered.error().code == ErrorCode::not_found) return;  // Finished meanwhile.
        return complain("clip.recovery_failed", recovered.error().in(part));
    }
    log::info("clip.recovered", "path={} cut_bytes={} damaged_bytes={} frames={}",
              recovered->relative_path, recovered->cut_bytes, recovered->damaged_bytes,
              recovered->summary ? recovered->summary->frames : 0);
    if (recovered->summary) commit(*recovered->summary);
}

void IndexWorker::commit(const clip::ClipSummary& summary) {
    auto put = store_->put_clip(summary);
    if (!put) return complain("index.put_failed", put.error());
    for (const std::string& refused : put->refused) {
        log::warn("index.clip_refused", "why=\"{}\"", refused);
    }
    // The same clip again (a notice after a reconcile) is no news.
    if (put->added + put->replaced == 0) return;
    wiring_.events.publish("clip.closed", wiring_.clock.wall(), clip_closed_fields(summary));
}

void IndexWorker::take(const ClipSeen& seen) {
    auto name = clip::parse_clip_path(seen.path);
    if (!name || name->camera != seen.camera) return;  // A hint that cannot be true.
    auto known = open_rows_.find(seen.path);
    if (known == open_rows_.end()) {
        std::optional<clip::ClipHeader> header = seen.header;
        if (!header) {  // An adopted recorder: its clip was opened before our time.
            auto read = clip::read_header(wiring_.fs, join(folders_.clips, seen.path));
            if (!read) return;
            header = std::move(read->header);
        }
        // One open clip per camera: whatever else is listed was lost with a notice.
        std::erase_if(open_rows_, [&](const auto& entry) {
            if (entry.second.camera != seen.camera) return false;
            store_->drop_open_clip(store::clip_name(entry.second));
            return true;
        });
        store::ClipRow row{.camera = seen.camera,
                           .begin = header->utc_begin,
                           .end = header->utc_begin,
                           .name_time = name->name_time,
                           .run = name->run,
                           .quality = header->quality,
                           .open = true};
        known = open_rows_.emplace(seen.path, row).first;
        wiring_.events.publish("clip.opened", wiring_.clock.wall(),
                               clip_opened_fields(seen.camera, store::clip_path(row), row.begin));
    }
    store::ClipRow& row = known->second;
    row.size_bytes = std::max(row.size_bytes, seen.size_bytes);
    row.frames = std::max(row.frames, seen.frames);
    if (seen.end && *seen.end > row.end) row.end = *seen.end;
    store_->set_open_clip(row);
}

void IndexWorker::take(const ClipDone& done) {
    auto name = clip::parse_clip_path(done.path);
    if (!name || name->camera != done.camera) return;
    open_rows_.erase(done.path + ".part");
    // The file is the truth, not the notice.
    auto summary = clip::read_summary(wiring_.fs, join(folders_.clips, done.path));
    store_->drop_open_clip(*name);
    if (!summary) return complain("clip.unreadable", summary.error().in(done.path));
    commit(*summary);
}

void IndexWorker::take(const RecorderGone& gone) {
    if (!gone.open_path.empty()) recover_one(gone.open_path);
    // What an ailing disk kept it from finishing; nothing if its successor runs already.
    auto parts = clip::find_parts(wiring_.fs, folders_.clips, gone.camera);
    if (!parts) return complain("clip.recovery_failed", parts.error());
    recover(*parts);
}

// Several are met at once: one look serves all of them.
void IndexWorker::take(const RecorderMet&) { next_reconcile_ = wiring_.clock.boot(); }

void IndexWorker::take(const GapSeen& gap) {
    // The notice is a hint that may be late or one of several; the journal has them in order.
    auto put = store::follow_journal(*store_, wiring_.fs, folders_, gap.camera);
    if (!put) complain("index.gap_failed", put.error());
}

void IndexWorker::take(const OffsetKnown& offset) {
    auto count = store_->set_boot_offset(offset.boot, offset.wall_minus_boot);
    if (!count) return complain("index.restamp_failed", count.error());
    if (*count > 0) log::info("index.restamped", "clips={}", *count);
}

void IndexWorker::take(RetentionLimits& limits) {
    limits_ = std::move(limits);
    next_retention_ = wiring_.clock.boot();
}

void IndexWorker::background_step() {
    look_at_drive();
    const BootTime now = wiring_.clock.boot();
    if (rebuild_) step_rebuild();
    if (check_) step_check();
    if (!rebuild_ && !check_) crew_.reset();
    if (wiring_.drive.moved()) {
        // What another folder holds is not known here. A failing disk is no reason: that files go
        // makes the room in which it may be well again.
    } else if (now >= next_retention_) {
        next_retention_ = now + kRetentionPeriod;
        retention_pass();
    } else if (sweep_more_) {
        step_sweep();
    }
    // Notices were refused: what they said is on the disk.
    const std::uint64_t refused = wiring_.inbox.refused();
    if (refused != refused_seen_ && wiring_.inbox.size() == 0) {
        refused_seen_ = refused;
        next_reconcile_ = now;
    }
    if (now >= next_reconcile_ && !rebuild_ && drive_sight_ == DriveWatch::Sight::well) reconcile();
    if (now >= next_status_) {
        next_status_ = now + kStatusPeriod;
        publish_status();
    }
    heal_if_damaged();
}

void IndexWorker::step_rebuild() {
    auto progress = rebuild_->step(kStepFiles);
    if (!progress) {
        complain("index.rebuild_failed", progress.error());
        rebuild_.reset();  // Reconcile or the next start goes on with it.
        return;
    }
    rebuild_progress_ = *progress;
    if (!progress->done) return;
    for (const store::Finding& finding : rebuild_->findings()) {
        if (finding.kind == store::FindingKind::unfinished) continue;
        log::warn("index.finding", "kind={} path={} what=\"{}\"", to_string(finding.kind),
                  finding.path, finding.what);
    }
    const std::vector<std::string> unfinished = rebuild_->unfinished();
    rebuild_.reset();
    recover(unfinished);
    log::info("index.rebuild_done", "files={} clips_put={} findings={}", progress->files_seen,
              progress->clips_put, progress->findings_total);
    if (wiring_.board.clear("index")) {
        wiring_.events.publish("health", wiring_.clock.wall(),
                               health_fields("index", "ok", "rebuilt"));
    }
    publish_status();
}

void IndexWorker::publish_status() {
    IndexStatus status;
    const auto complete_from = store_->complete_from();
    status.rebuilding = rebuild_ != nullptr;
    status.complete_from = complete_from.value_or(WallTime{});
    status.rebuild_done = rebuild_progress_.days_total - rebuild_progress_.days_left;
    status.rebuild_total = rebuild_progress_.days_total;
    lag_.garbage_bytes = 0;
    for (const store::CameraTotals& totals : store_->all_totals()) {
        status.rows += totals.clips + totals.pending_clips;
        status.stored_bytes += totals.bytes + totals.pending_bytes;
        lag_.garbage_bytes += totals.garbage_bytes;
        status.cameras[totals.camera] = {.clips = totals.clips + totals.pending_clips,
                                         .stored_bytes = totals.bytes + totals.pending_bytes,
                                         .oldest = totals.first,
                                         .newest = totals.last};
    }
    status.lag = lag_;
    wiring_.board.set_index(std::move(status));
}

}  // namespace hd::daemon
