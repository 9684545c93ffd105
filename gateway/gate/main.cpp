// halfdoor-gate: the door for requesters, alone in its process. No clips, no index, no
// configuration file, no key but its own CURVE key.
#include <csignal>
#include <cstdio>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "gateway/gate/gate.hpp"
#include "index/base/log.hpp"

namespace {

// Exit codes; `--help` lists them.
constexpr int kOrderly = 0;
constexpr int kUsage = 2;
constexpr int kFailedClosed = 3;
constexpr int kHubGone = 4;

volatile std::sig_atomic_t stop_asked = 0;
void on_signal(int) { stop_asked = 1; }

// Best effort: the systemd unit does more. A failure leaves things as they were.
void harden() {
    const struct rlimit none { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void catch_signals() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{
        "The door for requesters: takes signed requests over ZeroMQ with CURVE, passes them to "
        "halfdoord, sends answers\n"
        "on fixed ticks and at one size. Started by halfdoord; it listens only while the policy "
        "names a requester."};
    app.footer(
        "Exit codes: 0 asked to end; 2 wrong arguments; 3 access control, key or address failed "
        "(nothing is open then);\n"
        "4 the hub was lost.");
    app.set_version_flag("--version", HALFDOOR_VERSION);
    std::string hub, key_file, listen, level = "info";
    app.add_option("--hub", hub,
                   "address of halfdoord's gate socket, like ipc:///var/lib/halfdoor/run/gate.sock")
        ->required();
    app.add_option("--key-file", key_file, "CURVE secret key of the requester endpoint, mode 0600")
        ->required();
    app.add_option("--listen", listen, "address to open for requesters, like tcp://0.0.0.0:7444")
        ->required();
    app.add_option("--log-level", level, "debug, info, warn, error or off")->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? kOrderly : kUsage;
    }
    hd::log::set_program("gate");
    if (!hd::log::set_level(level)) {
        fmt::print(stderr, "--log-level: no such level\n");
        return kUsage;
    }
    harden();
    catch_signals();
    auto key = hd::wire::read_curve_key(key_file);
    if (!key) {
        hd::log::error("gate.not_started", "error=\"{}\"", key.error().what);
        return kFailedClosed;
    }
    hd::gate::GateSettings settings;
    settings.hub = hub;
    settings.listen = listen;
    settings.key = std::move(*key);
    auto gate = hd::gate::Gate::open(std::move(settings), hd::system_clock());
    if (!gate) {
        hd::log::error("gate.not_started", "error=\"{}\"", gate.error().what);
        return kFailedClosed;
    }
    const auto done = (*gate)->run([] { return stop_asked != 0; });
    if (!done) {
        hd::log::error("gate.ended", "error=\"{}\"", done.error().what);
        return (*gate)->hub_lost() ? kHubGone : kFailedClosed;
    }
    hd::log::info("gate.stopped", "questions={} replies={} errors={}",
                  (*gate)->counters().questions, (*gate)->counters().replies,
                  (*gate)->counters().errors);
    return kOrderly;
}
