#include "gateway/daemon/last_video.hpp"

#include <algorithm>

#include "index/clip/clip_reader.hpp"

namespace hd::daemon {

std::optional<journal::Stamp> video_end_of(FileSystem& fs, const std::string& path) {
    if (auto summary = clip::read_summary(fs, path); summary) {
        if (summary->frames == 0) return std::nullopt;
        return journal::Stamp{.boot = summary->boot,
                              .at = summary->boot_end,
                              .utc = summary->utc_end,
                              .quality = summary->quality};
    }
    auto walk = clip::walk(fs, path, clip::WalkDepth::heads);
    if (!walk) return std::nullopt;
    std::optional<journal::Stamp> out;
    for (const clip::PieceEntry& piece : walk->table) {
        if (piece.identity.kind == clip::PieceKind::init) continue;
        if (out && piece.identity.boot_end <= out->at) continue;
        out = journal::Stamp{.boot = walk->header.header.boot,
                             .at = piece.identity.boot_end,
                             .utc = piece.identity.utc_end,
                             .quality = walk->header.header.quality};
    }
    return out;
}

std::optional<journal::Stamp> last_video(FileSystem& fs, const std::string& clips_folder,
                                         const CameraId& camera) {
    const std::string folder = join(clips_folder, to_string(camera));
    auto days = fs.list(folder);
    if (!days) return std::nullopt;
    int tried = 0;
    for (auto day = days->rbegin(); day != days->rend() && tried < 2; ++day, ++tried) {
        if (!day->is_folder) continue;
        const std::string day_folder = join(folder, day->name);
        auto files = fs.list(day_folder);
        if (!files) continue;
        // Names begin with the time of day, so the last name is the newest file.
        for (auto file = files->rbegin(); file != files->rend(); ++file) {
            if (!clip::parse_clip_path(to_string(camera) + "/" + day->name + "/" + file->name)) {
                continue;
            }
            if (auto end = video_end_of(fs, join(day_folder, file->name)); end) return end;
        }
    }
    return std::nullopt;
}

}  // namespace hd::daemon
