#include "index/clip/recover.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/clip/clip_reader.hpp"
#include "index/clip/clip_writer.hpp"

namespace hd::clip {
namespace {

constexpr std::string_view kPart = ".part";

Result<Recovered> remove_part(FileSystem& fs, const std::string& path,
                              const std::string& relative) {
    HD_TRY(fs.remove(path));
    HD_TRY(fs.sync_folder(parent_folder(path)));
    Recovered out;
    out.outcome = Recovery::removed;
    out.relative_path = relative;
    return out;
}

Result<Recovered> move_aside(FileSystem& fs, const std::string& path, const std::string& relative) {
    HD_TRY(fs.rename(path, path + ".bad"));
    HD_TRY(fs.sync_folder(parent_folder(path)));
    Recovered out;
    out.outcome = Recovery::moved_aside;
    out.relative_path = relative + ".bad";
    return out;
}

// True if the file ends before its header does, or is all zeros (a name that reached the disk
// before its bytes): the clip never had a piece.
Result<bool> header_is_torn(FileSystem& fs, const std::string& path, std::uint64_t size) {
    if (size >= kMaxHeaderBytes) return false;
    HD_ASSIGN(const Bytes bytes, fs.read_range(path, 0, size));
    constexpr std::string_view kMagic = "HALFCLIP";
    const bool zeros = std::all_of(bytes.begin(), bytes.end(), [](auto b) { return b == 0; });
    if (zeros || kMagic.starts_with(as_text(bytes))) return true;
    if (!as_text(bytes).starts_with(kMagic)) return false;
    if (bytes.size() < 12) return true;
    const std::uint64_t whole = 12ull + ByteReader(ByteView(bytes).subspan(8)).u32() + 4;
    return whole <= kMaxHeaderBytes && bytes.size() < whole;
}

// Cuts what is behind the last whole piece, writes a footer and makes all of it durable.
Result<ClipSummary> write_footer(FileSystem& fs, const std::string& path, const Walk& walked,
                                 WallTime name_time) {
    const std::string detail =
        fmt::format("{} bytes cut, {} damaged", walked.left_bytes, walked.damaged_bytes);
    ClipSummary summary =
        summarise(walked.header.header, walked.table, name_time, EndReason::recovered, detail);
    if (walked.left_bytes > 0) HD_TRY(fs.truncate(path, walked.whole_until));
    const Bytes footer = encode_footer(walked.table, summary, walked.whole_until);
    HD_ASSIGN(auto file, fs.open_append(path));
    HD_TRY(file->append(footer));
    HD_TRY(file->sync_all());
    summary.size_bytes = walked.whole_until + footer.size();
    return summary;
}

// The footer, if the crash came after it was written whole.
std::optional<ClipSummary> whole_footer(FileSystem& fs, const std::string& path,
                                        const Walk& walked) {
    auto footer = read_footer(fs, path);
    if (!footer || footer->offset != walked.whole_until ||
        footer->summary.clip != walked.header.header.clip ||
        footer->table.size() != walked.table.size())
        return std::nullopt;
    return footer->summary;
}

Result<Recovered> finish(FileSystem& fs, const std::string& path, const std::string& relative,
                         const Walk& walked, WallTime name_time) {
    Recovered out;
    out.outcome = Recovery::finished;
    out.damaged_bytes = walked.damaged_bytes;
    out.summary = whole_footer(fs, path, walked);
    if (out.summary) {
        // Written, but perhaps not yet on the disk.
        HD_ASSIGN(auto file, fs.open_append(path));
        HD_TRY(file->sync_all());
    } else {
        out.cut_bytes = walked.left_bytes;
        HD_ASSIGN(out.summary, write_footer(fs, path, walked, name_time));
    }
    const std::string finished = path.substr(0, path.size() - kPart.size());
    HD_TRY(fs.rename(path, finished));
    HD_TRY(fs.sync_folder(parent_folder(path)));
    out.relative_path = relative.substr(0, relative.size() - kPart.size());
    return out;
}

}  // namespace

Result<Recovered> recover_part(FileSystem& fs, const std::string& clips_folder,
                               const std::string& relative_part) {
    HD_ASSIGN(const ClipName name, parse_clip_path(relative_part));
    if (!relative_part.ends_with(kPart))
        return Error{ErrorCode::invalid, relative_part + ": must end in .clip.part"};
    const std::string path = join(clips_folder, relative_part);
    HD_ASSIGN(const std::uint64_t size, fs.size(path));
    if (size == 0) return remove_part(fs, path, relative_part);
    auto walked = walk(fs, path, WalkDepth::hashes);
    if (!walked && walked.error().code != ErrorCode::corrupt) return walked.error();
    if (!walked) {
        HD_ASSIGN(const bool torn, header_is_torn(fs, path, size));
        return torn ? remove_part(fs, path, relative_part) : move_aside(fs, path, relative_part);
    }
    // A file of another camera under this one's folder was put there by nobody of ours.
    if (walked->header.header.camera != name.camera) return move_aside(fs, path, relative_part);
    const bool any_media =
        std::any_of(walked->table.begin(), walked->table.end(),
                    [](const PieceEntry& e) { return e.identity.kind != PieceKind::init; });
    if (!any_media) return remove_part(fs, path, relative_part);
    // rename() would replace a finished clip of the same name; that name is taken by mistake only.
    if (fs.exists(path.substr(0, path.size() - kPart.size())))
        return move_aside(fs, path, relative_part);
    return finish(fs, path, relative_part, *walked, name.name_time);
}

Result<std::vector<std::string>> find_parts(FileSystem& fs, const std::string& clips_folder,
                                            const CameraId& camera) {
    std::vector<std::string> out;
    const std::string folder = to_string(camera);
    auto days = fs.list(join(clips_folder, folder));
    if (!days && days.error().code == ErrorCode::not_found) return out;
    if (!days) return days.error();
    for (const FileEntry& day : *days) {
        if (!day.is_folder) continue;
        const std::string day_folder = join(folder, day.name);
        HD_ASSIGN(const auto files, fs.list(join(clips_folder, day_folder)));
        for (const FileEntry& file : files)
            if (!file.is_folder && file.name.ends_with(".clip.part"))
                out.push_back(join(day_folder, file.name));
    }
    return out;
}

}  // namespace hd::clip
