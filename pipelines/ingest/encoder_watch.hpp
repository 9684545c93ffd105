// Is an encoder keeping up, or has it stopped? Driven by the pictures themselves: no timer. Called
// on several streaming threads. Pure but for its lock, which is a leaf.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "index/base/time.hpp"

namespace hd::ingest {

class EncoderWatch {
  public:
    // A picture came from the camera; `waiting` ones stand before the encoder. The phrase,
    // if the encoder stopped: it will not come back.
    std::optional<std::string> offered(BootTime now, unsigned waiting);
    void prepared(BootTime now);  // the encoder was told the format
    void taken(BootTime now);     // a picture reached the encoder
    void given(BootTime now);     // an encoded one came out

    struct Rates {
        std::uint32_t millihertz_in = 0, millihertz_out = 0;
    };
    // Every five seconds: pictures per 1000 s, from the camera and out of the encoder.
    std::optional<Rates> rates(BootTime now);

    // Hardware opens slowly; a second of silence later is none of a working one.
    static constexpr Micros kFirstPatience = std::chrono::seconds(4);
    static constexpr Micros kPatience = std::chrono::seconds(2);

  private:
    std::mutex mutex_;                     // Guards all that follows.
    std::optional<BootTime> quiet_since_;  // prepared, or the last one given
    bool ever_given_ = false;
    std::uint64_t taken_since_given_ = 0;
    std::optional<BootTime> window_begin_;
    std::uint64_t offered_in_window_ = 0, given_in_window_ = 0;
};

}  // namespace hd::ingest
