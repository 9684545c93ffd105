#include "gateway/daemon/start_anew.hpp"

#include <charconv>
#include <string_view>

#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/base/files.hpp"

namespace hd::daemon {

namespace {
constexpr std::string_view kCount = "HALFDOORD_STARTED_ANEW=";
}  // namespace

StartAnew::StartAnew(char** argv) : argv_(argv) {
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
    std::vector<char*> environment;
    environment.reserve(texts.size() + 1);
    for (std::string& text : texts) environment.push_back(text.data());
    environment.push_back(nullptr);
    // RocksDB's and ZeroMQ's descriptors say so themselves; a foreign library might not.
    (void)::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execve("/proc/self/exe", argv_, environment.data());
    return errno_error(errno, "start halfdoord anew");
}

void reap_forgotten_children() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
}

bool wait_for_signal(int signal_fd, Micros longest) {
    pollfd wait{.fd = signal_fd, .events = POLLIN, .revents = 0};
    return ::poll(&wait, 1, static_cast<int>(longest.count() / 1000)) > 0;
}

}  // namespace hd::daemon
