// Writes one plain MP4 (index in front, plays everywhere) of the opened pieces of one or more
// clips, with their sound if it is among the pieces. Nothing is decoded or encoded again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "index/base/result.hpp"
#include "index/base/time.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

struct ExportReport {
    std::uint64_t frames = 0;          // in the file
    std::uint64_t hidden_frames = 0;   // of them before the shown part: needed for decoding
    std::uint64_t sound_units = 0;     // of sound, in the file
    std::uint64_t dropped_frames = 0;  // not in it: to be shown, but no key frame to decode from
    Micros shown{0};                   // what a player shows
    std::uint64_t size_bytes = 0;
};

class Mp4Export {
  public:
    // Writes `path` (mode 0600), which must not exist: it is the only plain video on this machine.
    // An unfinished file is deleted with the object.
    static Result<std::unique_ptr<Mp4Export>> begin(const std::string& path);
    virtual ~Mp4Export() = default;

    // What to show of a clip, counted from the presentation time 0 of its init piece (normally
    // ClipHeader::boot_begin). Pictures before `from` that are needed to decode it stay in the file
    // and are hidden by an edit list, which most players obey; only until something was shown.
    // After `to` nothing is kept but what those before need.
    struct Part {
        Micros from{0};
        Micros to = Micros::max();
        // The clip goes on where the one before it ended, with no frame missing between: how long
        // after that one's time 0 its own is. It needs no key frame of its own then.
        std::optional<Micros> after;
    };
    // `fragmented` is the clip's init piece and then any run of its media pieces, put together.
    // Clips that do not go on follow each other without a break, whatever the time between them,
    // and what stands in them before their first key frame is left out. invalid: the codec
    // parameters differ from those of the clips before, so that one track cannot hold both, or the
    // first ones had no sound: begin another file for this one and the rest.
    virtual Result<void> add_clip(ByteView fragmented, Part part) = 0;

    // ExportReport::dropped_frames so far.
    virtual std::uint64_t dropped_frames() const = 0;

    // Index to the front, fsync. Once. not_found: nothing of what was added can be shown.
    virtual Result<ExportReport> finish() = 0;
};

}  // namespace hd::mux
