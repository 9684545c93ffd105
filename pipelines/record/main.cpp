// halfdoor-recorder: records one camera into sealed clips. See docs/architecture.md.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/base/log.hpp"
#include "pipelines/ingest/probe.hpp"
#include "pipelines/record/confinement.hpp"
#include "pipelines/record/input_recorder.hpp"
#include "pipelines/record/recorder.hpp"
#include "pipelines/record/shared_sync_fs.hpp"

namespace {

using namespace hd;

constexpr int kExitOk = 0, kExitFailed = 1, kExitUsage = 2;

constexpr const char* kAbout =
    "Records one camera into sealed clips.\n\n"
    "Normally halfdoord starts this program, one per camera, and tells it over a local socket "
    "what\n"
    "to record and for whom to seal. By hand it is good for two things:\n\n"
    "  halfdoor-recorder --input film.mp4 --start 2026-11-22T14:00:00Z --data ./data \\\n"
    "      --camera 00112233445566778899aabbccddeeff --recipient age1...\n"
    "  halfdoor-recorder --probe\n\n"
    "The first records a file as if a camera had sent it from that time on, as fast as the "
    "machine\n"
    "can; the same file and options give the same pieces (only the keys differ). The second tries\n"
    "which video encoders of this machine work.";

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 could not record, the message says why; 2 wrong options;\n"
    "70 the network or a driver hung; 71 what connects for it ended; 75 another recorder of this\n"
    "camera is running.";

std::atomic<bool> g_stop{false};
void on_signal(int) { g_stop = true; }

// Eight threads, each with a heap of its own, would hold twice the memory that they need.
void keep_memory_small() { ::mallopt(M_ARENA_MAX, 2); }

void handle_signals() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGTERM, &action, nullptr);
    ::sigaction(SIGINT, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

int complain(const Error& error) {
    fmt::print(stderr, "halfdoor-recorder: {}\n", error.what);
    return error.code == ErrorCode::invalid ? kExitUsage : kExitFailed;
}

struct Flags {
    std::string link, camera, input, start, data, hub, seed, probe_file;
    std::vector<std::string> recipients;
    double clip_seconds = 60;
    bool probe = false;
};

Result<record::InputPlan> plan_input(const Flags& flags) {
    record::InputPlan plan;
    plan.file = flags.input;
    plan.seed = flags.seed;
    HD_ASSIGN(plan.start, parse_rfc3339(flags.start));
    HD_ASSIGN(plan.settings.camera, parse_id<CameraId>(flags.camera, "--camera"));
    if (!flags.hub.empty()) {
        HD_ASSIGN(plan.settings.hub, parse_id<HubId>(flags.hub, "--hub"));
    }
    if (flags.data.empty())
        return Error{ErrorCode::invalid, "--input needs --data, the folder to record into"};
    plan.settings.data_folder = flags.data;
    plan.settings.clip_target = Micros(static_cast<std::int64_t>(flags.clip_seconds * 1e6));
    for (const std::string& text : flags.recipients) {
        HD_ASSIGN(const auto recipient, seal::parse_recipient(text));
        plan.settings.recipients.push_back(recipient);
    }
    return plan;
}

int record_file(const Flags& flags) {
    ::umask(077);  // A recorder of the daemon gets its umask from there.
    auto plan = plan_input(flags);
    if (!plan) return complain(plan.error());
    Clock& clock = system_clock();
    BootTime next_line = clock.boot() + std::chrono::seconds(1);
    const BootTime begin = clock.boot();
    auto report = record::record_input(real_file_system(), *plan, [&](double share) {
        const BootTime now = clock.boot();
        if (now < next_line) return;
        next_line = now + std::chrono::seconds(1);
        fmt::print(stderr, "recording {}: {:.0f} %\n", flags.input, share * 100);
    });
    if (!report) return complain(report.error());
    for (const auto& c : report->clips)
        fmt::print("{}  {} to {}  {} frames, {} pieces, {} bytes, {}\n", c.path,
                   to_rfc3339(c.summary.utc_begin), to_rfc3339(c.summary.utc_end), c.summary.frames,
                   c.summary.pieces, c.summary.size_bytes, to_string(c.summary.reason));
    const double seconds = static_cast<double>((clock.boot() - begin).count()) / 1e6;
    fmt::print("{} clips, {} frames in {:.2f} s\n", report->clips.size(), report->frames, seconds);
    if (report->skipped_frames > 0)
        fmt::print("{} frames before the first key frame were left out\n", report->skipped_frames);
    return kExitOk;
}

int record_camera(const Flags& flags) {
    std::vector<Wall> walls = record::leave_privileges();
    record::DialerProcess dialer = record::start_dialer(system_clock());
    auto camera = parse_id<CameraId>(flags.camera, "--camera");
    if (!camera) return complain(camera.error());
    if (auto path = link::check_socket_path(flags.link); !path) return complain(path.error());
    log::set_program("recorder " + flags.camera.substr(0, 8));
    const std::string socket = std::filesystem::absolute(flags.link);
    record::SyncLink sync(system_clock(), join(parent_folder(socket), "sync.sock"),
                          link::LinkChannel::connect_from_folder);
    record::SharedSyncFileSystem fs(real_file_system(), sync);
    record::Recorder recorder(
        {.link_path = socket, .camera = *camera},
        {.fs = fs,
         .clock = system_clock(),
         .make_source =
             [&](const link::RecorderSettings& settings, Clock& clock, ingest::Ingress& ingress,
                 std::shared_ptr<ingest::EncoderDesk> desk) {
                 return ingest::make_rtsp_source(settings, clock, ingress, std::move(desk),
                                                 dialer.dialer);
             },
         .confine =
             [&](const link::RecorderSettings& settings) {
                 return record::confine(settings, dialer);
             },
         .walls = std::move(walls),
         .connect_link = link::LinkChannel::connect_from_folder});
    if (!recorder.take_lock()) {
        fmt::print(stderr, "halfdoor-recorder: another recorder of camera {} is running\n",
                   flags.camera);
        return static_cast<int>(record::Ended::already);
    }
    const auto ended = recorder.run(g_stop);
    // Whatever hangs in a driver must not keep the process: everything is on the disk.
    if (ended == record::Ended::hung) ::_exit(static_cast<int>(ended));
    return static_cast<int>(ended);
}

int probe_encoders(const std::string& file) {
    std::ostringstream out;
    const int code = ingest::run_probe(out);
    if (file.empty()) {
        fmt::print("{}", out.str());
        return code;
    }
    // All of it or nothing, for whoever waits for the file.
    FileSystem& fs = real_file_system();
    const std::string beside = file + ".part";
    if (auto old = fs.remove(beside); !old && old.error().code != ErrorCode::not_found)
        return complain(old.error());
    auto made = fs.create(beside);
    if (!made) return complain(made.error());
    if (auto wrote = (*made)->append(as_bytes(out.str())); !wrote) return complain(wrote.error());
    if (auto moved = fs.rename(beside, file); !moved) return complain(moved.error());
    return code;
}

int run(int argc, char** argv) {
    CLI::App app{kAbout, "halfdoor-recorder"};
    app.footer(kExitCodes);
    app.set_version_flag("--version", HALFDOOR_VERSION);
    Flags flags;
    auto* link = app.add_option("--link", flags.link, "the daemon's socket (set by halfdoord)");
    auto* input = app.add_option("--input", flags.input, "record this mp4, mkv, .h264 or .h265");
    auto* probe = app.add_flag("--probe", flags.probe, "try the video encoders of this machine");
    app.add_option("--probe-file", flags.probe_file, "write what the probe found into this file")
        ->needs(probe);
    app.add_option("--camera", flags.camera, "camera id, 32 hex digits");
    app.add_option("--start", flags.start, "UTC of the first picture, like 2026-11-22T14:00:00Z")
        ->needs(input);
    app.add_option("--data", flags.data, "data folder to record into")->needs(input);
    app.add_option("--recipient", flags.recipients, "age1... that can open it; repeat for more")
        ->needs(input);
    app.add_option("--clip-seconds", flags.clip_seconds, "cut at a key frame after so long")
        ->needs(input)
        ->check(CLI::Range(0.1, 120.0))
        ->capture_default_str();
    app.add_option("--hub", flags.hub, "hub id to write into the clips, 32 hex digits")
        ->needs(input);
    app.add_option("--seed", flags.seed, "changes the ids of run and clips")->needs(input);
    link->excludes(input);
    probe->excludes(link)->excludes(input);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? kExitOk : kExitUsage;
    }
    if (flags.probe) return probe_encoders(flags.probe_file);
    if (!flags.input.empty()) return record_file(flags);
    if (!flags.link.empty()) return record_camera(flags);
    fmt::print(stderr, "{}", app.help());
    return kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
    // It sees the present picture and, for moments, file keys.
    static_cast<void>(shut_memory());
    keep_memory_small();
    handle_signals();
    return run(argc, argv);
}
