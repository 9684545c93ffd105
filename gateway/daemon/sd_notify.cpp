#include "gateway/daemon/sd_notify.hpp"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

namespace hd::daemon {

SdNotify SdNotify::from_environment() {
    SdNotify out;
    if (const char* usec = std::getenv("WATCHDOG_USEC"); usec != nullptr) {
        std::int64_t value = 0;
        const std::string_view text(usec);
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
        if (parsed.ec == std::errc{} && value > 0) out.watchdog_ = Micros(value / 2);
    }
    if (const char* path = std::getenv("NOTIFY_SOCKET"); path != nullptr) {
        const std::string_view text(path);
        if (text.size() > 1 && text.size() < sizeof(sockaddr_un::sun_path) &&
            (text[0] == '/' || text[0] == '@')) {
            out.address_ = std::string(text);
            out.socket_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        }
    }
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
    return out;
}

void SdNotify::send(std::string_view message) {
    if (!socket_) return;
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, address_.data(), address_.size());
    if (to.sun_path[0] == '@') to.sun_path[0] = '\0';  // An abstract name.
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
    (void)::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL,
                   reinterpret_cast<const sockaddr*>(&to), length);
}

}  // namespace hd::daemon
