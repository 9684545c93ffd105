// Both ends of a dialer in a process of its own: the recorder's, which asks for connections, and
// the loop of the process that makes them.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "pipelines/ingest/dial_messages.hpp"

namespace hd::ingest {

// One thread at a time.
class SocketDialer final : public Dialer {
  public:
    SocketDialer(Fd control, Clock& clock) : control_(std::move(control)), clock_(clock) {}

    // Where it shall connect, once, before the first byte of the camera. What the dialer gave up
    // then.
    Result<Wall> aim(const DialTarget& target, BootTime deadline);
    Result<Fd> dial(BootTime deadline, int wake) override;
    Result<std::uint16_t> reserve_ports(int wake) override;
    Result<PortPair> join_ports(std::uint16_t port, CameraPorts camera, int wake) override;

  private:
    struct Received {
        DialReply reply;
        std::vector<Fd> sockets;
    };
    bool send(const DialRequest& request);
    // Nothing: time is up, or `wake` can be read. Fails if the dialer is gone.
    Result<std::optional<Received>> receive(BootTime until, int wake);
    void never_mind(BootTime now);
    // The answer to what was asked under number_. Errors as of dial().
    template <typename Reply>
    Result<std::pair<Reply, std::vector<Fd>>> answer(BootTime until, int wake);

    const Fd control_;
    Clock& clock_;
    std::uint32_t number_ = 0;
};

// What the dialer's process does until the recorder is gone, or the system's files about names are
// others than those that it was confined to (the next process has the right to them). `confine`
// gives up what is not needed to connect there.
void serve_dials(const Fd& control, Clock& clock,
                 const std::function<Wall(const DialTarget&)>& confine);

}  // namespace hd::ingest
