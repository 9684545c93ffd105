#include "pipelines/record/dialer_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/log.hpp"
#include "index/base/syscall_filter.hpp"
#include "index/base/walls.hpp"
#include "pipelines/record/confinement.hpp"

namespace hd::record {
namespace {

// Heap, stack and the resolver's; measured (VmData): 1 MiB.
constexpr std::uint64_t kMemory = 32ull << 20;

// "halfdoor-dialer" in a list of processes, and no arguments: it is not the recorder of a camera.
void rename_process() {
    static_cast<void>(::prctl(PR_SET_NAME, "dialer", 0, 0, 0));
    constexpr std::string_view kOld = "recorder", kNew = "dialer";
    char* const name = ::program_invocation_name;  // argv[0]: the other arguments follow it
    const std::size_t size = std::strlen(name);
    if (!std::string_view(name, size).ends_with(kOld)) return;
    const auto whole = real_file_system().read("/proc/self/cmdline", 65536);
    if (!whole || whole->size() <= size) return;
    std::memset(name + size - kOld.size(), 0, whole->size() - size + kOld.size());
    std::memcpy(name + size - kOld.size(), kNew.data(), kNew.size());
}

Wall confine_dialer(const ingest::DialTarget& target) {
    FileRights files;
    PortRights ports{{static_cast<std::uint16_t>(std::strtoul(target.port.c_str(), nullptr, 10))},
                     {}};
    const bool by_name = !ingest::is_address(target.host);
    if (by_name) {
        files.read = resolver_files();
        ports.connect.push_back(53);
    }
    std::vector<Wall> walls{shut_memory(), forbid_new_privileges(), drop_capabilities(),
                            limit_memory(kMemory)};
    LandlockWalls land = restrict_files_and_ports(files, ports);
    walls.insert(walls.end(), {land.files, land.ports, land.signals});
    walls.push_back(restrict_system_calls({.udp = by_name || target.udp}));
    Wall weakest{"dialer", WallState::enforced,
                 fmt::format("connects to the camera's port{}{}, {}, starts no program",
                             target.udp ? " (and its host by UDP)" : "",
                             by_name ? " (and asks name servers)" : "",
                             by_name ? "reads no file of the hub" : "opens no file")};
    for (const Wall& wall : walls)
        if (wall.state > weakest.state)
            weakest = {"dialer", WallState::partial, fmt::format("{}: {}", wall.name, wall.detail)};
    return weakest;
}

[[noreturn]] void run_dialer(Fd control, Clock& clock) {
    rename_process();
    std::signal(SIGTERM, SIG_IGN);  // It ends when the recorder has closed its clip.
    std::signal(SIGINT, SIG_IGN);
    ingest::serve_dials(control, clock, confine_dialer);
    ::_exit(0);
}

}  // namespace

void DialerProcess::dismiss() {
    if (!dialer) return;
    dialer.reset();
    ::kill(pid, SIGKILL);  // It may be what is slow.
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

DialerProcess start_dialer(Clock& clock) {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        log::warn("dialer.none", "error=\"{}\"", ::strerror(errno));
        return {};
    }
    Fd ours(ends[0]), theirs(ends[1]);
    const pid_t pid = ::fork();
    if (pid < 0) {
        log::warn("dialer.none", "error=\"{}\"", ::strerror(errno));
        return {};
    }
    if (pid == 0) {
        ours = Fd();
        run_dialer(std::move(theirs), clock);
    }
    return {pid, std::make_shared<ingest::SocketDialer>(std::move(ours), clock)};
}

}  // namespace hd::record
