#include "pipelines/ingest/board_facts.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/videodev2.h>
#include <sys/ioctl.h>

namespace hd::ingest {
namespace {

constexpr std::uint64_t kMaxPropertyBytes = 4096;

// Device tree properties are lists of strings, each with a zero at its end.
std::vector<std::string> strings_of(FileSystem& files, const std::string& path) {
    std::vector<std::string> out;
    const auto bytes = files.read(path, kMaxPropertyBytes);
    if (!bytes) return out;
    std::string current;
    for (const std::uint8_t b : *bytes) {
        if (b != 0)
            current.push_back(static_cast<char>(b));
        else if (!current.empty())
            out.push_back(std::exchange(current, {}));
    }
    if (!current.empty()) out.push_back(std::move(current));
    return out;
}

}  // namespace

std::string v4l2_defect(const std::string& node) {
    const Fd fd(::open(node.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return errno_error(errno, "open").what;
    v4l2_capability facts{};
    if (::ioctl(fd.get(), VIDIOC_QUERYCAP, &facts) != 0)
        return errno_error(errno, "no V4L2 driver answers").what;
    const std::uint32_t caps =
        (facts.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? facts.device_caps : facts.capabilities;
    if ((caps & (V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE)) == 0)
        return "its driver does not work from memory to memory";
    return {};
}

BoardFacts read_board_facts(FileSystem& files,
                            const std::function<std::string(const std::string&)>& defect) {
    BoardFacts facts;
    const auto model = strings_of(files, "/proc/device-tree/model");
    if (!model.empty()) facts.model = model.front();
    facts.compatible = strings_of(files, "/proc/device-tree/compatible");
    for (const std::string& node : device_nodes_of_interest()) {
        if (!files.exists(node)) continue;
        facts.nodes.push_back(node);
        if (!is_v4l2_node(node)) continue;
        if (std::string what = defect(node); !what.empty())
            facts.defects.emplace_back(node, std::move(what));
    }
    return facts;
}

}  // namespace hd::ingest
