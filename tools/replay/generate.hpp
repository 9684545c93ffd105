// Footage out of nothing: moving shapes and a burnt-in frame number, encoded once at the start.
#pragma once

#include "tools/replay/footage.hpp"

namespace hd::replay {

// "h264:1280x720@25" (or h265, or mjpeg) and, after that, any of ":gop=50" (frames), ":kbit=2000"
// (per second),
// ":bframes=2", ":seconds=8" (length of the loop), ":audio=aac" (or opus, pcma, pcmu: a tone).
struct Recipe {
    VideoCodec codec = VideoCodec::h264;
    int width = 0, height = 0;
    int rate = 25;  // frames per second
    int gop = 0;    // frames; 0: two seconds
    int kbit = 0;   // per second; 0: about 2000 for 1280x720 at 25, by area and rate
    int bframes = 0;
    int seconds = 8;
    std::optional<AudioCodec> audio;
};

// Comma-separated recipes. invalid: names the recipe and the rule.
Result<std::vector<Recipe>> parse_recipes(std::string_view text);

// Takes about a second of CPU for a second of 1280x720. `name` as in Footage. unavailable: this
// libavcodec has no such encoder.
Result<Footage> generate_footage(const Recipe& recipe, std::string name);

}  // namespace hd::replay
