#include "pipelines/ingest/udp_ports.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>

namespace hd::ingest {
namespace {

// Half of the free ports are odd, and the other one of a pair may be in use.
constexpr int kTries = 64;
constexpr std::uint16_t kLeastCameraPort = 1024;
// As much as the system gives (net.core.rmem_max): a key frame comes in one burst.
constexpr int kReceiveBytes = 2 << 20;
// What strangers sent before the socket was connected; more than a socket's buffer holds.
constexpr int kMaxStale = 65'536;

std::uint16_t port_of(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

const sockaddr* as_address(const sockaddr_storage& bytes) {
    return reinterpret_cast<const sockaddr*>(&bytes);
}

void throw_away(const Fd& fd) {
    for (int i = 0; i < kMaxStale; ++i) {
        std::uint8_t byte = 0;
        if (::recv(fd.get(), &byte, sizeof byte, MSG_DONTWAIT) < 0 && errno != ECONNREFUSED) return;
    }
}

}  // namespace

UdpPorts::Address UdpPorts::with_port(Address address, std::uint16_t port) {
    if (address.bytes.ss_family == AF_INET6)
        reinterpret_cast<sockaddr_in6&>(address.bytes).sin6_port = htons(port);
    else
        reinterpret_cast<sockaddr_in&>(address.bytes).sin_port = htons(port);
    return address;
}

void UdpPorts::begin(const Fd& connection) {
    pairs_.clear();
    here_.size = camera_.size = sizeof(sockaddr_storage);
    const bool known = ::getsockname(connection.get(), reinterpret_cast<sockaddr*>(&here_.bytes),
                                     &here_.size) == 0 &&
                       ::getpeername(connection.get(), reinterpret_cast<sockaddr*>(&camera_.bytes),
                                     &camera_.size) == 0;
    if (!known) here_ = camera_ = {};
}

Result<Fd> UdpPorts::open_port(std::uint16_t port) const {
    Fd fd(::socket(here_.bytes.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return errno_error(errno, "UDP socket");
    const Address where = with_port(here_, port);
    if (::bind(fd.get(), as_address(where.bytes), where.size) != 0)
        return errno_error(errno, "UDP port");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof kReceiveBytes);
    return fd;
}

Result<std::uint16_t> UdpPorts::reserve() {
    if (camera_.size == 0 || pairs_.size() >= kMaxPairs)
        return Error{ErrorCode::invalid, "no UDP ports without a camera, or for a third track"};
    for (int i = 0; i < kTries; ++i) {
        HD_ASSIGN(Fd first, open_port(0));
        Address bound{{}, sizeof(sockaddr_storage)};
        ::getsockname(first.get(), reinterpret_cast<sockaddr*>(&bound.bytes), &bound.size);
        const std::uint16_t port = port_of(bound.bytes);
        const bool even = port % 2 == 0;
        if (port < kLeastCameraPort || port == UINT16_MAX) continue;
        auto second = open_port(static_cast<std::uint16_t>(even ? port + 1 : port - 1));
        if (!second) continue;
        Pair pair{{std::move(first), std::move(*second)}, port};
        if (!even) {
            std::swap(pair.sockets.rtp, pair.sockets.rtcp);
            --pair.port;
        }
        pairs_.push_back(std::move(pair));
        return pairs_.back().port;
    }
    return Error{ErrorCode::exhausted, "no free pair of UDP ports"};
}

Result<PortPair> UdpPorts::join(std::uint16_t port, CameraPorts camera) {
    const auto at = std::ranges::find(pairs_, port, &Pair::port);
    const auto allowed = [](std::uint16_t p) { return p == 0 || p >= kLeastCameraPort; };
    if (at == pairs_.end()) return Error{ErrorCode::invalid, "no such pair of UDP ports"};
    if (!allowed(camera.rtp) || !allowed(camera.rtcp))
        return Error{ErrorCode::invalid, "camera sends from a UDP port below 1024"};
    PortPair out = std::move(at->sockets);
    pairs_.erase(at);
    for (const auto& [fd, peer] : {std::pair(&out.rtp, camera.rtp), {&out.rtcp, camera.rtcp}}) {
        const Address there = with_port(camera_, peer);
        // Without a port the kernel goes by the host alone.
        if (::connect(fd->get(), as_address(there.bytes), there.size) != 0)
            return errno_error(errno, "UDP to the camera");
        throw_away(*fd);
    }
    return out;
}

}  // namespace hd::ingest
