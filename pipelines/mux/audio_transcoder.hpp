// G.711, which MP4 does not hold, to AAC-LC of the same rate. One object a session; a hole in the
// sound is a hole in what comes out.
#pragma once

#include <memory>
#include <vector>

#include "index/base/result.hpp"
#include "index/base/time.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

enum class Law : std::uint8_t { a, mu };

struct EncodedAudio {
    std::shared_ptr<const Bytes> bytes;
    BootTime pts;
    Micros duration{0};
};

class AudioTranscoder {
  public:
    // unavailable: this libavcodec has no AAC encoder.
    static Result<std::unique_ptr<AudioTranscoder>> begin(Law law, std::uint32_t rate);
    virtual ~AudioTranscoder() = default;

    // What it writes.
    virtual const AudioTrack& track() const = 0;
    // `samples` in G.711, the first one's time is `pts`. Appends what is ready: an access unit for
    // every 1024 samples, one late.
    virtual Result<void> add(ByteView samples, BootTime pts, std::vector<EncodedAudio>& out) = 0;
};

}  // namespace hd::mux
