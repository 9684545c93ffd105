#include "pipelines/ingest/dialer.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

namespace hd::ingest {
namespace {

// Of several addresses of a host name each gets its chance.
constexpr Micros kConnectPatience = std::chrono::seconds(3);

struct AddressesFree {
    void operator()(addrinfo* a) const { ::freeaddrinfo(a); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesFree>;

Result<Addresses> look_up(const DialTarget& target) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
    addrinfo* raw = nullptr;
    const int rc = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &raw);
    if (rc != 0 || raw == nullptr)
        return Error{ErrorCode::unavailable,
                     fmt::format("camera's address: {}", ::gai_strerror(rc))};
    return Addresses(raw);
}

// 0, or an errno; ECANCELED if `wake` could be read.
int wait_connected(const Fd& socket, Micros patience, int wake) {
    std::array<pollfd, 2> fds{pollfd{socket.get(), POLLOUT, 0}, pollfd{wake, POLLIN, 0}};
    const auto ms = std::max<std::int64_t>(0, patience.count() / 1000);
    int ready = 0;
    do ready = ::poll(fds.data(), 2, static_cast<int>(ms));
    while (ready < 0 && errno == EINTR);
    if (ready > 0 && fds[0].revents == 0) return ECANCELED;
    int error = ETIMEDOUT;
    socklen_t error_size = sizeof error;
    if (ready > 0) ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
    return error;
}

int connect_one(const addrinfo& address, Micros patience, int wake, Fd& out) {
    Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return errno;
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // For the times of what is received; without it they are those of the reads.
    ::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    // A camera that lost its power says nothing, and our few bytes may not be missed for hours.
    ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
        if (errno != EINPROGRESS) return errno;
        if (const int error = wait_connected(fd, patience, wake); error != 0) return error;
    }
    out = std::move(fd);
    return 0;
}

}  // namespace

bool is_address(const std::string& host) {
    in6_addr bytes{};
    return ::inet_pton(AF_INET, host.c_str(), &bytes) == 1 ||
           ::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &bytes) == 1;
}

Result<Fd> connect_to(const DialTarget& target, Clock& clock, BootTime deadline, int wake) {
    HD_ASSIGN(const Addresses all, look_up(target));
    int error = ETIMEDOUT;
    for (const addrinfo* a = all.get(); a != nullptr && error != ECANCELED; a = a->ai_next) {
        const Micros patience = std::min(kConnectPatience, deadline - clock.boot());
        Fd fd;
        error = connect_one(*a, patience, wake, fd);
        if (error == 0) return fd;
    }
    Error words = errno_error(error, "connect");
    words.code = ErrorCode::unavailable;
    return words;
}

}  // namespace hd::ingest
