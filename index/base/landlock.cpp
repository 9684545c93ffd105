// Landlock by system call: Debian 12 has no library for it, and its header ends at ABI 2. The
// numbers are those of the kernel's include/uapi/linux/landlock.h.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "index/base/files.hpp"
#include "index/base/walls.hpp"

namespace hd {
namespace {

struct Attributes {  // struct landlock_ruleset_attr of ABI 6
    std::uint64_t files = 0, net = 0, scoped = 0;
};
struct __attribute__((packed)) PathRule {
    std::uint64_t allowed;
    std::int32_t folder;
};
struct PortRule {
    std::uint64_t allowed, port;
};
constexpr int kPathRule = 1, kPortRule = 2;
constexpr unsigned kAskVersion = 1;

constexpr std::uint64_t kExecute = 1ULL << 0, kWrite = 1ULL << 1, kRead = 1ULL << 2,
                        kList = 1ULL << 3, kRemoveFolder = 1ULL << 4, kRemoveFile = 1ULL << 5,
                        kMakeFolder = 1ULL << 7, kMakeFile = 1ULL << 8;
constexpr std::uint64_t kAbi1 = (1ULL << 13) - 1;         // everything up to making symbolic links
constexpr std::uint64_t kRefer = 1ULL << 13;              // ABI 2
constexpr std::uint64_t kCut = 1ULL << 14;                // ABI 3
constexpr std::uint64_t kDeviceCall = 1ULL << 15;         // ABI 5
constexpr std::uint64_t kListenTcp = 1, kConnectTcp = 2;  // ABI 4
constexpr std::uint64_t kScopeAbstractSockets = 1, kScopeSignals = 2;  // ABI 6
static_assert((kAbi1 & kExecute) != 0, "starting programs is among what is taken away");

std::uint64_t file_rights(int abi) {
    return kAbi1 | (abi >= 2 ? kRefer : 0) | (abi >= 3 ? kCut : 0) | (abi >= 5 ? kDeviceCall : 0);
}

class Ruleset {
  public:
    explicit Ruleset(int abi) : handled_(file_rights(abi)) {
        Attributes attributes{.files = handled_};
        if (abi >= 4) attributes.net = kListenTcp | kConnectTcp;
        if (abi >= 6) attributes.scoped = kScopeAbstractSockets | kScopeSignals;
        // An older kernel refuses a longer struct only if what it does not know is set.
        fd_ = Fd(static_cast<int>(
            ::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
    }
    bool made() const { return static_cast<bool>(fd_); }

    bool allow(const std::vector<std::string>& paths, std::uint64_t rights) {
        for (const std::string& path : paths)
            if (!allow(path, rights)) return false;
        return true;
    }
    bool allow(const std::string& path, std::uint64_t rights) {
        const Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
        struct stat facts {};
        if (!fd || ::fstat(fd.get(), &facts) != 0) return true;  // Not there: nothing to allow.
        rights &= handled_;
        if (!S_ISDIR(facts.st_mode)) rights &= kExecute | kWrite | kRead | kCut | kDeviceCall;
        if (rights == 0) return true;
        const PathRule rule{rights, fd.get()};
        return ::syscall(SYS_landlock_add_rule, fd_.get(), kPathRule, &rule, 0) == 0;
    }
    bool allow(const std::vector<std::uint16_t>& ports, std::uint64_t rights) {
        for (const std::uint16_t port : ports) {
            const PortRule rule{rights, port};
            if (::syscall(SYS_landlock_add_rule, fd_.get(), kPortRule, &rule, 0) != 0) return false;
        }
        return true;
    }
    bool enter() {
        return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
               ::syscall(SYS_landlock_restrict_self, fd_.get(), 0) == 0;
    }

  private:
    std::uint64_t handled_;
    Fd fd_;
};

std::string ports_text(const PortRights& ports) {
    std::string out;
    for (const auto port : ports.connect)
        out += fmt::format("{}{}", out.empty() ? "TCP to port " : ", ", port);
    for (const auto port : ports.listen)
        out += fmt::format("{}TCP on port {}", out.empty() ? "" : "; ", port);
    return (out.empty() ? "no TCP" : out + " only") + std::string(" (Landlock)");
}

// Threads that run already are not bound.
std::size_t threads() {
    const auto tasks = real_file_system().list("/proc/self/task");
    return tasks.ok() ? tasks->size() : 1;
}

LandlockWalls none(const std::string& reason) {
    return {{"files", WallState::missing, reason},
            {"ports", WallState::missing, reason},
            {"signals", WallState::missing, reason}};
}

}  // namespace

int landlock_abi() {
    const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
    return abi < 0 ? 0 : static_cast<int>(abi);
}

LandlockWalls restrict_files_and_ports(const FileRights& files, const PortRights& ports) {
    const int abi = landlock_abi();
    if (abi == 0) return none("this kernel has no Landlock, or it is not switched on (lsm=)");
    Ruleset rules(abi);
    constexpr std::uint64_t kChange = kWrite | kRead | kList | kRemoveFolder | kRemoveFile |
                                      kMakeFolder | kMakeFile | kRefer | kCut;
    const bool whole =
        rules.made() && rules.allow(files.read, kRead | kList) && rules.allow(files.list, kList) &&
        rules.allow(files.write, kRead | kWrite | kCut) && rules.allow(files.change, kChange) &&
        rules.allow(files.devices, kRead | kWrite | kList | kDeviceCall) &&
        (abi < 4 ||
         (rules.allow(ports.connect, kConnectTcp) && rules.allow(ports.listen, kListenTcp)));
    const std::size_t running = threads();
    if (!whole || !rules.enter()) return none(fmt::format("Landlock: {}", ::strerror(errno)));
    LandlockWalls walls{{"files", WallState::enforced, fmt::format("Landlock ABI {}", abi)},
                        {"ports", WallState::enforced, ports_text(ports)},
                        {"signals", WallState::enforced, "no signal to other programs (Landlock)"}};
    if (abi < 3)
        walls.files = {
            "files", WallState::partial,
            fmt::format("Landlock ABI {}: files elsewhere that its user may write can be cut short",
                        abi)};
    if (abi < 4)
        walls.ports = {"ports", WallState::missing,
                       fmt::format("Landlock ABI {} knows no ports: kernel 6.7 does", abi)};
    if (abi < 6)
        walls.signals = {"signals", WallState::missing,
                         fmt::format("Landlock ABI {} knows no signals: kernel 6.12 does", abi)};
    if (running > 1)
        for (Wall* wall : {&walls.files, &walls.ports, &walls.signals})
            *wall = {wall->name, WallState::partial,
                     fmt::format("{} threads had begun before", running - 1)};
    return walls;
}

}  // namespace hd
