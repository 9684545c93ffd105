#include "gateway/daemon/encoder_keeper.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

namespace {

constexpr std::uint64_t kMaxProbeBytes = 64 << 10;
// Nine candidates of 4 s each, and some time to load plugins.
constexpr Micros kProbeDeadline = std::chrono::seconds(60);
// Without an answer no camera gets an encoder: what was in the way may be gone soon.
constexpr Micros kProbeAgain = std::chrono::minutes(1);
// Rests end without anybody saying so.
constexpr Micros kReportPeriod = std::chrono::seconds(10);
// From SIGKILL until it is gone; in the hands of a driver it may stay for longer.
constexpr int kKillWaitMs = 5'000;
constexpr std::string_view kPrefix = "encoders-";

}  // namespace

// Another boot may have other drivers, another program other opinions.
std::string EncoderKeeper::cache_path() const {
    struct stat program {};
    (void)::stat(places_.recorder_program.c_str(), &program);
    const std::string key = fmt::format("{} {} {}", to_string(clock_.boot_id()), program.st_size,
                                        program.st_mtim.tv_sec);
    const std::string name = to_hex(sha256(as_bytes(key))).substr(0, 16);
    return join(places_.runtime_folder, fmt::format("{}{}.jsonl", kPrefix, name));
}

void EncoderKeeper::report(const CameraId& camera, const std::string& name,
                           const link::EncoderReport& report) {
    Need& need = needs_[camera];
    need.name = name;
    for (const std::string& element : report.failed) {
        const auto& known = need.report.failed;
        if (std::ranges::find(known, element) != known.end()) continue;
        need.cooldown.failed(element, "failed while it encoded", clock_.boot());
        log::warn("encoder.failed", "camera={} element={} action=next_encoder", to_string(camera),
                  element);
    }
    need.report = report;
    changed_ = true;
    watch_speed(camera, need);
}

void EncoderKeeper::connected(const CameraId& camera) {
    const auto found = needs_.find(camera);
    if (found == needs_.end()) return;
    found->second.told.reset();
    found->second.report.failed.clear();  // It may be a new process.
    changed_ = true;
}

void EncoderKeeper::forget(const CameraId& camera) {
    if (needs_.erase(camera) == 0) return;
    board_.clear("encoder_slow." + to_string(camera));
    changed_ = true;
}

void EncoderKeeper::watch_speed(const CameraId& camera, const Need& need) {
    const std::string name = "encoder_slow." + to_string(camera);
    const std::uint32_t in = need.report.millihertz_in, out = need.report.millihertz_out;
    // A tenth: the limit of pictures per second and the ends of a window are no slowness.
    const bool slow =
        need.report.needed && in > 0 && out < in / 10 * 9 && need.report.frames_left_out > 0;
    if (!slow) {
        if (board_.clear(name)) log::info("encoder.fast_enough", "camera={}", to_string(camera));
        return;
    }
    const std::string text = fmt::format(
        "Encoder {} is slower than camera \"{}\": {:.1f} of {:.1f} pictures a second. Lower the "
        "camera's size or rate, or let it send H.264.",
        need.report.element, need.name, out / 1000.0, in / 1000.0);
    if (board_.raise(name, "warning", text)) {
        log::warn("encoder.slow", "camera={} element={} given_mhz={} asked_mhz={}",
                  to_string(camera), need.report.element, out, in);
    }
}

void EncoderKeeper::probe() {
    const std::string path = cache_path();
    if (fs_.exists(path)) return take_probe(path);
    const ChildPlan plan{.program = places_.recorder_program,
                         .args = {"--probe", "--probe-file", path},
                         .extra_environment = {}};
    probe_began_ = clock_.boot();
    auto pid = start_child(plan);
    auto handle = pid ? ProcessHandle::of(*pid) : Result<ProcessHandle>(pid.error());
    if (handle) {
        probing_.emplace(std::move(*handle));
        log::info("encoder.probing", "pid={}", *pid);
        return;
    }
    probe_failed(handle.error().what);
}

