#include "pipelines/record/clip_disk.hpp"

#include <algorithm>

#include "index/clip/recover.hpp"

namespace hd::record {
namespace {

constexpr unsigned kFolderMode = 0700;
// A disk that fails for hours leaves few files that hold a piece; what is beyond this waits for the
// daemon's next start.
constexpr std::size_t kMostBroken = 64;

}  // namespace

BootTime next_sync(BootTime now, Micros period) {
    const std::int64_t p = std::max<std::int64_t>(period.count(), 1000);
    // The phases are those of a period of 1 s; shorter periods (tests) shrink them.
    const std::int64_t base = now.us / p * p;
    for (const Micros phase : {kFirstSyncPhase, kSecondSyncPhase}) {
        const std::int64_t at = base + std::min(phase.count(), p * phase.count() / 1'000'000);
        if (at >= now.us) return BootTime{at};
    }
    return BootTime{base + p + std::min(kFirstSyncPhase.count(), p * 3 / 10)};
}

ClipDisk::ClipDisk(FileSystem& fs, Clock& clock, const std::string& data_folder, CameraId camera)
    : fs_(&fs),
      clock_(&clock),
      clips_folder_(join(data_folder, "clips")),
      journal_path_(join(data_folder, "journal/" + to_string(camera) + ".log")),
      camera_(camera) {}

void ClipDisk::apply(DiskJob&& job) {
    std::visit([this](auto& j) { take(j); }, job);
}

std::vector<DiskEvent> ClipDisk::take_events() { return std::exchange(events_, {}); }

void ClipDisk::fail(ClipId clip, const Error& error) {
    std::uint64_t suppressed = 0;
    if (fail_log_.allow(clock_->boot().us, suppressed))
        log::error("clip.write_failed", "camera={} clip={} error=\"{}\" suppressed={}",
                   to_string(camera_), to_string(clip), error.what, suppressed);
    events_.push_back(DiskFailed{clip, error});
}

void ClipDisk::take(BeginClip& job) {
    drop_writer();
    newest_.reset();
    frames_ = 0;
    pieces_hash_.emplace();
    auto begun = clip::ClipWriter::begin(*fs_, clips_folder_, job.header);
    if (!begun) return fail(job.header.clip, begun.error());
    writer_.emplace(std::move(*begun));
    events_.push_back(ClipBegun{writer_->relative_path(), writer_->header()});
}

void ClipDisk::take(WritePiece& job) {
    // After a failure the rest of that clip is dropped; the recorder begins another.
    if (!writer_ || writer_->broken() || job.identity.clip != writer_->header().clip) return;
    if (auto done = writer_->append_piece(job.identity, job.age_file); !done)
        return fail(job.identity.clip, done.error());
    pieces_hash_->update(writer_->table().back().age_sha256);
    if (job.identity.kind == clip::PieceKind::video) frames_ += job.identity.frames;
    // Sound is durable with the video before it; what is promised is video.
    if (job.identity.kind != clip::PieceKind::audio || !newest_) newest_ = job.identity;
}

void ClipDisk::sync() {
    if (!newest_) return;
    const clip::PieceIdentity identity = *std::exchange(newest_, std::nullopt);
    if (!writer_ || writer_->broken()) return;
    const BootTime before = clock_->boot();
    const auto done = writer_->sync();
    const auto took_ms = static_cast<std::uint32_t>((clock_->boot() - before).count() / 1000);
    sync_ms_max_ = std::max(sync_ms_max_, took_ms);
    if (!done) return fail(identity.clip, done.error());
    events_.push_back(
        PieceSynced{writer_->relative_path(), identity, writer_->size_bytes(), frames_});
    finish_broken();
}

// A writer that is dropped unfinished leaves a ".part" that nobody else may touch while this
// process lives.
void ClipDisk::drop_writer() {
    if (writer_ && writer_->relative_path().ends_with(".part") && broken_.size() < kMostBroken)
        broken_.push_back(writer_->relative_path());
    writer_.reset();
}

// The disk works again: what was synced into clips that it broke becomes clips too. One at a time,
// so that the open clip does not wait for long.
void ClipDisk::finish_broken() {
    if (broken_.empty()) return;
    auto recovered = clip::recover_part(*fs_, clips_folder_, broken_.front());
    if (!recovered && recovered.error().code != ErrorCode::not_found) {
        log::warn("clip.recovery_failed",
                  "camera={} path={} error=\"{}\" action=\"again at the next start\"",
                  to_string(camera_), broken_.front(), recovered.error().what);
    }
    broken_.erase(broken_.begin());
    if (!recovered || !recovered->summary) return;
    log::info("clip.recovered", "path={} cut_bytes={}", recovered->relative_path,
              recovered->cut_bytes);
    events_.push_back(ClipEnded{recovered->relative_path, std::move(*recovered->summary)});
}

void ClipDisk::take(EndClip& job) {
    newest_.reset();
    if (!writer_) return;
    const ClipId clip = writer_->header().clip;
    auto summary = writer_->finish(job.reason, job.detail);
    const std::string path = writer_->relative_path();
    if (!summary) {
        // The ".part" stays, until the disk works again or this recorder is gone.
        drop_writer();
        log::error("clip.finish_failed", "camera={} clip={} error=\"{}\"", to_string(camera_),
                   to_string(clip), summary.error().what);
        return;
    }
    writer_.reset();
    complain(write_record(journal::ClipClosed{.when = job.when,
                                              .clip = summary->clip,
                                              .run = summary->run,
                                              .name_time = summary->name_time,
                                              .size_bytes = summary->size_bytes,
                                              .pieces_sha256 = pieces_hash_->finish()}));
    events_.push_back(ClipEnded{path, std::move(*summary)});
}

void ClipDisk::take(WriteJournal& job) { complain(write_record(job.record)); }

void ClipDisk::take(OpenGap& job) {
    complain(catch_up());
    if (gap_) return;
    complain(write_record(
        journal::GapBegan{.when = job.when, .cause = job.cause, .detail = job.detail}));
    gap_ = job.cause;
    events_.push_back(GapStands{true, job.when, job.cause, job.detail});
}

void ClipDisk::take(CloseGap& job) {
    complain(catch_up());
    if (!gap_) return;
    complain(write_record(journal::GapEnded{.when = job.when}));
    events_.push_back(GapStands{
        .open = false, .when = job.when, .cause = *std::exchange(gap_, {}), .detail = {}});
}

Result<void> ClipDisk::write_record(const journal::CameraRecord& record) {
    if (!journal_) {
        HD_TRY(fs_->make_folders(parent_folder(journal_path_), kFolderMode));
        HD_ASSIGN(auto writer, journal::Writer::open(*fs_, journal_path_, "camera"));
        journal_.emplace(std::move(writer));
    }
    auto done = journal_->append(journal::encode(record));
    if (done) done = journal_->sync();
    if (!done) journal_.reset();  // A new descriptor for the next record.
    return done;
}

Result<void> ClipDisk::catch_up() {
    if (!fs_->exists(journal_path_)) return {};
    HD_ASSIGN(const auto report,
              journal::read(*fs_, journal_path_, "camera", journal_read_,
                            [this](const journal::Record& record, std::uint64_t) {
                                const auto decoded = journal::decode_camera_record(record);
                                if (!decoded) return;
                                if (const auto* gap = std::get_if<journal::GapBegan>(&*decoded))
                                    gap_ = gap->cause;
                                if (std::holds_alternative<journal::GapEnded>(*decoded))
                                    gap_.reset();
                            }));
    journal_read_ = std::max(journal_read_, report.whole_until);
    return {};
}

void ClipDisk::complain(const Result<void>& done) {
    if (!done)
        log::error("journal.write_failed", "camera={} error=\"{}\"", to_string(camera_),
                   done.error().what);
}

}  // namespace hd::record
