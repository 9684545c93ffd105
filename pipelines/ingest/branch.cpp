#include "pipelines/ingest/branch.hpp"

#include <fmt/format.h>

namespace hd::ingest {
namespace {

constexpr const char* kSink =
    "appsink name=out sync=false async=false qos=false enable-last-sample=false wait-on-eos=false";

// Without a queue decoding would run on the thread that reads the network; half a second is enough
// for a busy moment, and then the newest picture matters more than the oldest.
constexpr const char* kQueue =
    "queue max-size-time=500000000 max-size-buffers=0 max-size-bytes=0 leaky=downstream";

// Constant quality suits scenes that stand still; zerolatency leaves B-frames out, so decode order
// is display order.
constexpr const char* kX264 =
    "x264enc tune=zerolatency speed-preset=superfast pass=qual quantizer=24 key-int-max=100";
constexpr const char* kOpenH264 = "openh264enc bitrate=2000000 gop-size=100 complexity=low";

std::string keep(bool h264) {
    return h264 ? "rtph264depay ! h264parse ! video/x-h264,stream-format=avc,alignment=au"
                : "rtph265depay ! h265parse ! video/x-h265,stream-format=hvc1,alignment=au";
}

std::string decode(std::string_view encoding) {
    if (encoding == "JPEG") return fmt::format("rtpjpegdepay ! {} ! jpegdec", kQueue);
    if (encoding == "H265")
        return fmt::format("rtph265depay ! h265parse ! {} ! avdec_h265", kQueue);
    return fmt::format("rtph264depay ! h264parse ! {} ! avdec_h264", kQueue);
}

}  // namespace

bool can_receive(std::string_view encoding, link::EncodeMode mode) {
    return encoding == "H264" || encoding == "H265" ||
           (encoding == "JPEG" && mode != link::EncodeMode::camera);
}

Result<Branch> plan_branch(std::string_view encoding, link::EncodeMode mode,
                           const std::function<bool(const char*)>& installed) {
    const bool coded = encoding == "H264" || encoding == "H265";
    if (coded && mode != link::EncodeMode::hub)
        return Branch{fmt::format("{} ! {}", keep(encoding == "H264"), kSink), "camera",
                      "stream as sent"};
    const bool x264 = installed("x264enc");
    if (!x264 && !installed("openh264enc"))
        return Error{ErrorCode::unavailable,
                     "the hub has to encode, but neither x264enc nor openh264enc is installed"};
    Branch out;
    out.encoder = x264 ? "x264enc" : "openh264enc";
    out.encoder_why =
        coded ? "encode = \"hub\"; software, no hardware encoder was named"
              : fmt::format("camera sends {}; software, no hardware encoder was named", encoding);
    out.launch = fmt::format(
        "{} ! videoconvert ! video/x-raw,format=I420 ! {} ! h264parse ! "
        "video/x-h264,stream-format=avc,alignment=au ! {}",
        decode(encoding), x264 ? kX264 : kOpenH264, kSink);
    return out;
}

}  // namespace hd::ingest
