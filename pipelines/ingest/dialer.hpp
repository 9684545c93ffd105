// Where a connection to the camera comes from: made here, or by a process that has the network and
// hands over what it connected (dial_process.hpp).
#pragma once

#include <memory>
#include <string>

#include "index/base/clock.hpp"
#include "index/base/files.hpp"
#include "index/base/result.hpp"
#include "pipelines/ingest/udp_ports.hpp"

namespace hd::ingest {

struct DialTarget {
    std::string host;  // a name or an address, without brackets
    std::string port;
    bool udp = false;  // the camera is to send by UDP
    bool operator==(const DialTarget&) const = default;
};

// IPv4, or IPv6 with or without a zone; otherwise a name, which a resolver has to look up.
bool is_address(const std::string& host);

class Dialer {
  public:
    virtual ~Dialer() = default;

    // A connected, non-blocking TCP socket that times what it receives. Waits for it until
    // `deadline`, or until `wake` can be read. unavailable: no connection, in words for a journal.
    // exhausted: this dialer is gone, and there will be none in this process.
    virtual Result<Fd> dial(BootTime deadline, int wake) = 0;

    // For a target with `udp`, on the host of the last dial(): a pair of ports of ours, named by
    // its even one, and then its sockets, connected to the camera's (udp_ports.hpp). Of another
    // dial() no pair is left. Errors as above; both take milliseconds.
    virtual Result<std::uint16_t> reserve_ports(int wake) = 0;
    virtual Result<PortPair> join_ports(std::uint16_t port, CameraPorts camera, int wake) = 0;
};

// Looks the host up and connects from this process, to each of its addresses in turn.
Result<Fd> connect_to(const DialTarget& target, Clock& clock, BootTime deadline, int wake);

class DirectDialer final : public Dialer {
  public:
    DirectDialer(DialTarget target, Clock& clock) : target_(std::move(target)), clock_(clock) {}
    Result<Fd> dial(BootTime deadline, int wake) override {
        HD_ASSIGN(Fd connected, connect_to(target_, clock_, deadline, wake));
        ports_.begin(connected);
        return connected;
    }
    Result<std::uint16_t> reserve_ports(int) override { return ports_.reserve(); }
    Result<PortPair> join_ports(std::uint16_t port, CameraPorts camera, int) override {
        return ports_.join(port, camera);
    }

  private:
    const DialTarget target_;
    Clock& clock_;
    UdpPorts ports_;
};

}  // namespace hd::ingest
