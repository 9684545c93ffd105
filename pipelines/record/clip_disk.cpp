#include "pipelines/record/clip_disk.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/clip/clip_reader.hpp"
#include "index/clip/recover.hpp"

namespace hd::record {
namespace {

// A disk that fails for hours leaves few files that hold a piece; what is beyond this waits for the
// daemon's next start.
constexpr std::size_t kMostBroken = 64;
// A disk that fails that often in a row fails; a file that does so beside others that do not is a
// bad file, and must not cost recording.
constexpr int kMostTries = 8;
constexpr std::string_view kPart = ".part";

journal::Stamp begin_of(const clip::ClipSummary& s) {
    return {.boot = s.boot, .at = s.boot_begin, .utc = s.utc_begin, .quality = s.quality};
}
journal::Stamp end_of(const clip::ClipSummary& s) {
    return {.boot = s.boot, .at = s.boot_end, .utc = s.utc_end, .quality = s.quality};
}

// By the mapping of that clip.
journal::Stamp stamp_in(const clip::ClipHeader& h, BootTime at) {
    return {
        .boot = h.boot, .at = at, .utc = h.utc_begin + (at - h.boot_begin), .quality = h.quality};
}

bool has_video(const std::vector<clip::PieceEntry>& table) {
    return std::any_of(table.begin(), table.end(), [](const clip::PieceEntry& piece) {
        return piece.identity.kind == clip::PieceKind::video;
    });
}

// Bytes and name, as they are now. not_found: there is no such file.
Result<void> sync_file(FileSystem& fs, const std::string& path) {
    if (!fs.exists(path)) return Error{ErrorCode::not_found, path + ": no such file"};
    HD_ASSIGN(auto file, fs.open_append(path));
    HD_TRY(file->sync_all());
    return fs.sync_folder(parent_folder(path));
}

Digest hash_of(const std::vector<clip::PieceEntry>& table) {
    Sha256 hash;
    for (const clip::PieceEntry& piece : table) hash.update(piece.age_sha256);
    return hash.finish();
}

// What a clip that was not ended in order becomes. A file that has its last name has its footer
// too; only whether that name would last was not known.
Result<clip::Recovered> finish_late(FileSystem& fs, const std::string& clips_folder,
                                    const std::string& relative) {
    if (relative.ends_with(kPart)) return clip::recover_part(fs, clips_folder, relative);
    clip::Recovered out;
    out.relative_path = relative;
    HD_ASSIGN(out.summary, clip::read_summary(fs, join(clips_folder, relative)));
    return out;
}

}  // namespace

BootTime next_sync(BootTime now, BootTime oldest, Micros period) {
    const std::int64_t p = std::max<std::int64_t>(period.count(), 1000);
    const BootTime tick{now.us / p * p};
    // The phases are those of a period of 1 s; shorter periods (tests) shrink them.
    const auto instant = [&](Micros phase) {
        return tick + std::min(phase, Micros(p * phase.count() / 1'000'000));
    };
    if (now <= instant(kFirstSyncPhase)) return instant(kFirstSyncPhase);
    if (oldest < tick && now <= instant(kSecondSyncPhase)) return instant(kSecondSyncPhase);
    return instant(kFirstSyncPhase) + Micros(p);
}

ClipDisk::ClipDisk(FileSystem& fs, Clock& clock, const std::string& data_folder, CameraId camera)
    : fs_(&fs),
      clock_(&clock),
      clips_folder_(join(data_folder, "clips")),
      camera_(camera),
      gaps_(fs, join(data_folder, "journal/" + to_string(camera) + ".log")) {}

void ClipDisk::apply(DiskJob&& job) {
    std::visit([this](auto& j) { take(j); }, job);
    take_gap_events();
}

std::vector<DiskEvent> ClipDisk::take_events() { return std::exchange(events_, {}); }

void ClipDisk::take_gap_events() {
    for (GapStands& gap : gaps_.take_events()) events_.push_back(std::move(gap));
}

void ClipDisk::fail(ClipId clip, const Error& error) {
    std::uint64_t suppressed = 0;
    if (fail_log_.allow(clock_->boot().us, suppressed))
        log::error("clip.write_failed", "camera={} clip={} error=\"{}\" suppressed={}",
                   to_string(camera_), to_string(clip), error.what, suppressed);
    events_.push_back(DiskFailed{clip, error});
    if (writer_) break_off(error);
    disk_cause_ = cause_of(error);
    no_video({stamp_in(*header_, clock_->boot()), disk_cause_, error.what});
}

void ClipDisk::no_video(const OpenGap& why) {
    // A clip that was broken off may split the open gap: until then it has one cause.
    if (!broken_.empty() && broken_.back().video && gaps_.is_open()) return;
    gaps_.open(edge_, why.seen, why.cause, why.detail);
}

// The clip ends with its last whole piece: now, if the disk takes a footer, else when it works
// again or this recorder is gone.
void ClipDisk::break_off(const Error& error) {
    newest_.reset();
    if (has_video(writer_->table()) && end_clip(clip::EndReason::disk_error, error.what)) return;
    drop_writer();
}

// Video goes on where the last clip ended, or the journal says why not before there is a new file:
// whatever happens next, no stretch is without a word.
void ClipDisk::meet_last_clip(const clip::ClipHeader& header) {
    if (!edge_ || gaps_.is_open() || edge_->boot != header.boot) return;
    const Micros missing = header.boot_begin - edge_->at;
    if (missing > Micros(0)) {
        gaps_.open(edge_, *edge_, journal::GapCause::stalled,
                   fmt::format("no frame for {} ms", missing.count() / 1000));
    } else if (missing == Micros(0) && header.utc_begin > edge_->utc &&
               edge_->quality != ClockQuality::unsynchronised) {
        gaps_.open(edge_, *edge_, journal::GapCause::clock, "the clock was set forward");
    }
}

// The open clip has its first frame on the disk.
void ClipDisk::video_stands() {
    if (std::exchange(stands_, true)) return;
    gaps_.close(begin_of(clip::summarise(writer_->header(), writer_->table(), WallTime{},
                                         clip::EndReason::recovered, "")));
}

void ClipDisk::take(BeginClip& job) {
    drop_writer();
    header_ = job.header;
    newest_.reset();
    stands_ = false;
    frames_ = 0;
    if (auto settled = settle_broken(); !settled) return fail(job.header.clip, settled.error());
    meet_last_clip(job.header);
    if (auto kept = gaps_.flush(); !kept) return fail(job.header.clip, kept.error());
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
    if (job.identity.kind == clip::PieceKind::video) frames_ += job.identity.frames;
    // What stands behind video is durable with it; what is promised is video.
    const bool behind = job.identity.kind == clip::PieceKind::audio ||
                        job.identity.kind == clip::PieceKind::activity;
    if (behind && newest_) return;
    if (!newest_) oldest_ = job.identity.boot_begin;
    newest_ = job.identity;
}

void ClipDisk::sync() {
    if (!newest_) return;
    const clip::PieceIdentity identity = *std::exchange(newest_, std::nullopt);
    if (!writer_ || writer_->broken()) return;
    const BootTime before = clock_->boot();
    const auto done = writer_->sync();
    const auto took_ms = static_cast<std::uint32_t>((clock_->boot() - before).count() / 1000);
    sync_ms_max_ = std::max(sync_ms_max_, took_ms);
    if (!done) {
        fail(identity.clip, done.error());
    } else {
        events_.push_back(
            PieceSynced{writer_->relative_path(), identity, writer_->size_bytes(), frames_});
        if (!stands_) finish_broken();
        if (has_video(writer_->table())) video_stands();
    }
    take_gap_events();
}

// A writer that is dropped leaves a file that nobody else may touch while this process lives.
void ClipDisk::drop_writer() {
    if (!writer_) return;
    // Recovery keeps every piece that is left; and a file whose new name is not synced is whole.
    const clip::ClipSummary summary = clip::summarise(writer_->header(), writer_->table(),
                                                      WallTime{}, clip::EndReason::recovered, "");
    const bool video = has_video(writer_->table());
    if (broken_.size() == kMostBroken) broken_.erase(broken_.begin());
    broken_.push_back({.path = writer_->relative_path(), .whole_bytes = {}, .video = {}});
    if (broken_.back().path.ends_with(kPart)) broken_.back().whole_bytes = writer_->size_bytes();
    if (video) broken_.back().video = {begin_of(summary), end_of(summary)};
    if (video && !gaps_.is_open()) edge_ = end_of(summary);
    writer_.reset();
    // At once: whoever comes after this process would take what is behind it for video.
    cut_back(broken_.back()).ignore();
}

Result<void> ClipDisk::cut_back(Broken& broken) {
    if (!broken.whole_bytes) return {};
    const std::string path = join(clips_folder_, broken.path);
    HD_ASSIGN(const std::uint64_t size, fs_->size(path));
    if (size > *broken.whole_bytes) HD_TRY(fs_->truncate(path, *broken.whole_bytes));
    broken.whole_bytes.reset();
    return {};
}

// What a clip holds that the disk broke is made durable before there is another: the journal says
// that video ended with it, and no power cut behind that may take a second of it in silence. This
// needs no room, unlike finishing it.
Result<void> ClipDisk::settle_broken() {
    for (Broken& broken : broken_) {
        if (!broken.video) continue;
        auto done = cut_back(broken);
        if (done) done = sync_file(*fs_, join(clips_folder_, broken.path));
        if (!done && done.error().code != ErrorCode::not_found && ++broken.tries < kMostTries)
            return done;
        if (!done)
            log::warn("clip.not_durable", "camera={} path={} error=\"{}\"", to_string(camera_),
                      broken.path, done.error().what);
        const auto [begin, end] = *std::exchange(broken.video, std::nullopt);
        gaps_.settle_late(begin, end, disk_cause_);
    }
    return {};
}

// The disk works again: what was written into clips that it broke becomes clips too. What it does
// not take now (a full disk takes no footer) it may with the next clip.
void ClipDisk::finish_broken() {
    for (Broken& broken : std::exchange(broken_, {})) {
        const auto cut = cut_back(broken);
        auto recovered = cut ? finish_late(*fs_, clips_folder_, broken.path) : cut.error();
        if (!recovered && recovered.error().code != ErrorCode::not_found) {
            log::warn("clip.recovery_failed",
                      "camera={} path={} error=\"{}\" action=\"again with the next clip\"",
                      to_string(camera_), broken.path, recovered.error().what);
            broken_.push_back(std::move(broken));
        }
        if (!recovered || !recovered->summary) continue;
        log::info("clip.recovered", "path={} cut_bytes={}", recovered->relative_path,
                  recovered->cut_bytes);
        events_.push_back(ClipEnded{recovered->relative_path, std::move(*recovered->summary)});
    }
}

// False: the file could not be finished; the ".part" is still the writer's.
bool ClipDisk::end_clip(clip::EndReason reason, const std::string& detail) {
    auto summary = writer_->finish(reason, detail);
    if (!summary) {
        log::error("clip.finish_failed", "camera={} clip={} error=\"{}\"", to_string(camera_),
                   to_string(writer_->header().clip), summary.error().what);
        return false;
    }
    const std::string path = writer_->relative_path();
    if (has_video(writer_->table())) {
        finish_broken();
        video_stands();
        edge_ = end_of(*summary);
    }
    const Digest pieces_hash = hash_of(writer_->table());
    writer_.reset();
    take(WriteJournal{journal::ClipClosed{.when = end_of(*summary),
                                          .clip = summary->clip,
                                          .run = summary->run,
                                          .name_time = summary->name_time,
                                          .size_bytes = summary->size_bytes,
                                          .pieces_sha256 = pieces_hash}});
    events_.push_back(ClipEnded{path, std::move(*summary)});
    return true;
}

void ClipDisk::take(EndClip& job) {
    newest_.reset();
    if (writer_ && !end_clip(job.reason, job.detail)) drop_writer();
}

void ClipDisk::take(const WriteJournal& job) {
    if (auto done = gaps_.write(job.record); !done)
        log::error("journal.write_failed", "camera={} error=\"{}\"", to_string(camera_),
                   done.error().what);
}

void ClipDisk::take(OpenGap& job) { no_video(job); }

}  // namespace hd::record
