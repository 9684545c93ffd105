// Until when a camera's video reaches, asked of its files: where a gap begins that nobody saw
// begin.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::daemon {

// The video of one clip, finished or as recovery will leave it, by that clip's own mapping.
struct VideoSpan {
    journal::Stamp begin, end;
};

// What a camera's journal knows.
struct JournalWord {
    std::optional<journal::Stamp> edge;  // until when of video, or the camera's first day
    std::vector<BootId> boots;           // in the order of their first record
    RunId run;                           // the newest
    RunId edge_run;                      // of the newest video: the newest run may have none yet
    std::set<WallTime> closed;           // names of that one's clips, the newest few thousand
};

// The newest video of a camera that nobody records now. A boot that the journal does not know is
// newer than those that it knows, and `now`'s is the newest; `now` also says where the newest days
// are found. Looks into a handful of day folders and reads unfinished clips and a few finished
// ones. Nothing: no clip with a frame, or none that can be read.
std::optional<VideoSpan> newest_video(FileSystem& fs, const std::string& clips_folder,
                                      const CameraId& camera, const JournalWord& known,
                                      const journal::Stamp& now);

}  // namespace hd::daemon
