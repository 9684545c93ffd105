// Reads the video track of a file: mp4, mkv, or a raw .h264 / .h265 stream. For `halfdoor-recorder
// --input`, tools and tests. Other tracks are passed over. Nothing is decoded.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "index/base/result.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

class MediaFile {
  public:
    // not_found, invalid (no H.264 or H.265 track: the text says what there is), corrupt.
    static Result<std::unique_ptr<MediaFile>> open(const std::string& path);
    // The same over bytes in memory, which must outlive the object: opened pieces, put together.
    static Result<std::unique_ptr<MediaFile>> open_bytes(ByteView bytes);
    virtual ~MediaFile() = default;

    // Of the sample that next() gave last (of the first one before that). A raw stream may change
    // its parameters on the way; compare.
    virtual const VideoTrack& track() const = 0;
    // 1 / frame rate: what the container or the SPS says, else 1/25 s.
    virtual Micros frame_duration() const = 0;
    // The container's own presentation time of the first sample, once next() gave it.
    virtual Micros origin() const = 0;
    // 0 if unknown.
    virtual std::uint64_t size_bytes() const = 0;
    virtual std::uint64_t position_bytes() const = 0;  // roughly; for progress

    // The next sample in decode order; nothing at the end. Times count from the first sample's pts,
    // which is 0, so that first dts is negative with B-frames. Raw streams have no times: samples
    // are one frame duration apart, in the order that their picture order counts say.
    virtual Result<std::optional<OwnedSample>> next() = 0;
};

}  // namespace hd::mux
