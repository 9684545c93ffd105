// Counts the frame numbers that halfdoor-replay --counter put into a stream. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/replay/annexb.hpp"

namespace hd::dev {

struct FrameGap {
    std::uint64_t after = 0;    // the last number before it
    std::uint64_t missing = 0;  // how many are not there
    std::string where;          // the file in which it was noticed
    // When the frames beside it were sent, UTC. What is missing would have been sent between.
    std::uint64_t sent_before_ns = 0, sent_after_ns = 0;
};

// Frames in decode order, of one camera.
class FrameTally {
  public:
    void add(ByteView access_unit, bool key, const std::string& where);

    std::uint64_t packets = 0, counted = 0, key_frames = 0;
    std::uint64_t missing = 0;   // numbers between the first and the last that never came
    std::uint64_t repeated = 0;  // numbers not larger than the one before
    std::optional<std::uint64_t> first, last;
    std::uint64_t first_sent_ns = 0, last_sent_ns = 0;  // of those two
    std::vector<FrameGap> gaps;                         // the first kMaxGaps

    static constexpr std::size_t kMaxGaps = 10'000;
    // Every packet has a number, none is missing, none comes twice.
    bool complete() const {
        return counted > 0 && counted == packets && missing == 0 && repeated == 0;
    }
};

}  // namespace hd::dev