void EncoderKeeper::end_probe() {
    if (!probing_) return;
    log::info("encoder.probe_killed", "pid={} why=\"halfdoord ends\"", probing_->pid());
    probing_->signal(SIGKILL);
    pollfd wait{.fd = probing_->fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&wait, 1, kKillWaitMs);
    (void)probing_->reap();
    probing_.reset();
}

void EncoderKeeper::probe_failed(const std::string& what) {
    log::error("encoder.probe_failed", "error=\"{}\" again_in_s={}", what,
               kProbeAgain / std::chrono::seconds(1));
    facts_ = EncoderFacts{.why = "the encoders could not be probed, the log says why"};
    probe_again_ = clock_.boot() + kProbeAgain;
    changed_ = true;
}

void EncoderKeeper::take_probe(const std::string& path) {
    const auto bytes = fs_.read(path, kMaxProbeBytes);
    auto facts = bytes ? read_probe(as_text(*bytes)) : Result<EncoderFacts>(bytes.error());
    if (!facts) {
        (void)fs_.remove(path);  // If there is one, it is of no use.
        return probe_failed(facts.error().what);
    }
    facts_ = std::move(*facts);
    probe_again_.reset();
    log::info("encoder.probed", "why=\"{}\" hardware_mpixel_s={} software_mpixel_s={}", facts_->why,
              facts_->hardware_pixels_per_s / 1'000'000, facts_->software_pixels_per_s / 1'000'000);
    changed_ = true;
}

void EncoderKeeper::tick(
    const std::vector<CameraId>& order,
    const std::function<bool(const CameraId&, const link::EncoderGrant&)>& tell) {
    const BootTime now = clock_.boot();
    if (probing_ && probing_->ended()) {
        (void)probing_->reap();
        probing_.reset();
        take_probe(cache_path());
    } else if (probing_ && now - probe_began_ > kProbeDeadline) {
        probing_->signal(SIGKILL);
    }
    const bool wanted =
        std::ranges::any_of(needs_, [](const auto& entry) { return entry.second.report.needed; });
    const bool due = !facts_ || (probe_again_ && now >= *probe_again_);
    if (due && !probing_ && wanted) probe();
    if (!facts_ || (!changed_ && now < next_look_)) return;
    changed_ = false;
    next_look_ = now + kReportPeriod;
    std::vector<EncoderWish> wishes;
    for (const CameraId& camera : order) {
        const auto found = needs_.find(camera);
        if (found == needs_.end() || !found->second.report.needed) continue;
        EncoderWish wish{.camera = camera, .report = found->second.report, .resting = {}};
        for (const std::string& element : found->second.cooldown.elements()) {
            const std::string* why = found->second.cooldown.reason(element, now);
            if (why != nullptr) wish.resting[element] = *why;
        }
        wishes.push_back(std::move(wish));
    }
    const EncoderShares shares = share_encoders(*facts_, wishes);
    for (const auto& [camera, grant] : shares.grants) {
        Need& need = needs_.at(camera);
        // The words move with the neighbours' load; only another choice is news.
        if (need.told && need.told->elements == grant.elements) continue;
        if (tell(camera, grant)) {
            need.told = grant;
            log::info("encoder.granted", "camera={} elements={} why=\"{}\"", to_string(camera),
                      fmt::join(grant.elements, ","), grant.why);
        }
    }
    show(shares.use);
}

void EncoderKeeper::show(const EncoderUse& use) {
    EncoderStatus out;
    out.why = facts_->why;
    out.elements = facts_->hardware;
    out.elements.insert(out.elements.end(), facts_->software.begin(), facts_->software.end());
    out.hardware_budget = facts_->hardware_pixels_per_s;
    out.hardware_why = facts_->hardware_why;
    out.software_budget = facts_->software_pixels_per_s;
    out.hardware_used = use.hardware_pixels_per_s;
    out.software_used = use.software_pixels_per_s;
    out.refused_cameras = static_cast<std::uint32_t>(use.refused_cameras);
    board_.set_encoders(std::move(out));
}

}  // namespace hd::daemon
