// What stands between the feed and the frame sink. Pure: strings in GStreamer's own launch
// notation.
#pragma once

#include <string>
#include <string_view>

#include "index/base/result.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::ingest {

// Names of elements in a branch.
constexpr const char* kSinkName = "out";     // the appsink
constexpr const char* kFeedName = "feed";    // the queue before the decoder
constexpr const char* kRawName = "raw";      // the queue before the encoder
constexpr const char* kEncoderName = "enc";  // the encoder

// How many pictures a second are encoded at most.
unsigned encoded_rate(const link::RecorderSettings& settings);

// Decodes and encodes again with `element` (pipelines/ingest/encoder_lines.hpp), within the limits
// of the settings: from access units of H.264 or H.265, or from RTP packets of JPEG, to the
// appsink. invalid: an encoder that we do not know.
Result<std::string> encode_branch(std::string_view rtp_encoding, std::string_view element,
                                  const link::RecorderSettings& settings);

}  // namespace hd::ingest
