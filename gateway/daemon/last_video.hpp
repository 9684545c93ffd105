// Until when a camera's video reaches, asked of its files: where a gap begins that nobody saw
// begin.
#pragma once

#include <optional>

#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::daemon {

// The end of the last whole piece of the newest clip file, finished or not, of the two newest
// days. Reads one file. Nothing: no clip with a frame, or none that can be read.
std::optional<journal::Stamp> last_video(FileSystem& fs, const std::string& clips_folder,
                                         const CameraId& camera);

// The same for one file. Nothing: it holds no frame, or cannot be read.
std::optional<journal::Stamp> video_end_of(FileSystem& fs, const std::string& path);

}  // namespace hd::daemon
