#include "gateway/daemon/child.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/files.hpp"

namespace hd::daemon {

namespace {

struct SpawnAttributes {
    posix_spawnattr_t value{};
    SpawnAttributes() { posix_spawnattr_init(&value); }
    ~SpawnAttributes() { posix_spawnattr_destroy(&value); }
    SpawnAttributes(const SpawnAttributes&) = delete;
    SpawnAttributes& operator=(const SpawnAttributes&) = delete;
};

std::vector<std::string> clean_environment(const ChildPlan& plan) {
    std::vector<std::string> out;
    for (const char* name : {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_CACHE_HOME",
                             "GST_PLUGIN_PATH", "GST_REGISTRY", "GST_DEBUG", "ASAN_OPTIONS"}) {
        if (const char* value = std::getenv(name); value != nullptr) {
            out.push_back(fmt::format("{}={}", name, value));
        }
    }
    out.insert(out.end(), plan.extra_environment.begin(), plan.extra_environment.end());
    return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

}  // namespace

Result<pid_t> start_child(const ChildPlan& plan) {
    SpawnAttributes attributes;
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes.value, &none);
    posix_spawnattr_setsigdefault(&attributes.value, &all);
    posix_spawnattr_setflags(&attributes.value,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);

    std::vector<std::string> argv{plan.program};
    argv.insert(argv.end(), plan.args.begin(), plan.args.end());
    std::vector<std::string> environment = clean_environment(plan);
    pid_t pid = 0;
    const int rc = ::posix_spawn(&pid, plan.program.c_str(), nullptr, &attributes.value,
                                 pointers(argv).data(), pointers(environment).data());
    if (rc != 0) return errno_error(rc, "start " + plan.program);
    return pid;
}

// By system call: <sys/pidfd.h> of glibc 2.36 cannot be linked from C++.
Result<ProcessHandle> ProcessHandle::of(pid_t pid) {
    Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // Close-on-exec by its nature.
    if (!fd) return errno_error(errno, fmt::format("open a handle of process {}", pid));
    return ProcessHandle(pid, std::move(fd));
}

bool ProcessHandle::ended() const {
    pollfd wait{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, 0) == 1;
}

void ProcessHandle::signal(int number) const {
    (void)::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0);
}

std::string ProcessHandle::reap() const {
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &info, WEXITED | WNOHANG) != 0 ||
        info.si_pid == 0) {
        return "ended";
    }
    if (info.si_code == CLD_EXITED) return fmt::format("exit code {}", info.si_status);
    const char* name = ::sigdescr_np(info.si_status);
    return fmt::format("signal {} ({})", info.si_status, name != nullptr ? name : "unknown");
}

Result<std::string> find_program(const std::string& name, const std::string& folder) {
    std::vector<std::string> tried;
    if (!folder.empty()) {
        tried.push_back(join(folder, name));
    } else {
        std::array<char, 4096> own{};
        const ssize_t size = ::readlink("/proc/self/exe", own.data(), own.size() - 1);
        if (size <= 0) return errno_error(errno, "read /proc/self/exe");
        const std::string beside =
            parent_folder(std::string_view(own.data(), static_cast<std::size_t>(size)));
        tried.push_back(join(beside, name));
        tried.push_back(join(beside, "../libexec/halfdoor/" + name));
        // In a build folder each program stands in the folder of its room.
        tried.push_back(join(beside, "../../pipelines/record/" + name));
        tried.push_back(join(beside, "../gate/" + name));
    }
    std::string where;
    for (const std::string& path : tried) {
        if (::access(path.c_str(), X_OK) == 0) return path;
        where += (where.empty() ? "" : ", ") + path;
    }
    return Error{ErrorCode::not_found, fmt::format("no program {}: looked for {}", name, where)};
}

}  // namespace hd::daemon
