#include "index/base/syscall_filter.hpp"

#include <cerrno>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "index/base/sanitizer.hpp"

#if HD_SANITIZER
// LeakSanitizer looks through /proc and ptrace, which a confined process may not.
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1; }
#endif

namespace hd {
namespace {

// What the C++ runtime, glibc, our rooms, GLib, GStreamer and libzmq live on. Names that an
// architecture does not have are passed over.
constexpr const char* kAllowed[] = {
    // files: which ones is Landlock's and the modes' matter
    "read", "write", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "preadv2",
    "pwritev2", "open", "openat", "close", "fstat", "stat", "lstat", "newfstatat", "statx",
    "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
    "getdents64", "getcwd", "chdir", "lseek", "mkdir", "mkdirat", "rename", "renameat", "renameat2",
    "unlink", "unlinkat", "rmdir", "truncate", "ftruncate", "fallocate", "fadvise64", "fsync",
    "fdatasync", "sync_file_range", "sync_file_range2", "flock", "fcntl", "dup", "dup2", "dup3",
    "umask", "memfd_create", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    "copy_file_range", "sendfile",
    // waiting
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "pipe", "pipe2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4", "nanosleep",
    "clock_nanosleep", "restart_syscall",
    // memory
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "mincore", "mlock", "munlock",
    "msync", "membarrier", "get_mempolicy",
    // threads (clone is looked at more closely below)
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "set_tid_address",
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler",
    "sched_getattr", "sched_get_priority_max", "sched_get_priority_min", "getpriority", "getcpu",
    "sched_setscheduler", "sched_setparam",  // libzmq sets the policy that a thread has anyway
    "arch_prctl", "exit", "exit_group",
    // signals to itself
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend",
    "rt_sigtimedwait", "sigaltstack",
    // time, facts about itself
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "adjtimex", "clock_adjtime",
    "getrusage", "getrlimit", "sysinfo", "uname", "getpid", "gettid", "getppid", "getpgid",
    "getpgrp", "getsid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid",
    "getresgid", "capget", "getrandom",
    // sockets (making, connecting and sending are looked at more closely below)
    "bind", "getsockname", "getpeername", "getsockopt", "setsockopt", "recv", "recvfrom", "recvmsg",
    "recvmmsg", "shutdown", "socketpair"};

constexpr const char* kDeadly[] = {"execve",
                                   "execveat",
                                   "ptrace",
                                   "process_vm_readv",
                                   "process_vm_writev",
                                   "process_madvise",
                                   "pidfd_getfd",
                                   "kcmp",
                                   "mount",
                                   "umount2",
                                   "move_mount",
                                   "fsopen",
                                   "fsmount",
                                   "open_tree",
                                   "pivot_root",
                                   "chroot",
                                   "setns",
                                   "unshare",
                                   "init_module",
                                   "finit_module",
                                   "delete_module",
                                   "kexec_load",
                                   "kexec_file_load",
                                   "bpf",
                                   "perf_event_open",
                                   "userfaultfd",
                                   "add_key",
                                   "keyctl",
                                   "request_key",
                                   "open_by_handle_at",
                                   "io_uring_setup",
                                   "swapon",
                                   "swapoff",
                                   "reboot",
                                   "settimeofday",
                                   "clock_settime",
                                   "sethostname",
                                   "setdomainname",
                                   "acct",
                                   "quotactl",
                                   "syslog",
                                   "iopl",
                                   "ioperm",
                                   "modify_ldt",
                                   "personality",
                                   "setuid",
                                   "setgid",
                                   "setreuid",
                                   "setregid",
                                   "setresuid",
                                   "setresgid",
                                   "setfsuid",
                                   "setfsgid",
                                   "setgroups",
                                   "capset"};

// The letter that stands for a driver in its ioctl numbers: V4L2 and media, DRM, DMA buffers and
// heaps, sync files, NVIDIA's, Rockchip's. Not T: typing into a terminal is among them.
constexpr std::string_view kDeviceKinds = "V|dbH>INGFAvr";

// How much waits, blocking or not, is it a terminal, the number of a network card (the zone of an
// IPv6 address).
constexpr unsigned kHarmlessRequests[] = {FIONREAD, FIONBIO, TCGETS, SIOCGIFINDEX};

struct FilterRelease {
    void operator()(void* filter) const { seccomp_release(filter); }
};

class Filter {
  public:
    explicit Filter(std::uint32_t otherwise) : filter_(seccomp_init(otherwise)) {}
    bool good() const { return filter_ != nullptr && error_ == 0; }
    int error() const { return filter_ ? error_ : ENOMEM; }

