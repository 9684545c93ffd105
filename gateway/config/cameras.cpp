#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "gateway/config/config_parts.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::config {
namespace {

constexpr std::size_t kMaxUrl = 1024;
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxUser = 128;
constexpr std::size_t kMaxPassword = 256;

constexpr std::int64_t kMaxClipSeconds =
    std::chrono::duration_cast<std::chrono::seconds>(clip::kMaxClipLength).count();

template <typename Unit>
void duration(TableReader& in, std::string_view key, TableReader::Range range, Micros& out) {
    std::int64_t value = 0;
    if (in.integer(key, value, range)) out = Unit(value);
}

// An RTSP URL without credentials. The rule that it breaks, or empty. Never repeats the URL.
std::string url_rule(std::string_view url) {
    const std::size_t scheme = url.starts_with("rtsp://") ? 7 : url.starts_with("rtsps://") ? 8 : 0;
    if (scheme == 0) return "must begin with rtsp:// or rtsps://";
    const std::string_view authority = url.substr(scheme, url.find_first_of("/?", scheme) - scheme);
    if (authority.find('@') != std::string_view::npos)
        return "must not hold user or password; they have keys of their own";
    if (authority.empty() || authority.front() == ':') return "has no host";
    if (url.find(' ') != std::string_view::npos) return "must not hold spaces";
    return {};
}

void read_password(TableReader& in, CameraSettings& camera, std::size_t index, Parsed& out) {
    link::RecorderSettings& recorder = camera.recorder;
    in.text("user", recorder.user, {0, kMaxUser});
    std::string file;
    const bool inside = in.text("password", recorder.password, {0, kMaxPassword});
    const bool beside = in.text("password_file", file, {1, 4096});
    if (in.has("password") && in.has("password_file"))
        in.error("password_file", "password and password_file exclude each other");
    if ((inside || beside) && recorder.user.empty())
        in.error(inside ? "password" : "password_file", "is useless without user");
    if (inside && !recorder.password.empty())
        out.passwords.push_back({index, in.line_of("password"), in.path_of("password"), {}});
    if (beside)
        out.passwords.push_back(
            {index, in.line_of("password_file"), in.path_of("password_file"), file});
}

bool looks_like_id(std::string_view name) { return parse_hex_id(name, "name").ok(); }

}  // namespace

