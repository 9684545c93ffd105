// put_oldest of index/store/rebuild.hpp.
#include <algorithm>

#include "index/store/disk_walk.hpp"
#include "index/store/row_codec.hpp"

namespace hd::store {
namespace {

// Held clips are passed over: so many files are read before the caller is let go.
constexpr std::size_t kMaxFiles = 5000;

struct DatedFile {
    CameraDay at;
    FileEntry entry;
    clip::ClipName name;
};

// Finished clips of one day of all cameras, by the time in their names.
Result<std::vector<DatedFile>> files_of_day(FileSystem& fs, const DataFolders& folders,
                                            std::span<const CameraDay> cameras) {
    std::vector<DatedFile> out;
    for (const CameraDay& at : cameras) {
        const auto entries = fs.list(join(folders.clips, folder_of(at)));
        if (!entries.ok() && entries.error().code == ErrorCode::not_found) continue;
        if (!entries.ok()) return entries.error();
        for (const FileEntry& entry : *entries) {
            const auto name = clip::parse_clip_path(join(folder_of(at), entry.name));
            if (kind_of(entry) == FileKind::clip && name.ok()) out.push_back({at, entry, *name});
        }
    }
    std::ranges::sort(out, {}, [](const DatedFile& f) { return f.name.name_time; });
    return out;
}

}  // namespace

Result<WallTime> put_oldest(Store& store, FileSystem& fs, const DataFolders& folders,
                            std::uint32_t clips, const std::function<bool(const ClipRow&)>& held) {
    HD_ASSIGN(const auto cameras, cameras_on_disk(fs, folders, nullptr));
    std::vector<CameraDay> days;
    for (const CameraId& camera : cameras) {
        HD_ASSIGN(const auto found, days_on_disk(fs, folders, camera, nullptr));
        days.insert(days.end(), found.begin(), found.end());
    }
    std::ranges::stable_sort(days, {}, &CameraDay::day);
    std::size_t read = 0;
    for (std::size_t day = 0; day < days.size();) {
        std::size_t end = day;
        while (end < days.size() && days[end].day == days[day].day) ++end;
        HD_ASSIGN(const auto files,
                  files_of_day(fs, folders, std::span(days).subspan(day, end - day)));
        for (const DatedFile& file : files) {
            const ClipFile clip = read_clip_file(fs, folders, file.at, file.entry);
            if (clip.summary) HD_TRY(store.put_clips({&*clip.summary, 1}, Durability::buffered));
            const auto row = store.find(file.name);  // none: pending, or marked already
            if (row.ok() && !row->restamped && !held(*row) && clips > 0) --clips;
            if (clips == 0 || ++read == kMaxFiles) return file.name.name_time + Micros(1);
        }
        day = end;
    }
    return WallTime{kLastTimeUs};
}

}  // namespace hd::store
