#include "index/clip/clip_writer.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "index/base/time_range.hpp"
#include "index/clip/clip_fields.hpp"

namespace hd::clip {
namespace {

// Names differ by microseconds; a thousand taken ones in a row are not an accident.
constexpr int kNameTries = 1000;
constexpr unsigned kFolderMode = 0770;  // The umask says who: docs/operations.md.

Error broken_error() {
    return {ErrorCode::unavailable, "clip: an earlier write failed; begin a new file"};
}

}  // namespace

ClipSummary summarise(const ClipHeader& header, const std::vector<PieceEntry>& table,
                      WallTime name_time, EndReason reason, std::string_view detail) {
    ClipSummary s;
    s.clip = header.clip;
    s.camera = header.camera;
    s.run = header.run;
    s.boot = header.boot;
    s.name_time = name_time;
    s.quality = header.quality;
    s.reason = reason;
    s.reason_detail = fields::cut_text(detail);
    s.pieces = static_cast<std::uint32_t>(table.size());
    s.boot_begin = s.boot_end = header.boot_begin;
    bool any_media = false;
    std::optional<BootTime> last_key;
    Micros longest{0};
    for (const PieceEntry& e : table) {
        const PieceIdentity& id = e.identity;
        // Its sound may begin before and end after it; two clips do not overlap for that.
        if (id.kind != PieceKind::video) continue;
        s.boot_begin = any_media ? std::min(s.boot_begin, id.boot_begin) : id.boot_begin;
        s.boot_end = any_media ? std::max(s.boot_end, id.boot_end) : id.boot_end;
        any_media = true;
        s.frames += id.frames;
        if (id.start == PieceStart::none) continue;
        if (last_key) longest = std::max(longest, id.boot_begin - *last_key);
        last_key = id.boot_begin;
    }
    if (last_key) longest = std::max(longest, s.boot_end - *last_key);
    s.longest_key_distance_ms =
        static_cast<std::uint32_t>(std::min<std::int64_t>(longest.count() / 1000, UINT32_MAX));
    const auto to_utc = [&](BootTime t) {
        const WallTime utc = header.utc_begin + (t - header.boot_begin);
        return WallTime{std::clamp<std::int64_t>(utc.us, 0, kLastTimeUs)};
    };
    s.utc_begin = to_utc(s.boot_begin);
    s.utc_end = to_utc(s.boot_end);
    return s;
}

Result<ClipWriter> ClipWriter::begin(FileSystem& fs, const std::string& clips_folder,
                                     const ClipHeader& header) {
    ClipWriter writer(fs, clips_folder, header);
    writer.header_bytes_ = encode_header(header);
    std::size_t size = 0;
    if (auto readable = decode_header(writer.header_bytes_, size); !readable)
        return Error{ErrorCode::invalid, readable.error().what};
    HD_TRY(writer.create_part());
    if (auto done = writer.file_->append(writer.header_bytes_); !done) {
        // Nothing but a piece of our own header is in it.
        fs.remove(join(clips_folder, writer.relative_path_)).ignore();
        return done.error();
    }
    writer.whole_until_ = writer.header_bytes_.size();
    return writer;
}

Result<void> ClipWriter::create_part() {
    name_time_ = header_.utc_begin;
    for (int i = 0; i < kNameTries; ++i, name_time_ = name_time_ + Micros(1)) {
        const std::string name = clip_path(header_.camera, name_time_, header_.run);
        const std::string path = join(clips_folder_, name);
        if (i == 0) HD_TRY(fs_->make_folders(parent_folder(path), kFolderMode));
        // rename() would replace a finished clip without a word.
        if (fs_->exists(path)) continue;
        auto created = fs_->create(path + ".part");
        if (created) {
            file_ = std::move(*created);
            relative_path_ = name + ".part";
            return {};
        }
        if (!fs_->exists(path + ".part")) return created.error();
    }
    return Error{ErrorCode::exhausted, fmt::format("clip: {} names from {} on are taken",
                                                   kNameTries, to_rfc3339(header_.utc_begin))};
}

Result<void> ClipWriter::append_piece(const PieceIdentity& identity, ByteView age_file) {
    if (broken_ || !file_) return broken_error();
    if (table_.size() >= kMaxPieces)
        return Error{ErrorCode::exhausted, "clip: holds 4096 pieces, which is the limit"};
    if (identity.camera != header_.camera || identity.clip != header_.clip)
        return Error{ErrorCode::invalid, "clip: the piece names another clip or camera"};
    if (identity.sequence != next_sequence())
        return Error{ErrorCode::invalid, fmt::format("clip: piece {} follows piece {}",
                                                     identity.sequence, table_.size())};
    if ((identity.kind == PieceKind::init) != table_.empty())
        return Error{ErrorCode::invalid, "clip: piece 0, and no other, must be the init piece"};
    if (age_file.size() > kMaxPieceBytes)
        return Error{ErrorCode::invalid, fmt::format("clip: age file of {} bytes, the limit is {}",
                                                     age_file.size(), kMaxPieceBytes)};
    const Bytes identity_bytes = encode_identity(identity);
    if (auto readable = decode_identity(identity_bytes); !readable)
        return Error{ErrorCode::invalid, readable.error().what};

    PieceEntry entry;
    entry.age_size = age_file.size();
    entry.age_sha256 = sha256(age_file);
    entry.identity = identity;
    // One write: each one is given to the disk at once.
    Bytes piece = encode_piece_head(identity_bytes, entry.age_size, entry.age_sha256);
    entry.offset = whole_until_;
    entry.age_offset = whole_until_ + piece.size();
    piece.insert(piece.end(), age_file.begin(), age_file.end());
    if (auto done = file_->append(piece); !done) {
        broken_ = true;
        return done;
    }
    whole_until_ = entry.age_offset + entry.age_size;
    table_.push_back(std::move(entry));
    return {};
}

Result<void> ClipWriter::sync() {
    if (broken_ || !file_) return broken_error();
    auto done = file_->sync_data();
    // A file whose name is lost is lost. make_folders() has synced the folders above.
    if (done && !name_synced_)
        done = fs_->sync_folder(parent_folder(join(clips_folder_, relative_path_)));
    if (!done) {
        broken_ = true;
        forget_unsynced();
        return done;
    }
    name_synced_ = true;
    synced_pieces_ = table_.size();
    return {};
}

void ClipWriter::forget_unsynced() {
    table_.resize(synced_pieces_);
    whole_until_ =
        table_.empty() ? header_bytes_.size() : table_.back().age_offset + table_.back().age_size;
}

Result<void> ClipWriter::write_footer(ClipSummary& summary) {
    const std::string part = join(clips_folder_, relative_path_);
    if (broken_) HD_TRY(fs_->truncate(part, whole_until_));
    const Bytes footer = encode_footer(table_, summary, whole_until_);
    summary.size_bytes = whole_until_ + footer.size();
    if (auto done = file_->append(footer); !done) {
        fs_->truncate(part, whole_until_).ignore();  // recovery would cut it too
        return done;
    }
    auto done = file_->sync_all();
    if (!done) forget_unsynced();
    return done;
}

Result<ClipSummary> ClipWriter::finish(EndReason reason, std::string_view detail) {
    if (!file_) return broken_error();
    ClipSummary summary = summarise(header_, table_, name_time_, reason, detail);
    const auto written = write_footer(summary);
    file_.reset();
    broken_ = true;
    if (!written) return written.error();
    const std::string part = join(clips_folder_, relative_path_);
    const std::string finished = part.substr(0, part.size() - std::string_view(".part").size());
    HD_TRY(fs_->rename(part, finished));
    relative_path_.resize(relative_path_.size() - std::string_view(".part").size());
    HD_TRY(fs_->sync_folder(parent_folder(finished)));
    return summary;
}

}  // namespace hd::clip
