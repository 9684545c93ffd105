#include "pipelines/ingest/encoder_choice.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hd::ingest {
namespace {

constexpr const char* kRenderNode = "/dev/dri/renderD128";
constexpr const char* kRpiEncoderNode = "/dev/video11";
constexpr const char* kRockchipNode = "/dev/mpp_service";
constexpr const char* kTegraNodes[] = {"/dev/v4l2-nvenc", "/dev/nvhost-msenc"};

constexpr const char* kNv12 = "videoconvert ! video/x-raw,format=NV12";
constexpr const char* kI420 = "videoconvert ! video/x-raw,format=I420";

bool has(const std::vector<std::string>& list, std::string_view value) {
    return std::find(list.begin(), list.end(), value) != list.end();
}

bool is_like(const BoardFacts& b, std::string_view part) {
    return std::any_of(b.compatible.begin(), b.compatible.end(),
                       [&](const std::string& c) { return c.find(part) != std::string::npos; });
}

bool is_raspberry(const BoardFacts& b) {
    return is_like(b, "raspberrypi,") || is_like(b, "brcm,bcm2");
}

bool is_raspberry_5(const BoardFacts& b) {
    return is_like(b, "bcm2712") || is_like(b, "raspberrypi,5");
}

// Orin Nano modules are p3767-0003, -0004 and -0005; -0000 and -0001 are Orin NX, which encodes.
bool is_orin_nano(const BoardFacts& b) {
    return b.model.find("Orin Nano") != std::string::npos || is_like(b, "p3767-0003") ||
           is_like(b, "p3767-0004") || is_like(b, "p3767-0005");
}

Candidate raspberry() {
    // Without a level the driver refuses to stream, without repeat_sequence_header later clips have
    // no parameter sets.
    return {"v4l2h264enc",
            true,
            "videoconvert ! video/x-raw,format=NV12,colorimetry=bt709",
            "extra-controls=controls,video_bitrate=2000000,h264_i_frame_period=50,"
            "repeat_sequence_header=1",
            "video/x-h264,level=(string)4",
            "Raspberry Pi before 5"};
}

Candidate jetson() {
    // It takes video memory only.
    return {"nvv4l2h264enc",
            true,
            "nvvidconv ! video/x-raw(memory:NVMM),format=NV12",
            "bitrate=2000000 iframeinterval=50 idrinterval=50 insert-sps-pps=true",
            "video/x-h264,stream-format=byte-stream",
            "Jetson with an encoder"};
}

Candidate rockchip() {
    return {"mpph264enc",       true, kNv12, "bps=2000000 gop=50 header-mode=1", "video/x-h264",
            "Rockchip with mpp"};
}

void add_render_node(EncoderPlan& plan) {
    const auto add = [&](const char* element, const char* properties) {
        plan.candidates.push_back(
            {element, true, kNv12, properties, "video/x-h264", "a GPU render node exists"});
    };
    add("vah264enc", "bitrate=2000 key-int-max=50");
    add("vah264lpenc", "bitrate=2000 key-int-max=50");
    add("qsvh264enc", "bitrate=2000 gop-size=50");
    add("vaapih264enc", "bitrate=2000 keyframe-period=50");
}

void add_software(EncoderPlan& plan) {
    plan.candidates.push_back({"x264enc", false, kI420,
                               "bitrate=2000 key-int-max=50 tune=zerolatency "
                               "speed-preset=ultrafast",
                               "video/x-h264", "software"});
    plan.candidates.push_back(
        {"openh264enc", false, kI420, "bitrate=2000000 gop-size=50", "video/x-h264", "software"});
}

void exclude(EncoderPlan& plan, const char* element, std::string why) {
    plan.excluded.push_back({element, std::move(why)});
}

void add_jetson(EncoderPlan& plan, const BoardFacts& board) {
    const bool node = std::any_of(std::begin(kTegraNodes), std::end(kTegraNodes),
                                  [&](const char* n) { return has(board.nodes, n); });
    if (is_orin_nano(board))
        // Probing it has hung whole machines (Savant issue 497).
        exclude(plan, "nvv4l2h264enc", "Orin Nano has no encoder, and probing one can hang it");
    else if (!node)
        exclude(plan, "nvv4l2h264enc", "no /dev/v4l2-nvenc or /dev/nvhost-msenc");
    else
        plan.candidates.push_back(jetson());
}

void add_raspberry(EncoderPlan& plan, const BoardFacts& board) {
    if (is_raspberry_5(board))
        exclude(plan, "v4l2h264enc", "Raspberry Pi 5 has no H.264 encoder");
    else if (!has(board.nodes, kRpiEncoderNode))
        exclude(plan, "v4l2h264enc", "no /dev/video11");
    else
        plan.candidates.push_back(raspberry());
}

}  // namespace

const std::vector<std::string>& device_nodes_of_interest() {
    static const std::vector<std::string> nodes{kRenderNode, kRpiEncoderNode, kRockchipNode,
                                                kTegraNodes[0], kTegraNodes[1]};
    return nodes;
}

EncoderPlan plan_encoders(const BoardFacts& board) {
    EncoderPlan plan;
    if (is_raspberry(board)) {
        add_raspberry(plan, board);
    } else if (is_like(board, "nvidia,tegra") || is_like(board, "nvidia,p37")) {
        add_jetson(plan, board);
    } else if (is_like(board, "rockchip,")) {
        if (has(board.nodes, kRockchipNode))
            plan.candidates.push_back(rockchip());
        else
            exclude(plan, "mpph264enc", "no /dev/mpp_service");
    } else if (has(board.nodes, kRenderNode)) {
        add_render_node(plan);
    } else {
        exclude(plan, "vah264enc", "no /dev/dri/renderD128");
    }
    add_software(plan);
    return plan;
}

EncoderChoice choose_encoder(const EncoderPlan& plan, const std::vector<ProbeResult>& results) {
    std::string failed;
    for (const Candidate& c : plan.candidates) {
        const auto result = std::find_if(results.begin(), results.end(), [&](const ProbeResult& r) {
            return r.element == c.element;
        });
        if (result == results.end()) continue;
        if (result->works) {
            std::string why = fmt::format("{}; gave {} frames in {} ms", c.why, result->frames,
                                          result->took.count() / 1000);
            if (!c.hardware && !plan.excluded.empty())
                why += fmt::format("; {}: {}", plan.excluded[0].element, plan.excluded[0].why);
            return {c, why + failed};
        }
        failed += fmt::format("; {}: {}", c.element, result->detail);
    }
    return {std::nullopt, "no encoder works" + failed};
}

}  // namespace hd::ingest
