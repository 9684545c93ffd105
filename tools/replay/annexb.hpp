// Annex B access units: where their NAL units are, and the frame counter that halfdoor-replay puts
// into them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "index/base/bytes.hpp"

namespace hd::replay {

// mjpeg: each access unit is a JPEG picture; nothing here looks into one.
enum class VideoCodec : std::uint8_t { h264, h265, mjpeg };
// As recipes and JSON spell it, and as people do.
constexpr std::string_view codec_word(VideoCodec c) {
    return c == VideoCodec::h264 ? "h264" : c == VideoCodec::h265 ? "h265" : "mjpeg";
}
constexpr std::string_view codec_name(VideoCodec c) {
    return c == VideoCodec::h264 ? "H.264" : c == VideoCodec::h265 ? "H.265" : "MJPEG";
}

// Facts about one access unit that never change, found once when footage is loaded.
struct AccessUnitFacts {
    std::size_t first_vcl = 0;        // offset of the start code of the first slice; size() if none
    bool key = false;                 // IDR, or H.265 CRA/BLA
    bool has_parameter_sets = false;  // an SPS before the first slice
};
AccessUnitFacts inspect(VideoCodec codec, ByteView annexb);

// The same access unit without parameter sets that repeat an earlier one in it byte for byte: files
// that keep them in the header and in the stream have them twice.
Bytes without_repeats(VideoCodec codec, ByteView annexb);

// SEI user_data_unregistered, uuid "HALFDOORFRAMECNT", 16 hex digits of the frame number, 16 hex
// digits of the time it was sent (UTC, nanoseconds). ASCII never needs emulation prevention.
constexpr std::string_view kCounterUuid = "HALFDOORFRAMECNT";
struct FrameCounter {
    std::uint64_t number = 0;
    std::uint64_t sent_unix_ns = 0;
};
// One NAL unit with its 4-byte start code.
Bytes counter_nal(VideoCodec codec, FrameCounter counter);
// Looks for the counter anywhere in an access unit, whatever its framing. Nothing: there is none.
std::optional<FrameCounter> find_counter(ByteView access_unit);

}  // namespace hd::replay
