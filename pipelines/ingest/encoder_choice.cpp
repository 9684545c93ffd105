#include "pipelines/ingest/encoder_choice.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hd::ingest {
namespace {

constexpr const char* kRenderNode = "/dev/dri/renderD128";
constexpr const char* kRpiEncoderNode = "/dev/video11";
constexpr const char* kRockchipNode = "/dev/mpp_service";
constexpr const char* kTegraNodes[] = {"/dev/v4l2-nvenc", "/dev/nvhost-msenc"};

constexpr std::uint64_t k1080p30 = 1920ull * 1080 * 30;

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

constexpr const char* kNoEncoder5 = "Raspberry Pi 5 has no H.264 encoder";

void add_render_node(EncoderPlan& plan) {
    // vaapi comes last: it is the old driver stack, whose faults end the process.
    for (const char* element : {"vah264enc", "vah264lpenc", "qsvh264enc", "vaapih264enc"})
        plan.candidates.push_back({element, true, "a GPU render node exists"});
    // No data sheet has one number for all of them: a guess, until somebody measures.
    plan.hardware = {4 * k1080p30, "assumed for a PC: 4 x 1080p30"};
}

void add_software(EncoderPlan& plan) {
    plan.candidates.push_back({"x264enc", false, "software"});
    plan.candidates.push_back({"openh264enc", false, "software"});
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
    else {
        plan.candidates.push_back({"nvv4l2h264enc", true, "Jetson with an encoder"});
        // What is said of the Nano (docs/boards.md); for the others an assumption.
        plan.hardware = {4 * k1080p30,
                         "the Jetson Nano's number, assumed for each Jetson: 4 x 1080p30"};
    }
}

std::string defect_of(const BoardFacts& board, std::string_view node) {
    for (const auto& [path, defect] : board.defects)
        if (path == node) return defect;
    return {};
}

void add_raspberry(EncoderPlan& plan, const BoardFacts& board) {
    if (is_raspberry_5(board)) return exclude(plan, "v4l2h264enc", kNoEncoder5);
    if (!has(board.nodes, kRpiEncoderNode)) return exclude(plan, "v4l2h264enc", "no /dev/video11");
    if (const std::string defect = defect_of(board, kRpiEncoderNode); !defect.empty())
        return exclude(plan, "v4l2h264enc", fmt::format("/dev/video11: {}", defect));
    plan.candidates.push_back({"v4l2h264enc", true, "Raspberry Pi before 5"});
    plan.hardware = {k1080p30, "Raspberry Pi up to 4: 1080p30 in total"};
}

void add_rockchip(EncoderPlan& plan, const BoardFacts& board) {
    if (!has(board.nodes, kRockchipNode)) return exclude(plan, "mpph264enc", "no /dev/mpp_service");
    plan.candidates.push_back({"mpph264enc", true, "Rockchip with mpp"});
    plan.hardware = {2 * k1080p30, "assumed for a Rockchip: 2 x 1080p30"};
}

}  // namespace

const std::vector<std::string>& device_nodes_of_interest() {
    static const std::vector<std::string> nodes{kRenderNode, kRpiEncoderNode, kRockchipNode,
                                                kTegraNodes[0], kTegraNodes[1]};
    return nodes;
}

bool is_v4l2_node(std::string_view node) { return node == kRpiEncoderNode; }

EncoderPlan plan_encoders(const BoardFacts& board) {
    EncoderPlan plan;
    if (is_raspberry(board)) {
        add_raspberry(plan, board);
    } else if (is_like(board, "nvidia,tegra") || is_like(board, "nvidia,p37")) {
        add_jetson(plan, board);
    } else if (is_like(board, "rockchip,")) {
        add_rockchip(plan, board);
    } else if (has(board.nodes, kRenderNode)) {
        add_render_node(plan);
    } else {
        exclude(plan, "vah264enc", "no /dev/dri/renderD128");
    }
    add_software(plan);
    return plan;
}

EncoderChoice choose_encoder(const EncoderPlan& plan, const std::vector<ProbeResult>& results) {
    EncoderChoice out;
    std::string first, failed;
    for (const Candidate& c : plan.candidates) {
        const auto result = std::find_if(results.begin(), results.end(), [&](const ProbeResult& r) {
            return r.element == c.element;
        });
        if (result == results.end()) continue;
        if (!result->works) {
            failed += fmt::format("; {}: {}", c.element, result->detail);
            continue;
        }
        out.encoders.push_back(c.element);
        if (first.empty())
            first = fmt::format("{} gave {} pictures in {} ms", c.why, result->frames,
                                result->took.count() / 1000);
        if (c.hardware) out.hardware = plan.hardware;
        if (!c.hardware && out.software_pixels_per_s == 0)
            out.software_pixels_per_s = result->pixels_per_s / 2;
    }
    for (const Excluded& e : plan.excluded) failed += fmt::format("; {}: {}", e.element, e.why);
    out.why = (first.empty() ? "no encoder works" : first) + failed;
    return out;
}

}  // namespace hd::ingest
