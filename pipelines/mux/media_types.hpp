// The values that enter and leave this room: no libav type crosses its wall.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "index/base/bytes.hpp"
#include "index/base/time.hpp"

namespace hd::mux {

enum class Codec : std::uint8_t { h264 = 0, h265 = 1 };

struct VideoTrack {
    Codec codec = Codec::h264;
    std::uint16_t width = 0, height = 0;
    Bytes codec_config;   // avcC or hvcC, as the MP4 sample entry wants it
    std::string rfc6381;  // "avc1.4D401F", "hvc1.1.6.L93.B0"
    bool operator==(const VideoTrack&) const = default;
};

enum class AudioCodec : std::uint8_t { aac = 0, opus = 1 };

struct AudioTrack {
    AudioCodec codec = AudioCodec::aac;
    std::uint32_t rate = 0;  // samples per second; also the ticks of the track's times
    std::uint8_t channels = 0;
    Bytes codec_config;  // AAC: AudioSpecificConfig
    bool operator==(const AudioTrack&) const = default;
};
// `t` in ticks of a track, rounded; t >= 0.
std::int64_t audio_ticks(std::uint32_t rate, Micros t);

// One access unit: NAL units with 4-byte big-endian length prefixes, in decode order. Times count
// from an origin that the caller chose; dts grows strictly, dts <= pts.
struct Sample {
    ByteView bytes;
    Micros dts{0}, pts{0}, duration{0};
    bool key = false;
};

// The same with its own bytes, as files give it.
struct OwnedSample {
    std::shared_ptr<const Bytes> bytes;
    Micros dts{0}, pts{0}, duration{0};
    bool idr = false, cra = false;
};

// "avc1.640028" or "hvc1.1.6.L93.B0" of an avcC or hvcC; empty if it is too short to be one.
std::string rfc6381_of(Codec codec, ByteView codec_config);

}  // namespace hd::mux
