// Puts RTP packets back in order that a camera, or the network, sent a little out of it. Pure. In
// order, which is nearly always, nothing is copied and nothing waits.
#pragma once

#include <optional>
#include <vector>

#include "pipelines/ingest/rtp_packet.hpp"

namespace hd::ingest {

class ReorderBuffer {
  public:
    // A key frame of 2 Mbit/s video is some 50 packets: what a connection does not bring for longer
    // than one is lost.
    static constexpr std::size_t kMostOfConnection = 64;
    // By UDP what is lost comes no sooner, and order is the network's: some 0.2 s of 20 Mbit/s.
    static constexpr std::size_t kMostOfDatagrams = 384;
    // `patience`: how long a packet waits for those that should come before it; `most`: how many.
    explicit ReorderBuffer(Micros patience, std::size_t most = kMostOfConnection)
        : patience_(patience), most_(most) {}

    // True: the packet is to be used now, then whatever release() gives. False: it was copied and
    // waits. `whole` is the packet that `packet` was parsed from.
    bool take(const RtpPacket& packet, ByteView whole, BootTime arrival);

    struct Held {
        Bytes whole;
        BootTime arrival;
        std::uint16_t sequence = 0;
    };
    // The next packet that need not wait any longer: its turn has come, or what it waits for is
    // lost. Call until it gives nothing.
    std::optional<Held> release(BootTime now);

    void restart();  // another stream

  private:
    const Micros patience_;
    const std::size_t most_;
    std::optional<std::uint16_t> next_;
    std::vector<Held> held_;  // by sequence; empty most of the time
};

}  // namespace hd::ingest
