#include <fmt/format.h>

#include "index/clip/clip_format.hpp"

namespace hd::clip {
namespace {

Error bad_name(std::string_view path, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("clip path \"{}\": {}", path.substr(0, 128), rule)};
}

}  // namespace

std::string clip_path(const CameraId& camera, WallTime name_time, RunId run) {
    return fmt::format("{}/{}/{}-{}.clip", to_string(camera), to_date(name_time),
                       to_time_of_day(name_time), to_string(run));
}

Result<ClipName> parse_clip_path(std::string_view path) {
    std::string_view rest = path;
    if (rest.ends_with(".part")) rest.remove_suffix(5);
    if (!rest.ends_with(".clip")) return bad_name(path, "must end in .clip or .clip.part");
    rest.remove_suffix(5);
    // <32 hex>/<YYYY-MM-DD>/<HHMMSS.ffffffZ>-<8 hex>
    if (rest.size() != 32 + 1 + 10 + 1 + 14 + 1 + 8 || rest[32] != '/' || rest[43] != '/' ||
        rest[58] != '-')
        return bad_name(path, "must be <camera>/<YYYY-MM-DD>/<HHMMSS.ffffffZ>-<run>.clip");
    ClipName name;
    HD_ASSIGN(name.camera, parse_id<CameraId>(rest.substr(0, 32), "camera"));
    HD_ASSIGN(name.run, parse_run_id(rest.substr(59, 8)));
    const std::string_view time = rest.substr(44, 14);
    HD_ASSIGN(name.name_time,
              parse_rfc3339(fmt::format("{}T{}:{}:{}", rest.substr(33, 10), time.substr(0, 2),
                                        time.substr(2, 2), time.substr(4))));
    // One time, one name: a folder of another day, or odd digits, would not be found again.
    if (clip_path(name.camera, name.name_time, name.run).compare(0, rest.size(), rest) != 0)
        return bad_name(path, "is not written as this program writes it");
    return name;
}

}  // namespace hd::clip
