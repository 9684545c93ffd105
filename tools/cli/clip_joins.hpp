// Clips of a camera whose key frames are far apart are cut in the middle of a group of pictures:
// which one goes on where another ended, and which ones it takes to decode one of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/clip/clip_reader.hpp"

namespace hd::cli {

// A clip that ended for want of a key frame lasts for two seconds at least: a missing one shows.
constexpr Micros kLongestBreak = std::chrono::seconds(1);

// Where a clip stands among those of its camera.
struct ClipPlace {
    ClipId clip;
    CameraId camera;
    RunId run;
    BootId boot;
    BootTime zero;                         // time 0 of its init piece
    BootTime begin, end;                   // of its video
    WallTime utc_zero;                     // the same as `zero`, by the clip's own word
    bool keyed = true;                     // it begins with a key frame
    std::optional<clip::KeyDistance> key;  // where the newest key frame before it is
};
ClipPlace place_of(const clip::ClipReader& reader);

// True if no clip can be missing between the two.
bool goes_on(const ClipPlace& before, const ClipPlace& next);

// The clips before one that begins without a key frame, from the one that holds it on, oldest
// first; or why there are none, in words.
struct ClipsBefore {
    std::vector<std::string> files;
    std::string missing;
};
// Looks in the folder of the file and, if that is named by a day, in those of other days beside it.
ClipsBefore clips_before(FileSystem& fs, const std::string& file, const ClipPlace& place);

}  // namespace hd::cli
