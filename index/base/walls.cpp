#include "index/base/walls.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "index/base/sanitizer.hpp"

namespace hd {
namespace {

std::string why(std::string_view what) { return fmt::format("{}: {}", what, ::strerror(errno)); }

struct Capabilities {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
    bool read() { return ::syscall(SYS_capget, &header, sets) == 0; }
    bool write() { return ::syscall(SYS_capset, &header, sets) == 0; }
    bool any() const {
        std::uint32_t all = 0;
        for (const auto& set : sets) all |= set.effective | set.permitted | set.inheritable;
        return all != 0;
    }
};

bool bounding_set_is_empty() {
    for (int c = 0; ::prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; ++c)
        if (::prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1) return false;
    return true;
}

}  // namespace

std::string_view to_string(WallState s) {
    switch (s) {
        case WallState::enforced:
            return "enforced";
        case WallState::partial:
            return "partial";
        case WallState::missing:
            return "missing";
    }
    return "unknown";
}

Wall shut_memory() {
    Wall wall{"memory_shut", WallState::enforced, "not dumpable, no core file"};
    const rlimit none{0, 0};
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || ::setrlimit(RLIMIT_CORE, &none) != 0 ||
        ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return {wall.name, WallState::missing, why("not dumpable")};
    return wall;
}

Wall forbid_new_privileges() {
    (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return {"no_new_privileges", WallState::missing, why("no_new_privs")};
    return {"no_new_privileges", WallState::enforced, "no program started here can gain rights"};
}

Wall drop_capabilities() {
    (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    // Needs a capability itself, so it comes first. Without it the set stays, and does nothing:
    // only a program with file capabilities could draw on it, and no_new_privs forbids that.
    for (int c = 0; ::prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; ++c)
        (void)::prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    Capabilities none;
    const bool written = none.write();
    Capabilities now;
    if (!written || !now.read() || now.any())
        return {"capabilities", WallState::missing, why("drop capabilities")};
    return {"capabilities", WallState::enforced,
            bounding_set_is_empty() ? "none, and none can come back"
                                    : "none; no_new_privs keeps them from coming back"};
}

Wall enter_empty_network() {
    // Without the right to it, in a user name space of its own, which many systems allow to all.
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return {"network", WallState::missing, why("network name space")};
    return {"network", WallState::enforced, "an empty network name space"};
}

bool has_capability(int number) {
    Capabilities now;
    const auto bit = static_cast<unsigned>(number);
    return now.read() && (now.sets[bit / 32].effective >> (bit % 32) & 1) != 0;
}

void close_inherited_files() {
    // By number: glibc before 2.34 has no close_range. An old kernel leaves them open.
    (void)::syscall(SYS_close_range, 3U, ~0U, 0U);
}

Wall limit_memory(std::uint64_t bytes) {
    if (kSanitizer)
        return {"memory_limit", WallState::missing, "a build with sanitizers takes terabytes"};
    const rlimit limit{bytes, bytes};
    if (::setrlimit(RLIMIT_DATA, &limit) != 0)
        return {"memory_limit", WallState::missing, why("RLIMIT_DATA")};
    return {"memory_limit", WallState::enforced,
            fmt::format("{} MiB for heap and stacks (RLIMIT_DATA)", bytes >> 20)};
}

}  // namespace hd
