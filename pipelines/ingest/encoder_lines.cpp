#include "pipelines/ingest/encoder_lines.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace hd::ingest {
namespace {

struct Numbers {
    unsigned kbit, bit, gop;
};

struct Known {
    std::string_view element;
    // Largest picture that it takes; 0: as large as asked for.
    unsigned max_width, max_height;
    unsigned align;          // of both sides
    bool needs_rate;         // a fixed frame rate in its caps
    std::string_view input;  // after size and rate
    std::string (*properties)(Numbers);
    std::string_view after;
};

constexpr std::string_view kNv12 = "videoconvert ! video/x-raw,format=NV12";
constexpr std::string_view kI420 = "videoconvert ! video/x-raw,format=I420";
constexpr std::string_view kAnyH264 = "video/x-h264";

std::string v4l2(Numbers n) {
    // repeat_sequence_header: else later clips have no parameter sets (frigate 7563). A period of 1
    // hangs (raspberrypi/linux 4740); ours is 2 at least.
    return fmt::format(
        "extra-controls=controls,video_bitrate={},h264_i_frame_period={},repeat_sequence_header=1",
        n.bit, n.gop);
}
std::string nvidia(Numbers n) {
    return fmt::format(
        "bitrate={} control-rate=1 iframeinterval={} idrinterval={} insert-sps-pps=true "
        "maxperf-enable=true",
        n.bit, n.gop, n.gop);
}
std::string va(Numbers n) { return fmt::format("bitrate={} key-int-max={}", n.kbit, n.gop); }
std::string qsv(Numbers n) { return fmt::format("bitrate={} gop-size={}", n.kbit, n.gop); }
std::string vaapi(Numbers n) { return fmt::format("bitrate={} keyframe-period={}", n.kbit, n.gop); }
std::string mpp(Numbers n) {
    // header-mode=1: parameter sets with each IDR, not only with the first.
    return fmt::format("bps={} bps-max={} gop={} rc-mode=cbr header-mode=1", n.bit, n.bit, n.gop);
}
std::string x264(Numbers n) {
    // Constant quality suits scenes that stand still, the limit suits the disk; zerolatency leaves
    // B-frames out. docs/boards.md has the measurement behind the preset.
    return fmt::format(
        "tune=zerolatency speed-preset=superfast pass=qual quantizer=24 bitrate={} "
        "vbv-buf-capacity=2000 key-int-max={}",
        n.kbit, n.gop);
}
std::string openh264(Numbers n) {
    return fmt::format("bitrate={} max-bitrate={} rate-control=bitrate gop-size={} complexity=low",
                       n.bit, n.bit + n.bit / 2, n.gop);
}

constexpr std::array kKnown{
    // Without a level the driver refuses to stream (raspberrypi/linux 3974), with one below 3 it
    // stops after a frame (4906). Colours that two V4L2 devices see differently do not link
    // (raspberrypi/firmware 1885).
    Known{"v4l2h264enc", 1920, 1080, 2, false,
          "videoconvert ! video/x-raw,format=NV12,colorimetry=bt709", v4l2,
          "video/x-h264,level=(string)4"},
    // It takes video memory only.
    Known{"nvv4l2h264enc", 4096, 2160, 2, false,
          "videoconvert ! video/x-raw,format=NV12 ! nvvidconv ! "
          "video/x-raw(memory:NVMM),format=NV12",
          nvidia, "video/x-h264,stream-format=byte-stream"},
    Known{"vah264enc", 4096, 4096, 2, false, kNv12, va, kAnyH264},
    Known{"vah264lpenc", 4096, 4096, 2, false, kNv12, va, kAnyH264},
    Known{"qsvh264enc", 4096, 4096, 2, false, kNv12, qsv, kAnyH264},
    Known{"vaapih264enc", 4096, 4096, 2, false, kNv12, vaapi, kAnyH264},
    // Heights off 16 come out with a green line (gstreamer-rockchip 86), a missing rate divides by
    // zero (gstreamer-rockchip 2).
    Known{"mpph264enc", 3840, 2160, 16, true, kNv12, mpp, kAnyH264},
    Known{"x264enc", 0, 0, 2, false, kI420, x264, kAnyH264},
    Known{"openh264enc", 3840, 2160, 2, false, kI420, openh264, kAnyH264},
};

const Known* find(std::string_view element) {
    const auto found = std::find_if(kKnown.begin(), kKnown.end(),
                                    [&](const Known& k) { return k.element == element; });
    return found != kKnown.end() ? &*found : nullptr;
}

std::string side(unsigned most, unsigned limit, unsigned align) {
    const unsigned top = std::max(64u, limit > 0 ? std::min(most, limit) : most) / align * align;
    return fmt::format("(int)[16,{},{}]", top, align);
}

}  // namespace

std::optional<EncoderLine> encoder_line(std::string_view element, EncodeTarget t) {
    const Known* known = find(element);
    if (!known) return std::nullopt;
    const unsigned rate = std::max(1u, t.frames_per_s);
    // The rate's limit is kept by HubEncoder: pictures keep their times. A fixed rate is made only
    // where the encoder insists on one (and videorate's drop-only ends the process if the camera
    // names no rate: an assertion in 1.22).
    const std::string paced =
        known->needs_rate ? fmt::format("videorate ! video/x-raw,framerate={}/1 ! ", rate) : "";
    EncoderLine line;
    line.before =
        fmt::format("{}videoscale ! video/x-raw,width={},height={},pixel-aspect-ratio=1/1 ! {}",
                    paced, side(t.max_width, known->max_width, known->align),
                    side(t.max_height, known->max_height, known->align), known->input);
    const unsigned kbit = std::clamp(t.kbit_per_s, 64u, 100'000u);
    line.properties = known->properties({kbit, kbit * 1000, std::max(2u, 2 * rate)});
    line.after = known->after;
    return line;
}

bool is_software_encoder(std::string_view element) {
    return element == "x264enc" || element == "openh264enc";
}

unsigned usual_kbit_per_s(unsigned width, unsigned height, unsigned frames_per_s) {
    const double share = static_cast<double>(width) * height * frames_per_s / (1280.0 * 720 * 25);
    return std::max(256u, static_cast<unsigned>(2000 * share));
}

}  // namespace hd::ingest
