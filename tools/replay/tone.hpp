// A track of sound out of nothing: a tone of 440 Hz, encoded once at the start.
#pragma once

#include "tools/replay/footage.hpp"

namespace hd::replay {

// G.711 at 8000 Hz, AAC at 16000 Hz, Opus; one channel. As long as `length`, in whole units.
// unavailable: this libavcodec has no such encoder.
Result<AudioTrack> make_tone(AudioCodec codec, Micros length);

}  // namespace hd::replay
