#include "index/store/mend.hpp"

#include "index/clip/recover.hpp"

namespace hd::store {

Result<bool> rename_back(FileSystem& fs, const DataFolders& folders, const std::string& path,
                         const clip::ClipName& own) {
    const std::string rightful = clip::clip_path(own.camera, own.name_time, own.run);
    if (parent_folder(parent_folder(path)) != to_string(own.camera)) return false;
    const std::string to = join(folders.clips, rightful);
    if (fs.exists(to) || fs.exists(to + ".part")) return false;
    HD_TRY(fs.make_folders(parent_folder(to), 0700));
    HD_TRY(fs.rename(join(folders.clips, path), to));
    HD_TRY(fs.sync_folder(parent_folder(to)));
    if (parent_folder(path) != parent_folder(rightful))
        HD_TRY(fs.sync_folder(join(folders.clips, parent_folder(path))));
    return true;
}

Result<std::optional<clip::ClipSummary>> finish_again(FileSystem& fs, const DataFolders& folders,
                                                      const std::string& path) {
    const std::string part = path + ".part";
    if (fs.exists(join(folders.clips, part))) return std::optional<clip::ClipSummary>();
    HD_TRY(fs.rename(join(folders.clips, path), join(folders.clips, part)));
    HD_TRY(fs.sync_folder(join(folders.clips, parent_folder(path))));
    HD_ASSIGN(clip::Recovered recovered, clip::recover_part(fs, folders.clips, part));
    return std::move(recovered.summary);
}

}  // namespace hd::store
