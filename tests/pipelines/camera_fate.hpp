// Chance in the life of a hub (tests/pipelines/camera_days.hpp): camera, disk, clock, processes and
// power come and go.
#pragma once

#include <functional>
#include <random>

#include "tests/pipelines/camera_days.hpp"

namespace hd::test {

struct Fate {
    std::uint64_t seed = 1;
    bool clock_steps = true;
    bool clock_known = false;            // at each boot; else some begin without
    std::function<void()> look = [] {};  // after each thing that happened
};

// From 1 to `usual`, or what HALFDOOR_SEEDS=<first>,<count> says: the long form.
struct Seeds {
    std::uint64_t first, count;
};
Seeds seeds_to_live(std::uint64_t usual);

// Forty strokes of fate with up to 45 s between them, then a minute without and an orderly end.
void live_through(CameraDays& days, const Fate& fate);

}  // namespace hd::test
