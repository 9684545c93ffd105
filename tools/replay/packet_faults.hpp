// What happens to a camera's RTP packets and sender reports on their way. Pure: the same seed,
// faults and packets give the same result. One thread at a time.
#pragma once

#include <optional>
#include <random>
#include <span>
#include <vector>

#include "index/base/bytes.hpp"
#include "tools/replay/fault.hpp"
#include "tools/replay/timeline.hpp"

namespace hd::replay {

class PacketFaults {
  public:
    explicit PacketFaults(std::uint64_t seed) : random_(seed) {}

    // A fault of a kind that concerns packets begins.
    void begin(const Fault& fault, Tick now);
    // Else pass() would change nothing.
    bool active() const { return active_; }

    // Appends what becomes of this RTP packet; nothing, if it is lost or comes later.
    void pass(Bytes packet, Tick now, std::vector<Bytes>& out);
    // Changes an RTCP packet of the camera in place.
    void pass_report(std::span<std::uint8_t> rtcp, Tick now) const;

  private:
    struct Share {
        double percent = 0;
        Tick until{0};
    };
    bool hit(const Share& share, Tick now);
    void shift_time(Bytes& packet, Tick now);
    std::size_t up_to(std::size_t most);  // 0..most, each as likely

    std::mt19937_64 random_;
    bool active_ = false;
    Share loss_, reorder_, truncate_, garble_;
    // Added to RTP timestamps, in ticks of 90 kHz.
    double shift_ = 0;
    double drift_ppm_ = 0;
    Tick drift_until_{0};
    std::optional<std::uint32_t> last_timestamp_;
    std::int64_t ntp_shift_s_ = 0;
    Tick silent_until_{0};
    std::vector<Bytes> held_;
    std::size_t held_for_ = 0;  // packets that still overtake
};

}  // namespace hd::replay
