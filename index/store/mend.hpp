// What `check --repair` may do to a clip file: give it its own name back, or finish it at its last
// whole piece. No whole piece is lost and no file overwritten; a crash in between leaves a file
// that the next check or start mends.
#pragma once

#include <optional>
#include <string>

#include "index/store/disk_walk.hpp"

namespace hd::store {

// `path` (relative to <data>/clips) says that it is `own`. False if that name is taken, or belongs
// to another camera: then a person must look.
Result<bool> rename_back(FileSystem& fs, const DataFolders& folders, const std::string& path,
                         const clip::ClipName& own);

// `path` has no whole footer. Its summary if it has whole pieces; else it is gone (it never held
// one) or kept as "<name>.part.bad".
Result<std::optional<clip::ClipSummary>> finish_again(FileSystem& fs, const DataFolders& folders,
                                                      const std::string& path);

}  // namespace hd::store