void read_recording_keys(TableReader& in, link::RecorderSettings& out) {
    using std::chrono::milliseconds;
    using std::chrono::seconds;
    const std::vector<std::string_view> kEncode{"auto", "camera", "hub"};
    if (const int mode = in.word("encode", kEncode); mode >= 0)
        out.encode = static_cast<link::EncodeMode>(mode);
    const std::vector<std::string_view> kAudio{"keep", "off"};
    if (const int audio = in.word("audio", kAudio); audio >= 0)
        out.audio = static_cast<link::AudioMode>(audio);
    in.boolean("activity", out.activity);
    const std::vector<std::string_view> kTransport{"tcp", "udp"};
    if (const int transport = in.word("transport", kTransport); transport >= 0)
        out.transport = static_cast<link::RtspTransport>(transport);
    std::string tls;
    if (in.text("tls", tls, {1, 71})) {
        if (link::is_tls_trust(tls))
            out.tls = std::move(tls);
        else
            in.error("tls",
                     "must be \"verify\", \"insecure\", or \"sha256:\" and 64 lowercase "
                     "hexadecimal digits");
    }
    duration<seconds>(in, "clip_target_s", {2, kMaxClipSeconds}, out.clip_target);
    duration<seconds>(in, "clip_max_s", {2, kMaxClipSeconds}, out.clip_max);
    // Only where one of the two stands, or a wrong pair in [recording] would be repeated for every
    // camera.
    if (out.clip_target > out.clip_max && (in.has("clip_target_s") || in.has("clip_max_s")))
        in.error(in.has("clip_target_s") ? "clip_target_s" : "clip_max_s",
                 "clip_target_s must not be above clip_max_s");
    duration<milliseconds>(in, "sync_period_ms", {100, 10'000}, out.sync_period);
    duration<milliseconds>(in, "jitter_latency_ms", {0, 5'000}, out.jitter_latency);
    duration<seconds>(in, "first_frame_timeout_s", {1, 120}, out.first_frame_timeout);
    duration<seconds>(in, "frame_gap_timeout_s", {1, 120}, out.frame_gap_timeout);
    duration<seconds>(in, "orphan_timeout_s", {5, 86'400}, out.orphan_timeout);
    std::int64_t value = 0;
    if (in.integer("buffer_mb", value, {4, 1024}))
        out.buffer_bytes = static_cast<std::uint64_t>(value * kMiB);
    if (in.integer("max_width", value, {16, 16'384}))
        out.max_width = static_cast<std::uint32_t>(value);
    if (in.integer("max_height", value, {16, 16'384}))
        out.max_height = static_cast<std::uint32_t>(value);
    if (in.integer("max_frames_per_s", value, {1, 240}))
        out.max_frames_per_s = static_cast<std::uint32_t>(value);
    if (in.integer("max_kbit_per_s", value, {64, 1'000'000}))
        out.max_kbit_per_s = static_cast<std::uint32_t>(value);
}

void read_cameras(const std::vector<const toml::table*>& tables,
                  const link::RecorderSettings& defaults, Parsed& out) {
    std::map<std::string, int> names, ids;
    const auto first_at = [&](std::map<std::string, int>& seen, const std::string& value,
                              int line) {
        const auto [at, fresh] = seen.emplace(value, line);
        return fresh ? 0 : at->second;
    };
    // Without cameras the keys are still known: to the sample's test and to "did you mean".
    const std::vector<const toml::table*> none{nullptr};
    const auto& list = tables.empty() ? none : tables;
    for (std::size_t i = 0; i < list.size(); ++i) {
        CameraSettings camera;
        camera.recorder = defaults;
        camera.line = list[i] != nullptr ? line_of(*list[i]) : 0;
        TableReader in(list[i], fmt::format("camera[{}]", i + 1), "camera", camera.line,
                       out.report);
        std::string id;
        const bool has_id = in.text("id", id, {32, 32});
        in.text("name", camera.recorder.name, {1, kMaxName});
        in.text("url", camera.recorder.url, {1, kMaxUrl});
        read_password(in, camera, i, out);
        in.boolean("enabled", camera.enabled);
        std::int64_t value = 0;
        if (in.integer("max_age_hours", value, {0, kMaxRetentionHours}))
            camera.max_age = std::chrono::hours(value);
        if (in.integer("max_mb", value, {0, kMaxMiB}))
            camera.max_bytes = static_cast<std::uint64_t>(value * kMiB);
        read_recording_keys(in, camera.recorder);
        if (list[i] == nullptr) return;
        for (const char* key : {"id", "name", "url"})
            if (!in.has(key))
                in.error(key, std::string_view(key) == "id"
                                  ? "is missing; `halfdoor cameras add` makes one"
                                  : "is missing");
        if (has_id) {
            const auto parsed = parse_id<CameraId>(id, "id");
            if (!parsed || parsed->is_zero()) {
                in.error("id", "must be 32 lowercase hexadecimal digits, not all zero");
            } else {
                camera.recorder.camera = *parsed;
            }
            if (const int line = first_at(ids, id, in.line_of("id")))
                in.error("id", fmt::format("is that of another camera (line {})", line));
        }
        const std::string& name = camera.recorder.name;
        if (!name.empty()) {
            if (looks_like_id(name)) in.error("name", "must not look like an id");
            if (const int line = first_at(names, name, in.line_of("name")))
                in.error("name", fmt::format("is that of another camera (line {})", line));
        }
        if (!camera.recorder.url.empty())
            if (const std::string rule = url_rule(camera.recorder.url); !rule.empty())
                in.error("url", rule);
        if (camera.recorder.url.starts_with("rtsps://") &&
            camera.recorder.transport == link::RtspTransport::udp)
            in.error(
                in.has("transport") ? "transport" : "url",
                "rtsps:// needs transport = \"tcp\": by UDP the video would come in the clear");
        in.finish();
        out.config.cameras.push_back(std::move(camera));
    }
    if (list.size() > kMaxCameras)
        out.report.error(line_of(*list[kMaxCameras]), "camera",
                         fmt::format("at most {} cameras, {} are here", kMaxCameras, list.size()));
}

}  // namespace hd::config
