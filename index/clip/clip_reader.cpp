#include "index/clip/clip_reader.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/clip/clip_fields.hpp"
#include "index/clip/piece_layout.hpp"

namespace hd::clip {
namespace {

// Enough for a piece head without many extensions; longer ones cost a second read.
constexpr std::uint64_t kHeadGuessBytes = 512;
constexpr std::uint64_t kLargestHeadBytes = 64 + kMaxIdentityBytes;
constexpr std::uint64_t kScanBytes = 256 * 1024;

struct Tail {
    std::uint64_t file_size = 0;
    Bytes bytes;
};

Result<Tail> read_tail(FileSystem& fs, const std::string& path) {
    Tail tail;
    HD_ASSIGN(tail.file_size, fs.size(path));
    const std::uint64_t want = std::min(tail.file_size, kSummaryReadBytes);
    HD_ASSIGN(tail.bytes, fs.read_range(path, tail.file_size - want, want));
    if (tail.bytes.size() != want)
        return Error{ErrorCode::unavailable, path + ": changed while it was read"};
    return tail;
}

Result<Digest> hash_range(FileSystem& fs, const std::string& path, std::uint64_t at,
                          std::uint64_t size) {
    Sha256 hash;
    while (size > 0) {
        HD_ASSIGN(const Bytes chunk, fs.read_range(path, at, std::min(size, kScanBytes)));
        if (chunk.empty()) break;  // shorter than it was: the hash will not match
        hash.update(chunk);
        at += chunk.size();
        size -= chunk.size();
    }
    return hash.finish();
}

// The state of one walk over one file.
class Walker {
  public:
    Walker(FileSystem& fs, const std::string& path, WalkDepth depth, std::uint64_t file_size)
        : fs_(fs), path_(path), depth_(depth), file_size_(file_size) {}

    Result<Walk> run(HeaderBytes header) {
        walk_.header = std::move(header);
        std::uint64_t at = walk_.header.bytes.size();
        walk_.whole_until = at;
        while (at < file_size_ && walk_.table.size() < kMaxPieces) {
            HD_ASSIGN(const std::uint64_t next, piece_at(at));
            if (next > 0) {
                walk_.damaged_bytes += at - walk_.whole_until;
                walk_.whole_until = at = next;
                continue;
            }
            HD_ASSIGN(at, find_magic(at + 1));
        }
        walk_.left_bytes = file_size_ - std::min(file_size_, walk_.whole_until);
        return std::move(walk_);
    }

  private:
    // Where the whole piece that begins at `at` ends, 0 if there is none; only a failing disk is an
    // error.
    Result<std::uint64_t> piece_at(std::uint64_t at) {
        HD_ASSIGN(Bytes bytes, fs_.read_range(path_, at, kHeadGuessBytes));
        if (!as_text(bytes).starts_with(kPieceMagic)) return std::uint64_t{0};
        std::size_t head_size = 0;
        auto head = decode_piece_head(bytes, head_size);
        if (!head && bytes.size() == kHeadGuessBytes) {
            HD_ASSIGN(bytes, fs_.read_range(path_, at, kLargestHeadBytes));
            head = decode_piece_head(bytes, head_size);
        }
        if (!head) return std::uint64_t{0};
        PieceEntry entry{at, at + head_size, head->age_size, head->age_sha256,
                         std::move(head->identity)};
        if (!belongs_here(entry)) return std::uint64_t{0};
        if (depth_ == WalkDepth::hashes) {
            HD_ASSIGN(const Digest found, hash_range(fs_, path_, entry.age_offset, entry.age_size));
            if (found != entry.age_sha256) return std::uint64_t{0};
        }
        const std::uint64_t end = entry.age_offset + entry.age_size;
        walk_.table.push_back(std::move(entry));
        return end;
    }

    bool belongs_here(const PieceEntry& e) const {
        const ClipHeader& header = walk_.header.header;
        return e.age_offset <= file_size_ && e.age_size <= file_size_ - e.age_offset &&
               e.identity.clip == header.clip && e.identity.camera == header.camera &&
               (walk_.table.empty() || e.identity.sequence > walk_.table.back().identity.sequence);
    }

    // The first place from `at` on that could begin a piece, or the end of the file.
    Result<std::uint64_t> find_magic(std::uint64_t at) {
        while (at < file_size_) {
            HD_ASSIGN(const Bytes chunk, fs_.read_range(path_, at, kScanBytes));
            const std::size_t found = as_text(chunk).find(kPieceMagic);
            if (found != std::string_view::npos) return at + found;
            if (chunk.size() < kScanBytes) break;
            at += chunk.size() - (kPieceMagic.size() - 1);
        }
        return file_size_;
    }

