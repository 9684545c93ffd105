// halfdoor.toml.
//
// Invariants checked:
//  - nothing crashes or throws;
//  - problems are in the order of lines, and each has a rule;
//  - what is accepted keeps the rules that programs rely on: ids, names, urls without credentials,
//  clip lengths,
//    absolute folders.
#include <cstdlib>

#include "gateway/config/config.hpp"
#include "index/clip/clip_format.hpp"

using namespace hd;

namespace {

void must(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const config::ReadConfig read = config::parse_config(as_text({data, size}), "fuzz.toml");
    int line = 0;
    for (const config::Problem& problem : read.problems) {
        must(!problem.rule.empty());
        must(problem.line >= line);
        line = problem.line;
    }
    must(read.ok() == config::errors_text(read).empty());
    if (!read.ok()) return 0;
    must(read.config.hub.data_folder.front() == '/');
    must(read.config.hub.runtime_folder.front() == '/');
    must(read.config.cameras.size() <= config::kMaxCameras);
    for (const config::CameraSettings& camera : read.config.cameras) {
        const auto& r = camera.recorder;
        must(!r.camera.is_zero() && !r.name.empty());
        must(r.url.starts_with("rtsp://") || r.url.starts_with("rtsps://"));
        must(r.url.substr(0, r.url.find('/', 8)).find('@') == std::string::npos);
        must(r.clip_target <= r.clip_max && r.clip_max <= clip::kMaxClipLength);
        must(r.sync_period > Micros(0));
    }
    return 0;
}
