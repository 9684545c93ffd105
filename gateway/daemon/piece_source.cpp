#include "gateway/daemon/piece_source.hpp"

#include <algorithm>

namespace hd::daemon {

namespace {
// A header for eight recipients takes 1 kB; one read nearly always does.
constexpr std::uint64_t kFirstRead = 2048;
}  // namespace

std::vector<clip::PieceIdentity> OpenedClip::identities() const {
    std::vector<clip::PieceIdentity> out;
    out.reserve(reader.table().size());
    for (const clip::PieceEntry& piece : reader.table()) out.push_back(piece.identity);
    return out;
}

Result<OpenedClip> open_clip(FileSystem& fs, const std::string& clips_folder,
                             const std::string& relative_path) {
    std::string path = join(clips_folder, relative_path);
    if (!fs.exists(path)) path += ".part";
    if (!fs.exists(path)) {
        return Error{ErrorCode::not_found, "clip: there is no such clip"};
    }
    HD_ASSIGN(auto reader, clip::ClipReader::open(fs, path));
    return OpenedClip{relative_path, path, std::move(reader)};
}

Result<PieceHeader> read_piece_header(FileSystem& fs, const OpenedClip& clip,
                                      const clip::PieceEntry& piece) {
    PieceHeader out;
    out.identity_bytes = clip::encode_identity(piece.identity);
    std::uint64_t want = std::min(piece.age_size, kFirstRead);
    while (true) {
        HD_ASSIGN(Bytes start, fs.read_range(clip.path, piece.age_offset, want));
        auto parsed = seal::parse_header(start);
        if (parsed) {
            start.resize(parsed->size);
            out.age_header = std::move(start);
            return out;
        }
        const std::uint64_t most =
            std::min<std::uint64_t>(piece.age_size, seal::kMaxAgeHeaderBytes);
        if (want >= most) return parsed.error().in(clip.relative_path);
        want = most;
    }
}

}  // namespace hd::daemon
