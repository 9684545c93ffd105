// Pairs of UDP ports for RTP and its RTCP (RFC 3550, 11: an even one and the next), between this
// machine and one camera. A pair is reserved first, because the camera is asked to send there, and
// connected when the camera has said from where it sends.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <sys/socket.h>

#include "index/base/files.hpp"
#include "index/base/result.hpp"

namespace hd::ingest {

// From where a camera sends. 0: it did not say; it may be any port of its host then, and nothing is
// sent there.
struct CameraPorts {
    std::uint16_t rtp = 0, rtcp = 0;
    bool operator==(const CameraPorts&) const = default;
};

// Connected, non-blocking, with the kernel's time stamps and its count of what it had to drop:
// nothing comes out of them but what the camera's host sent.
struct PortPair {
    Fd rtp, rtcp;
};

class UdpPorts {
  public:
    static constexpr std::size_t kMaxPairs = 2;  // video and sound

    // The host at the other end of this connection is the camera from now on. Forgets all pairs.
    void begin(const Fd& connection);
    // The even port. invalid: there is no camera, or there are kMaxPairs.
    Result<std::uint16_t> reserve();
    // Takes the pair out. What came before from wherever is thrown away. invalid: no such pair, or
    // a port of the camera below 1024, where no camera sends from and other services listen.
    Result<PortPair> join(std::uint16_t port, CameraPorts camera);

  private:
    struct Address {
        sockaddr_storage bytes{};
        socklen_t size = 0;
    };
    static Address with_port(Address address, std::uint16_t port);
    Result<Fd> open_port(std::uint16_t port) const;

    struct Pair {
        PortPair sockets;
        std::uint16_t port = 0;
    };
    Address here_, camera_;
    std::vector<Pair> pairs_;
};

}  // namespace hd::ingest
