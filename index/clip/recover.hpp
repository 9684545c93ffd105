// Finishes a ".part" file whose writer is dead. Only while nobody writes it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::clip {

enum class Recovery {
    finished,     // now a ".clip" with reason `recovered` (or the one its whole footer said)
    removed,      // it held no whole piece with frames: empty, torn header, init only
    moved_aside,  // no valid header, or another camera's: kept as "<name>.part.bad" for a person to
                  // look at
};

struct Recovered {
    Recovery outcome = Recovery::removed;
    std::string relative_path;           // what it is called now; the old name if removed
    std::optional<ClipSummary> summary;  // if finished
    std::uint64_t cut_bytes = 0;         // torn tail that was cut off
    std::uint64_t damaged_bytes = 0;     // left in the middle, outside of every piece
};

// Walks the pieces with their hashes, cuts what follows the last whole one, writes the footer,
// fsyncs, renames, fsyncs the folder. Repeatable: a crash in the middle leaves a file that the next
// call finishes. `relative_part` is relative to `clips_folder` and ends in ".clip.part".
Result<Recovered> recover_part(FileSystem& fs, const std::string& clips_folder,
                               const std::string& relative_part);

// The relative paths of all ".clip.part" files of one camera, oldest first. An absent folder gives
// none.
Result<std::vector<std::string>> find_parts(FileSystem& fs, const std::string& clips_folder,
                                            const CameraId& camera);

}  // namespace hd::clip
