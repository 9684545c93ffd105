// What stands between rtspsrc and the frame sink. Pure: strings in GStreamer's own launch notation.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "index/base/result.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::ingest {

// Video of these RTP encodings can be received: "H264", "H265", and "JPEG" unless the camera's own
// stream has to be kept.
bool can_receive(std::string_view rtp_encoding, link::EncodeMode mode);

struct Branch {
    std::string launch;   // from the RTP packets to "appsink name=out"
    std::string encoder;  // "camera", or the encoder element
    std::string encoder_why;
};

// `installed` says whether an element exists. unavailable: the hub has to encode and has no
// software encoder. (Hardware encoders are chosen by the probe, and come here once the daemon names
// one.)
Result<Branch> plan_branch(std::string_view rtp_encoding, link::EncodeMode mode,
                           const std::function<bool(const char*)>& installed);

}  // namespace hd::ingest
