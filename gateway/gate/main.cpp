// halfdoor-gate: the door for requesters, alone in its process. No clips, no index, no
// configuration file, no key but its own CURVE key.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "gateway/gate/gate.hpp"
#include "index/base/log.hpp"
#include "index/base/syscall_filter.hpp"

namespace {

// Exit codes; `--help` lists them.
constexpr int kOrderly = 0;
constexpr int kUsage = 2;
constexpr int kFailedClosed = 3;
constexpr int kHubGone = 4;

// Of heap and stacks. libzmq limits frames, not how many of them a message has: a requester who
// never ends a message takes this much, then the gate ends and is started anew. 64 connections
// with 4 unread replies of 1 MiB each, and as much again.
constexpr std::uint64_t kMemory = 512ULL << 20;

volatile std::sig_atomic_t stop_asked = 0;
void on_signal(int) { stop_asked = 1; }

// After the key was read and before libzmq starts its threads: from here on this program opens no
// file but the time zone's, listens on its port and starts nothing. Ports below 1024 need
// net.ipv4.ip_unprivileged_port_start.
void confine(const std::string& listen) {
    using namespace hd;
    const auto port = static_cast<std::uint16_t>(
        std::strtoul(listen.c_str() + std::min(listen.rfind(':') + 1, listen.size()), nullptr, 10));
    const Wall memory = limit_memory(kMemory);
    const Wall capabilities = drop_capabilities();
    const LandlockWalls land = restrict_files_and_ports(
        {.read = {"/etc/localtime", "/usr/share/zoneinfo"}}, {.listen = {port}});
    const Wall calls = restrict_system_calls({.listen = true});
    log::info("gate.confined",
              "memory={} capabilities={} files={} ports={} signals={} system_calls={}",
              to_string(memory.state), to_string(capabilities.state), to_string(land.files.state),
              to_string(land.ports.state), to_string(land.signals.state), to_string(calls.state));
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
    hd::close_inherited_files();
    static_cast<void>(hd::shut_memory());
    static_cast<void>(hd::forbid_new_privileges());
    catch_signals();
    auto key = hd::wire::read_curve_key(key_file);
    if (!key) {
        hd::log::error("gate.not_started", "error=\"{}\"", key.error().what);
        return kFailedClosed;
    }
    confine(listen);
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
