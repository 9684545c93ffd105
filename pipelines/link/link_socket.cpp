#include "pipelines/link/link_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace hd::link {
namespace {

Result<sockaddr_un> address_of(const std::string& path) {
    HD_TRY(check_socket_path(path));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

Result<Fd> new_socket() {
    Fd fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!fd) return errno_error(errno, "link socket");
    // A whole message must fit even on systems with a small default; the kernel doubles this.
    const int bytes = static_cast<int>(4 * kMaxMessageBytes);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return fd;
}

}  // namespace

Result<void> check_socket_path(const std::string& path) {
    constexpr std::size_t kMax = sizeof(sockaddr_un::sun_path) - 1;
    if (path.empty() || path.size() > kMax || path.find('\0') != std::string::npos)
        return Error{ErrorCode::invalid,
                     fmt::format("socket path \"{}\" has {} bytes, 1 to {} are possible: choose a "
                                 "shorter runtime folder",
                                 path.substr(0, 200), path.size(), kMax)};
    return {};
}

Result<LinkChannel> LinkChannel::connect(const std::string& path) {
    HD_ASSIGN(const sockaddr_un address, address_of(path));
    HD_ASSIGN(Fd fd, new_socket());
    // A full backlog answers EAGAIN at once: the caller tries again later, as for a missing daemon.
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
        return errno_error(errno, "connect to " + path);
    return LinkChannel{std::move(fd)};
}

Result<LinkChannel> LinkChannel::connect_from_folder(const std::string& path) {
    const std::string folder = parent_folder(path);
    if (!folder.empty() && ::chdir(folder.c_str()) != 0)
        return errno_error(errno, "enter " + folder);
    return connect(path.substr(path.rfind('/') + 1));
}

LinkChannel::Sent LinkChannel::send(const Message& message) {
    Bytes packet = encode(message);
    ssize_t n = 0;
    do n = ::send(fd_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    const int err = errno;
    wipe(packet);
    if (n >= 0) return Sent::yes;
    if (err == EPIPE || err == ECONNRESET || err == ENOTCONN || err == EBADF) return Sent::closed;
    ++dropped_;
    return Sent::dropped;
}

Result<std::optional<Message>> LinkChannel::receive() {
    // How large the next packet is, without taking it: mostly there is none.
    ssize_t n = 0;
    do n = ::recv(fd_.get(), nullptr, 0, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::optional<Message>{};
    // An oversized packet is taken as far as it shows that it is one; the kernel drops the rest.
    Bytes packet(std::min(static_cast<std::size_t>(std::max<ssize_t>(n, 0)), kMaxMessageBytes) + 1);
    do n = ::recv(fd_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::optional<Message>{};
    if (n < 0) return errno_error(errno, "link receive").in("link");
    if (n == 0) return Error{ErrorCode::unavailable, "link: the other end closed"};
    const ByteView view{packet.data(), static_cast<std::size_t>(n)};
    auto message = decode(view);
    wipe(std::span(packet).first(view.size()));
    if (!message) return message.error();
    return std::optional<Message>{std::move(message).value()};
}

Result<Peer> LinkChannel::peer() const {
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
        return errno_error(errno, "link peer");
    return Peer{who.pid, who.uid, who.gid};
}

Result<LinkListener> LinkListener::bind(Options options) {
    HD_ASSIGN(const sockaddr_un address, address_of(options.path));
    HD_ASSIGN(Fd fd, new_socket());
    // Two daemons at once are prevented by the daemon's own lock; what lies here is a leftover.
    struct stat st {};
    if (::lstat(options.path.c_str(), &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return Error{ErrorCode::invalid, options.path + " exists and is not a socket"};
        ::unlink(options.path.c_str());
    }
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return errno_error(errno, "bind " + options.path);
    if (::chmod(options.path.c_str(), 0660) != 0)
        return errno_error(errno, "chmod " + options.path);
    if (::listen(fd.get(), options.backlog) != 0)
        return errno_error(errno, "listen " + options.path);
    return LinkListener{std::move(fd), std::move(options)};
}

LinkListener::~LinkListener() {
    if (fd_) ::unlink(options_.path.c_str());
}

Result<std::optional<LinkChannel>> LinkListener::accept() {
    int raw = -1;
    do raw = ::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (raw < 0 && errno == EINTR);
    if (raw < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED))
        return std::optional<LinkChannel>{};
    if (raw < 0) return errno_error(errno, "link accept");
    LinkChannel channel{Fd{raw}};
    HD_ASSIGN(const Peer peer, channel.peer());
    const auto& allowed = options_.allowed_users;
    const bool own = peer.uid == ::geteuid() || peer.uid == 0;
    const bool listed = std::find(allowed.begin(), allowed.end(), peer.uid) != allowed.end();
    if (!listed && !(allowed.empty() && own))
        return Error{ErrorCode::refused,
                     fmt::format("link: user {} (process {}) may not connect", peer.uid, peer.pid)};
    return std::optional<LinkChannel>{std::move(channel)};
}

}  // namespace hd::link
