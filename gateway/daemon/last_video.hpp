// Until when a camera's video reaches, asked of its files: where a gap begins that nobody saw
// begin.
#pragma once

#include <optional>

#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::daemon {

// The video of one clip, finished or as recovery will leave it, by that clip's own mapping.
struct VideoSpan {
    journal::Stamp begin, end;
    bool unfinished = false;  // what a power cut or a failing disk left of it
};

// The newest video of a camera that nobody records now. `edge`: how far its journal knows of
// video; `now`: by which the newest days are found. Looks into a handful of day folders and reads
// unfinished clips and a few finished ones. Nothing: no clip with a frame, or none that can be
// read.
std::optional<VideoSpan> newest_video(FileSystem& fs, const std::string& clips_folder,
                                      const CameraId& camera,
                                      const std::optional<journal::Stamp>& edge,
                                      const journal::Stamp& now);

}  // namespace hd::daemon
