// Makes the plain bytes of pieces: an `init` piece (ftyp + moov), then media pieces (moof + mdat),
// which put together in order are a fragmented MP4 that plays from time 0. Same samples and same
// cuts, same bytes. One object per clip.
#pragma once

#include <memory>
#include <optional>

#include "index/base/result.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

class FragmentWriter {
  public:
    // With `audio` the init piece describes a second track, for pieces of audio_fragment(). `start`
    // is pts - dts of the clip's first sample: with B-frames the first picture is shown
    // later than it is decoded, and the edit list takes that away again.
    static Result<std::unique_ptr<FragmentWriter>> begin(
        const VideoTrack& track, Micros start,
        const std::optional<AudioTrack>& audio = std::nullopt);
    virtual ~FragmentWriter() = default;

    // The init piece. Borrowed until the next call; wiped then.
    virtual ByteView init() const = 0;

    // The first sample's dts must be 0. `duration` must be right for every sample (the next one's
    // dts minus its own), so hold the newest one back. The bytes are copied.
    virtual Result<void> add(const Sample& sample) = 0;

    // One media piece of what was added since the last; invalid if that is nothing. Borrowed until
    // the next call to cut() or clear().
    virtual Result<ByteView> cut() = 0;
    // Zeroes the bytes that init() or cut() gave out: call it when they are sealed.
    virtual void clear() = 0;
};

}  // namespace hd::mux
