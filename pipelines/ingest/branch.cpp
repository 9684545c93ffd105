#include "pipelines/ingest/branch.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pipelines/ingest/encoder_lines.hpp"

namespace hd::ingest {
namespace {

constexpr const char* kSink =
    "appsink name=out sync=false async=false qos=false enable-last-sample=false wait-on-eos=false";

// Decoding has a thread of its own, and so has encoding. If the encoder is too slow, pictures are
// left out behind the decoder, where no other picture needs them; eight are a third of a second.
constexpr const char* kFeed =
    "queue name=feed max-size-time=1000000000 max-size-buffers=0 max-size-bytes=0 leaky=downstream";
constexpr const char* kRaw =
    "queue name=raw max-size-time=0 max-size-buffers=8 max-size-bytes=0 leaky=downstream";

// Larger than this is encoded on no hub: it is what the smallest encoder takes.
constexpr unsigned kUsualWidth = 1920, kUsualHeight = 1080, kUsualRate = 30;

const char* before_feed(std::string_view encoding) {
    if (encoding == "JPEG") return "rtpjpegdepay";
    return encoding == "H265" ? "h265parse" : "h264parse";
}

const char* decoder(std::string_view encoding) {
    if (encoding == "JPEG") return "jpegdec";
    return encoding == "H265" ? "avdec_h265" : "avdec_h264";
}

EncodeTarget target_of(const link::RecorderSettings& s) {
    EncodeTarget t;
    t.max_width = std::min(s.max_width, kUsualWidth);
    t.max_height = std::min(s.max_height, kUsualHeight);
    t.frames_per_s = encoded_rate(s);
    t.kbit_per_s =
        std::min(s.max_kbit_per_s, usual_kbit_per_s(t.max_width, t.max_height, t.frames_per_s));
    return t;
}

}  // namespace

unsigned encoded_rate(const link::RecorderSettings& settings) {
    return std::min(settings.max_frames_per_s, kUsualRate);
}

Result<std::string> encode_branch(std::string_view encoding, std::string_view element,
                                  const link::RecorderSettings& settings) {
    const auto line = encoder_line(element, target_of(settings));
    if (!line)
        return Error{ErrorCode::invalid, fmt::format("{}: not an encoder that we know", element)};
    return fmt::format(
        "{} ! {} ! {} ! {} ! {} ! {} name=enc {} ! {} ! h264parse ! "
        "video/x-h264,stream-format=avc,alignment=au ! {}",
        before_feed(encoding), kFeed, decoder(encoding), kRaw, line->before, element,
        line->properties, line->after, kSink);
}

}  // namespace hd::ingest
