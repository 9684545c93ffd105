#include "gateway/daemon/child.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/files.hpp"

namespace hd::daemon {

namespace {

std::vector<std::string> clean_environment(const ChildPlan& plan) {
    std::vector<std::string> out;
    for (const char* name :
         {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_CACHE_HOME", "GST_PLUGIN_PATH",
          "GST_REGISTRY", "GST_DEBUG", "SSL_CERT_FILE", "ASAN_OPTIONS"}) {
        const bool told = std::ranges::any_of(plan.extra_environment, [&](const std::string& text) {
            return text.starts_with(std::string(name) + "=");
        });
        if (const char* value = std::getenv(name); value != nullptr && !told) {
            out.push_back(fmt::format("{}={}", name, value));
        }
    }
    out.insert(out.end(), plan.extra_environment.begin(), plan.extra_environment.end());
    return out;
}

// Between fork and exec of a program with threads only system calls are safe: no memory is taken,
// no lock. False with errno set.
bool become(const ChildUser& user) {
    // What our capabilities would leave to a program of another ordinary user.
    (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (!user.groups.empty() && ::setgroups(user.groups.size(), user.groups.data()) != 0)
        return false;
    if (::setresgid(user.gid, user.gid, user.gid) != 0 ||
        ::setresuid(user.uid, user.uid, user.uid) != 0)
        return false;
    ::umask(007);  // We read, mend and delete its files as its group.
    return true;
}

[[noreturn]] void run_child(const ChildPlan& plan, char* const* argv, char* const* environment,
                            int failure) {
    ::setsid();
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) (void)::sigaction(number, &standard, nullptr);
    sigset_t none;
    sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
    if (!plan.user || become(*plan.user)) {
        (void)::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
        ::execve(plan.program.c_str(), argv, environment);
    }
    const int error = errno;
    (void)!::write(failure, &error, sizeof error);
    ::_exit(127);
}

}  // namespace

std::vector<char*> exec_texts(std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

Result<pid_t> start_child(const ChildPlan& plan) {
    std::vector<std::string> arguments{plan.program};
    arguments.insert(arguments.end(), plan.args.begin(), plan.args.end());
    std::vector<std::string> environment = clean_environment(plan);
    const std::vector<char*> argv = exec_texts(arguments), envp = exec_texts(environment);
    // Closes when the program runs; until then it may bring an errno.
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error(errno, "start " + plan.program);
    const Fd heard(ends[0]);
    Fd said(ends[1]);
    const pid_t pid = ::fork();
    if (pid < 0) return errno_error(errno, "start " + plan.program);
    if (pid == 0) run_child(plan, argv.data(), envp.data(), said.get());
    said = Fd();
    int error = 0;
    ssize_t got = 0;
    do got = ::read(heard.get(), &error, sizeof error);
    while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof error)) return pid;
    (void)::waitpid(pid, nullptr, 0);
    return errno_error(error, "start " + plan.program);
}

// By system call: <sys/pidfd.h> of glibc 2.36 cannot be linked from C++.
Result<ProcessHandle> ProcessHandle::of(pid_t pid) {
    Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // Close-on-exec by its nature.
    if (!fd) return errno_error(errno, fmt::format("open a handle of process {}", pid));
    return ProcessHandle(pid, std::move(fd));
}

bool kernel_can_watch_children() {
    const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    siginfo_t info{};
    // ECHILD: it is no child of ours. EINVAL: the kernel knows no such way to wait.
    return self &&
           ::waitid(P_PIDFD, static_cast<id_t>(self.get()), &info, WEXITED | WNOHANG) != 0 &&
           errno == ECHILD;
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
