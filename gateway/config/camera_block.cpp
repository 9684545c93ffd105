#include <sstream>

#include <fmt/format.h>

#include "gateway/config/config.hpp"
#include "gateway/config/toml.hpp"

namespace hd::config {
namespace {

std::string quoted(const std::string& text) {
    std::ostringstream out;
    out << toml::value<std::string>(text);
    return out.str();
}

}  // namespace

Result<std::string> camera_block(const NewCamera& camera) {
    std::string out =
        fmt::format("\n[[camera]]\nid = \"{}\"\nname = {}\nurl = {}\n",
                    to_string(random_id<CameraId>()), quoted(camera.name), quoted(camera.url));
    if (!camera.user.empty()) out += fmt::format("user = {}\n", quoted(camera.user));
    if (!camera.password_file.empty())
        out += fmt::format("password_file = {}\n", quoted(camera.password_file));
    // What is appended must be readable by the same rules.
    const ReadConfig read = parse_config(out, "new camera");
    for (const Problem& problem : read.problems)
        if (!problem.warning)
            return Error{ErrorCode::invalid,
                         problem.key.substr(problem.key.find('.') + 1) + ": " + problem.rule};
    return out;
}

}  // namespace hd::config
