#include "gateway/daemon/start_anew.hpp"

#include <charconv>
#include <string_view>

#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/daemon/child.hpp"
#include "index/base/files.hpp"

namespace hd::daemon {
namespace {

constexpr std::string_view kCount = "HALFDOORD_STARTED_ANEW=";

}  // namespace

StartAnew::StartAnew(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        if (!text.starts_with(kCount)) {
            environment_.emplace_back(text);
            continue;
        }
        const std::string_view digits = text.substr(kCount.size());
        (void)std::from_chars(digits.data(), digits.data() + digits.size(), restarts_);
    }
}

Error StartAnew::start(unsigned restarts) const {
    std::vector<std::string> texts = environment_;
    texts.push_back(fmt::format("{}{}", kCount, restarts));
    std::vector<std::string> arguments = arguments_;
    // RocksDB's and ZeroMQ's descriptors say so themselves; a foreign library might not.
    (void)::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execve("/proc/self/exe", exec_texts(arguments).data(), exec_texts(texts).data());
    return errno_error(errno, "start halfdoord anew");
}

void reap_forgotten_children() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
}

int wait_for_signal(int signal_fd, Micros longest) {
    pollfd wait{.fd = signal_fd, .events = POLLIN, .revents = 0};
    signalfd_siginfo info{};
    if (::poll(&wait, 1, static_cast<int>(longest.count() / 1000)) <= 0) return 0;
    if (::read(signal_fd, &info, sizeof info) != sizeof info) return 0;
    return static_cast<int>(info.ssi_signo);
}

}  // namespace hd::daemon
