// Records a video file as fast as the machine can, as if a camera had sent it from `start` on. Same
// file and options, same pieces, except for the keys they are sealed with.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::record {

struct InputPlan {
    std::string file;
    WallTime start;  // of the first picture
    link::RecorderSettings settings;
    // Run and clip ids are derived from camera, start and this.
    std::string seed;
};

struct InputReport {
    struct Clip {
        std::string path;  // relative to <data>/clips
        clip::ClipSummary summary;
    };
    std::vector<Clip> clips;
    std::uint64_t frames = 0;
    std::uint64_t skipped_frames = 0;  // before the first key frame
};

// `progress` is called now and then with the share done, 0 to 1. invalid: the options, or a file
// that cannot be recorded, or clips of that camera, start and seed are there already. Clips that
// were finished before an error stay.
Result<InputReport> record_input(FileSystem& fs, const InputPlan& plan,
                                 const std::function<void(double)>& progress);

// BOOTTIME of recordings from files counts from 1970 like UTC, under this boot id.
BootId input_boot_id();

}  // namespace hd::record
