// halfdoord: supervises recorders, keeps the index, answers owner and dashboards.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/daemon/child.hpp"
#include "gateway/daemon/hub.hpp"
#include "gateway/daemon/start_anew.hpp"
#include "index/base/log.hpp"
#include "index/base/walls.hpp"

namespace {

using namespace hd;

constexpr int kExitOk = 0;
constexpr int kExitFailed = 1;
constexpr int kExitConfig = 2;
constexpr int kExitOther = 3;
// Less than the time in which systemd's watchdog wants to hear of us.
constexpr Micros kWatchdogPatience = std::chrono::seconds(20);

constexpr const char* kAbout =
    "halfdoord records cameras into sealed clips and answers who may ask what.\n"
    "\n"
    "It starts one halfdoor-recorder for each camera, keeps the index, and serves the owner and\n"
    "dashboards over ZeroMQ. It never needs the owner's key and cannot open what is recorded.\n"
    "\n"
    "First steps:\n"
    "  halfdoor init            makes keys, policy and a configuration\n"
    "  halfdoord --check-config says what is wrong in the configuration, with line and rule\n"
    "  halfdoord                runs in the foreground; logs go to standard error\n"
    "  halfdoor status          what it does now";

constexpr const char* kEpilogue =
    "Signals:\n"
    "  SIGTERM, SIGINT  every recorder closes its clip, all are indexed, then everything ends\n"
    "  SIGHUP           reads cameras and retention again from the configuration\n"
    "  SIGUSR2          ends alone: recorders go on, the next halfdoord adopts them (upgrade)\n"
    "kill -9 loses no frame either: recorders go on for orphan_timeout (300 s).\n"
    "\n"
    "Exit codes: 0 orderly; 1 failed, the message says why; 2 wrong configuration or options;\n"
    "3 another halfdoord uses this data folder.";

int check_config(const config::ReadConfig& read) {
    for (const config::Problem& problem : read.problems) {
        fmt::print(stderr, "{}{}\n", problem.warning ? "warning: " : "", to_string(problem));
    }
    if (!read.ok()) return kExitConfig;
    fmt::print("{}: good, {} cameras\n", read.config.path, read.config.cameras.size());
    return kExitOk;
}

// Blocked in every thread, read from a descriptor by one.
Fd take_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set, number);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    return Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

std::string absolute(const std::string& path) {
    std::error_code error;
    const auto out = std::filesystem::absolute(path, error).lexically_normal();
    return error ? path : out.string();
}

// The drive went away again in the very moment. This program was started by itself, so perhaps
// there is nobody who would start it once more.
int try_later(const daemon::StartAnew& anew, int signal_fd) {
    const Micros wait = std::min(kWatchdogPatience, daemon::restart_wait(anew.restarts()));
    log::warn("hub.start_failed", "action=try_again wait_s={}", wait.count() / 1'000'000);
    const int signal = daemon::wait_for_signal(signal_fd, wait);
    if (signal != 0 && signal != SIGHUP) return kExitOk;  // An end; recorders see to theirs.
    log::error("hub.start_failed", "error=\"{}\"", anew.start(anew.restarts() + 1).what);
    return kExitFailed;
}

int run(daemon::HubOptions options, config::Config config, const daemon::StartAnew& anew) {
    log::set_program("halfdoord");
    log::set_level(config.hub.log_level);
    ::umask(077);
    if (!daemon::kernel_can_watch_children()) {
        fmt::print(stderr, "halfdoord: this kernel is too old: it needs Linux 5.4\n");
        return kExitFailed;
    }
    // Policies and keys pass through this memory; camera passwords stay in it. Other programs of
    // the same user, a gate that was taken over among them, cannot look in.
    static_cast<void>(shut_memory());
    static_cast<void>(forbid_new_privileges());  // `status` asks the kernel what stands.
    config.hub.data_folder = absolute(config.hub.data_folder);
    config.hub.runtime_folder = absolute(config.hub.runtime_folder);
    daemon::SdNotify notify = daemon::SdNotify::from_environment();
    const Fd signals = take_signals();
    if (anew.restarts() > 0) {
        notify.send("WATCHDOG=1");
        daemon::reap_forgotten_children();
    }
    auto hub = daemon::Hub::open(std::move(options), std::move(config), std::move(notify));
    if (!hub) {
        fmt::print(stderr, "halfdoord: {}\n", hub.error().what);
        if (hub.error().code == ErrorCode::refused) return kExitOther;
        return anew.restarts() > 0 ? try_later(anew, signals.get()) : kExitFailed;
    }
    const daemon::HubEnd end = (*hub)->run(signals.get());
    const unsigned restarts = (*hub)->restarts_now();
    if (!(*hub)->may_close()) static_cast<void>(hub->release());  // An assertion would end us here.
    if (end != daemon::HubEnd::anew) return end == daemon::HubEnd::failed ? kExitFailed : kExitOk;
    hub->reset();
    log::error("hub.start_failed", "error=\"{}\"", anew.start(restarts).what);
    return kExitFailed;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{kAbout, "halfdoord"};
    app.footer(kEpilogue);
    app.set_version_flag("--version", "halfdoord " HALFDOOR_VERSION);
    std::string path(config::kDefaultConfigPath);
    std::string libexec;
    bool only_check = false;
    app.add_option("--config", path, "The configuration file")->capture_default_str();
    app.add_option("--libexec", libexec,
                   "Folder of halfdoor-recorder and halfdoor-gate (default: beside halfdoord)");
    app.add_flag("--check-config", only_check, "Say what is wrong in the configuration and end");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? kExitOk : kExitConfig;
    }
    config::ReadConfig read = config::read_config(path);
    if (only_check) return check_config(read);
    if (!read.ok()) {
        fmt::print(stderr, "{}\n", config::errors_text(read));
        return kExitConfig;
    }
    for (const config::Problem& problem : read.problems) {
        fmt::print(stderr, "warning: {}\n", to_string(problem));
    }
    path = absolute(path);
    if (!libexec.empty()) libexec = absolute(libexec);
    std::vector<std::string> arguments{argv[0], "--config=" + path};
    if (!libexec.empty()) arguments.push_back("--libexec=" + libexec);
    const daemon::StartAnew anew(std::move(arguments));
    return run({.config_path = path, .libexec_folder = libexec, .restarts = anew.restarts()},
               std::move(read.config), anew);
}
