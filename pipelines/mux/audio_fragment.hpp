// The audio pieces of a clip: one moof+mdat of the audio track each. Written here and not by libav,
// which counts a track's time from its first sample on: sound may begin late, stop and leave holes,
// and each piece says where it stands.
#pragma once

#include <span>

#include "index/base/bytes.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

// The second track of the init piece.
constexpr std::uint32_t kAudioTrackId = 2;
// Sound that was played before the clip's first picture, but came after it, stands in front of the
// track's time 0 by at most this much.
constexpr Micros kAudioPreroll = std::chrono::seconds(1);

// `pts` counts from what the clip shows at 0, and is at least -kAudioPreroll; it grows strictly.
struct AudioSample {
    ByteView bytes;
    Micros pts{0}, duration{0};
};

// `number` is the fragment's in the clip. Samples: at least one.
Bytes audio_fragment(const AudioTrack& track, std::uint32_t number,
                     std::span<const AudioSample> samples);

}  // namespace hd::mux