    void rule(std::uint32_t action, const char* name, const std::vector<scmp_arg_cmp>& where = {}) {
        if (!good()) return;
        const int number = seccomp_syscall_resolve_name(name);
        if (number < 0) return;  // Not on this architecture, or newer than the library.
        if (const int rc = seccomp_rule_add_array(
                filter_.get(), action, number, static_cast<unsigned>(where.size()), where.data());
            rc != 0)
            error_ = -rc;
    }
    void allow(const char* name, const std::vector<scmp_arg_cmp>& where = {}) {
        rule(SCMP_ACT_ALLOW, name, where);
    }
    void load() {
        if (!good()) return;
        // All threads, and a foreign architecture's calls die too (libseccomp's default).
        if (seccomp_attr_set(filter_.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0) return;
        if (const int rc = seccomp_load(filter_.get()); rc != 0) error_ = -rc;
    }

  private:
    std::unique_ptr<void, FilterRelease> filter_;
    int error_ = 0;
};

scmp_arg_cmp is(unsigned arg, std::uint64_t value) { return {arg, SCMP_CMP_EQ, value, 0}; }
scmp_arg_cmp masked(unsigned arg, std::uint64_t mask, std::uint64_t value) {
    return {arg, SCMP_CMP_MASKED_EQ, mask, value};
}

// A connection that it was given could be taken apart and made anew to another host; the address of
// any host has 16 bytes and more, and a socket in the present folder can be named with less. A
// datagram goes wherever an address beside it says, connected or not: so nothing is sent with one,
// and not by the calls that hide it in memory.
void allow_given_sockets(Filter& filter) {
    filter.allow("connect", {{2, SCMP_CMP_LT, sizeof(sockaddr_in), 0}});
    filter.allow("sendto", {masked(3, MSG_FASTOPEN, 0), is(4, 0)});
    filter.allow("send", {masked(3, MSG_FASTOPEN, 0)});  // 32-bit ARM has it
}

void allow_sockets(Filter& filter, const SyscallRights& rights) {
    constexpr std::uint64_t kType = 0xf;  // The rest are SOCK_CLOEXEC and SOCK_NONBLOCK.
    filter.allow("socket", {is(0, AF_UNIX)});
    if (!rights.internet) return allow_given_sockets(filter);
    for (const char* name : {"connect", "send", "sendto", "sendmsg", "sendmmsg"})
        filter.allow(name);
    for (const int family : {AF_INET, AF_INET6}) {
        const auto domain = is(0, static_cast<std::uint64_t>(family));
        filter.allow("socket", {domain, masked(1, kType, SOCK_STREAM)});
        if (rights.udp) filter.allow("socket", {domain, masked(1, kType, SOCK_DGRAM)});
    }
    // The resolver asks which addresses this machine has.
    filter.allow("socket", {is(0, AF_NETLINK), is(2, NETLINK_ROUTE)});
    if (!rights.listen) return;
    for (const char* name : {"listen", "accept", "accept4"}) filter.allow(name);
}

// Calls that are harmless with some arguments only.
void allow_by_argument(Filter& filter, const SyscallRights& rights) {
    const auto own = static_cast<std::uint64_t>(::getpid());
    filter.allow("tgkill", {is(0, own)});  // abort() and raise()
    filter.allow("kill", {is(0, own)});
    filter.allow("clone", {masked(0, CLONE_THREAD, CLONE_THREAD)});
    filter.allow("prlimit64", {is(2, 0)});  // to read
    for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE,
                             PR_GET_NO_NEW_PRIVS, PR_CAPBSET_READ, PR_SET_TIMERSLACK})
        filter.allow("prctl", {is(0, static_cast<std::uint64_t>(option))});
    constexpr std::uint64_t kNumber = 0xffffffff;  // The kernel looks at 32 bits of a request.
    for (const unsigned request : kHarmlessRequests)
        filter.allow("ioctl", {masked(1, kNumber, request)});
    if (!rights.devices) return;
    for (const char kind : kDeviceKinds)
        filter.allow("ioctl", {masked(1, 0xff00, static_cast<std::uint64_t>(kind) << 8)});
}

// Without effect where nobody refuses it: to become nobody else.
bool user_changes_refused() {
#ifdef SYS_setresuid32
    constexpr long kCall = SYS_setresuid32;
#else
    constexpr long kCall = SYS_setresuid;
#endif
    return ::syscall(kCall, -1L, -1L, -1L) != 0 && errno == EPERM;
}

}  // namespace

Wall restrict_system_calls(const SyscallRights& rights) {
    if (kSanitizer)
        return {"system_calls", WallState::missing, "a build with sanitizers needs more calls"};
    Filter filter(SCMP_ACT_ERRNO(ENOSYS));
    for (const char* name : kAllowed) filter.allow(name);
    for (const char* name : kDeadly) filter.rule(SCMP_ACT_KILL_PROCESS, name);
    allow_sockets(filter, rights);
    allow_by_argument(filter, rights);
    filter.load();
    if (!filter.good())
        return {"system_calls", WallState::missing,
                fmt::format("seccomp: {}", ::strerror(filter.error()))};
    return {"system_calls", WallState::enforced,
            fmt::format("seccomp: a list; no program can be started{}", !rights.internet
                                                                            ? ", no connection made"
                                                                        : rights.udp ? ""
                                                                                     : ", no UDP")};
}

Wall restrict_user_changes(unsigned uid) {
    const std::string words =
        fmt::format("halfdoord can become user {} (its recorders) and no other", uid);
    // A filter outlives exec, and there is room for some hundred of them.
    if (user_changes_refused()) return {"daemon.become", WallState::enforced, words};
    Filter filter(SCMP_ACT_ALLOW);
    constexpr std::uint32_t kNo = SCMP_ACT_ERRNO(EPERM);
    for (const char* name : {"setuid", "setreuid", "setfsuid", "setuid32", "setreuid32"})
        filter.rule(kNo, name);
    for (const char* name : {"setresuid", "setresuid32"})
        for (unsigned arg = 0; arg < 3; ++arg) filter.rule(kNo, name, {{arg, SCMP_CMP_NE, uid, 0}});
    filter.load();
    if (!filter.good())
        return {"daemon.become", WallState::missing,
                fmt::format("seccomp: {}", ::strerror(filter.error()))};
    return {"daemon.become", WallState::enforced, words};
}

}  // namespace hd
