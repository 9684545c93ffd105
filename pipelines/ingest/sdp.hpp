// The session description (RFC 4566) that a camera answers to DESCRIBE, as far as a video recorder
// needs it. Pure and forgiving: lines that make no sense are left out. Fuzzed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"

namespace hd::ingest {

struct SdpMedia {
    std::string kind;                      // "video", "audio", "application"
    std::optional<unsigned> payload_type;  // the first one offered
    std::string encoding;          // of that payload type, upper case: "H264", "H265", "JPEG"
    std::uint32_t clock_rate = 0;  // 0: not said
    unsigned channels = 0;         // of an audio rtpmap; 0: not said, which means 1
    std::string control;           // as sent; empty if missing
    std::string fmtp;              // of that payload type: "key=value;..."
    double frame_rate = 0;         // of a=framerate or a=x-framerate; 0: not said
    // "2560,1920", of a=x-dimensions: JPEG over RTP has no room for more than 2040; empty: not said
    std::string dimensions;
};

struct Sdp {
    std::string control;  // of the session; empty if missing
    std::vector<SdpMedia> media;
};

// corrupt: holds no media at all, or is over 64 KiB.
Result<Sdp> parse_sdp(std::string_view text);

// sprop-parameter-sets of H.264; sprop-vps, -sps, -pps of H.265, in that order. What is no base64
// is left out; start codes and zeros at the end of a NAL unit, which some cameras add, are removed.
std::vector<Bytes> parameter_sets_of(const SdpMedia& media);

// Where to send SETUP or PLAY: `control` if it is a whole URL, `base` if it is "*" or empty, else
// `base` with `control` after a slash, queries and all: so do the widely used clients, and cameras
// expect it. A `base` that is no URL (seen: "192.168.1.10:554/stream0/") counts as `request_url`.
std::string control_url(std::string_view request_url, std::string_view base,
                        std::string_view control);

}  // namespace hd::ingest
