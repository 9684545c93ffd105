// Facts about media, for tools and tests: how many frames, how long, and the frame counters that
// halfdoor-replay puts into its streams.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/base/result.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

// The SEI of halfdoor-replay: user_data_unregistered, uuid "HALFDOORFRAMECNT", then 16 hex digits
// of the frame's number and 16 of the time when it was sent (unix, nanoseconds).
struct FrameMark {
    std::uint64_t number = 0;
    std::uint64_t sent_unix_ns = 0;
    bool operator==(const FrameMark&) const = default;
};
// Total: any bytes. `sample` has 4-byte length prefixes.
std::optional<FrameMark> read_frame_mark(ByteView sample);

// What a decoder can do here, from the NAL unit types alone. Total: any bytes.
struct KeyKind {
    bool idr = false, cra = false;
};
KeyKind key_kind(Codec codec, ByteView sample);

struct MediaFacts {
    VideoTrack track;
    std::uint64_t frames = 0, idr_frames = 0, cra_frames = 0;
    Micros first_pts{0};           // smallest
    Micros duration{0};            // from there to the end of the last picture
    std::vector<FrameMark> marks;  // in decode order; of the frames that have one
};
// Reads the whole file.
Result<MediaFacts> probe_file(const std::string& path);
Result<MediaFacts> probe_bytes(ByteView bytes);

}  // namespace hd::mux
