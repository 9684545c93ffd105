// The hub's side: a release file laid out over memory and clip files, read in parts.
#include <algorithm>

#include <fmt/format.h>

#include "gateway/consent/release.hpp"
#include "gateway/consent/release_format.hpp"

namespace hd::consent {

ReleaseLayout::ReleaseLayout(std::string request_note, std::string answer, std::string grant_note) {
    ByteWriter out;
    out.raw(kReleaseMagic);
    out.u8(kNotesRecord);
    out.long_string(as_bytes(request_note));
    out.long_string(as_bytes(answer));
    out.long_string(as_bytes(grant_note));
    add_memory(std::move(out).take());
}

void ReleaseLayout::begin_clip(ByteView clip_header) {
    ByteWriter out;
    out.u8(kClipRecord);
    out.long_string(clip_header);
    add_memory(std::move(out).take());
}

void ReleaseLayout::add_piece(const ReleasePiece& piece) {
    ByteWriter out;
    out.u8(kPieceRecord);
    out.long_string(piece.identity);
    out.long_string(piece.original_header);
    out.long_string(piece.new_header);
    out.raw(piece.recorded_sha256);
    out.u64(piece.payload_size);
    add_memory(std::move(out).take());
    if (piece.payload_size > 0) {
        segments_.push_back({.at = total_,
                             .file = piece.file,
                             .offset = piece.payload_offset,
                             .size = piece.payload_size});
        total_ += piece.payload_size;
    }
    ++pieces_;
}

void ReleaseLayout::finish() {
    HD_CHECK(!finished_);
    ByteWriter out;
    out.u8(kEndRecord);
    out.u32(pieces_);
    add_memory(std::move(out).take());
    finished_ = true;
}

void ReleaseLayout::add_memory(Bytes bytes) {
    HD_CHECK(!finished_);
    const std::uint64_t size = bytes.size();
    // Small neighbours are joined: a release of hours has tens of thousands of pieces.
    if (!segments_.empty() && segments_.back().file.empty()) {
        Segment& last = segments_.back();
        last.memory.insert(last.memory.end(), bytes.begin(), bytes.end());
        last.size += size;
    } else {
        segments_.push_back({.at = total_, .memory = std::move(bytes), .size = size});
    }
    total_ += size;
}

std::uint64_t ReleaseLayout::parts() const {
    return (total_ + kReleasePartBytes - 1) / kReleasePartBytes;
}

Result<Bytes> ReleaseLayout::read_part(FileSystem& fs, std::uint64_t part) const {
    HD_CHECK(finished_);
    if (part >= parts())
        return Error{ErrorCode::not_found, fmt::format("release: there is no part {}", part)};
    const std::uint64_t begin = part * kReleasePartBytes;
    const std::uint64_t end = std::min(begin + kReleasePartBytes, total_);
    Bytes out;
    out.reserve(end - begin);
    auto it = std::upper_bound(segments_.begin(), segments_.end(), begin,
                               [](std::uint64_t at, const Segment& s) { return at < s.at; });
    for (--it; it != segments_.end() && it->at < end; ++it) {
        const std::uint64_t from = std::max(begin, it->at) - it->at;
        const std::uint64_t size = std::min(end, it->at + it->size) - it->at - from;
        if (it->file.empty()) {
            const auto first = it->memory.begin() + static_cast<std::ptrdiff_t>(from);
            out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(size));
            continue;
        }
        HD_ASSIGN(const Bytes bytes, fs.read_range(it->file, it->offset + from, size));
        if (bytes.size() != size)
            return Error{ErrorCode::corrupt, "release: a clip file is shorter than its table says"};
        out.insert(out.end(), bytes.begin(), bytes.end());
    }
    return out;
}

}  // namespace hd::consent