    FileSystem& fs_;
    const std::string& path_;
    const WalkDepth depth_;
    const std::uint64_t file_size_;
    Walk walk_;
};

}  // namespace

Result<ClipSummary> read_summary(FileSystem& fs, const std::string& path) {
    HD_ASSIGN(const Tail tail, read_tail(fs, path));
    auto summary = decode_summary(tail.bytes, tail.file_size);
    if (!summary) return summary.error().in(path);
    return summary;
}

Result<Footer> read_footer(FileSystem& fs, const std::string& path) {
    HD_ASSIGN(const Tail tail, read_tail(fs, path));
    auto offset = footer_offset(tail.bytes, tail.file_size);
    if (!offset) return offset.error().in(path);
    const std::uint64_t size = tail.file_size - *offset;
    // A footer that the tail holds whole is not read again.
    Bytes bytes;
    if (size <= tail.bytes.size()) {
        bytes.assign(tail.bytes.end() - static_cast<std::ptrdiff_t>(size), tail.bytes.end());
    } else {
        HD_ASSIGN(bytes, fs.read_range(path, *offset, size));
    }
    auto footer = decode_footer(bytes, *offset);
    if (!footer) return footer.error().in(path);
    return footer;
}

Result<HeaderBytes> read_header(FileSystem& fs, const std::string& path) {
    HD_ASSIGN(Bytes bytes, fs.read_range(path, 0, kMaxHeaderBytes));
    std::size_t size = 0;
    auto header = decode_header(bytes, size);
    if (!header) return header.error().in(path);
    bytes.resize(size);
    return HeaderBytes{std::move(*header), std::move(bytes)};
}

Result<Walk> walk(FileSystem& fs, const std::string& path, WalkDepth depth) {
    HD_ASSIGN(const std::uint64_t file_size, fs.size(path));
    HD_ASSIGN(HeaderBytes header, read_header(fs, path));
    return Walker(fs, path, depth, file_size).run(std::move(header));
}

Result<ClipReader> ClipReader::open(FileSystem& fs, const std::string& path) {
    ClipReader reader(fs, path);
    HD_ASSIGN(reader.header_, read_header(fs, path));
    auto footer = read_footer(fs, path);
    if (footer && footer->summary.clip == reader.header().clip) {
        reader.summary_ = std::move(footer->summary);
        reader.table_ = std::move(footer->table);
        return reader;
    }
    if (!footer && footer.error().code != ErrorCode::corrupt) return footer.error();
    HD_ASSIGN(Walk walked, walk(fs, path, WalkDepth::heads));
    reader.table_ = std::move(walked.table);
    return reader;
}

Result<PieceFile> ClipReader::read_piece(std::size_t index) const {
    if (index >= table_.size())
        return Error{ErrorCode::not_found,
                     fmt::format("{}: has {} pieces, not {}", path_, table_.size(), index + 1)};
    const PieceEntry& entry = table_[index];
    const std::uint64_t size = entry.age_offset + entry.age_size - entry.offset;
    HD_ASSIGN(Bytes bytes, fs_->read_range(path_, entry.offset, size));
    const auto corrupt = [&](std::uint64_t byte, std::string_view rule) {
        return fields::corrupt_at(path_, byte, rule);
    };
    if (bytes.size() != size) return corrupt(entry.offset + bytes.size(), "piece is cut short");
    std::size_t head_size = 0;
    auto head = decode_piece_head(bytes, head_size);
    if (!head) return head.error().in(fmt::format("{}: at byte {}", path_, entry.offset));
    if (head_size != entry.age_offset - entry.offset || head->age_size != entry.age_size ||
        head->age_sha256 != entry.age_sha256 || head->identity != entry.identity)
        return corrupt(entry.offset, "piece head and piece table disagree");
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(head_size));
    if (sha256(bytes) != entry.age_sha256)
        return corrupt(entry.age_offset, "age file does not have its SHA-256");
    return PieceFile{std::move(head->identity), std::move(head->identity_bytes), entry.age_sha256,
                     std::move(bytes)};
}

Result<Bytes> ClipReader::read_age_prefix(std::size_t index, std::uint64_t limit) const {
    if (index >= table_.size())
        return Error{ErrorCode::not_found,
                     fmt::format("{}: has {} pieces, not {}", path_, table_.size(), index + 1)};
    const PieceEntry& entry = table_[index];
    return fs_->read_range(path_, entry.age_offset, std::min(limit, entry.age_size));
}

}  // namespace hd::clip
