#include "pipelines/ingest/board_facts.hpp"

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

BoardFacts read_board_facts(FileSystem& files) {
    BoardFacts facts;
    const auto model = strings_of(files, "/proc/device-tree/model");
    if (!model.empty()) facts.model = model.front();
    facts.compatible = strings_of(files, "/proc/device-tree/compatible");
    for (const std::string& node : device_nodes_of_interest())
        if (files.exists(node)) facts.nodes.push_back(node);
    return facts;
}

}  // namespace hd::ingest
