// The plain bytes of a piece of kind `activity`: how much of the picture changed from key frame to
// key frame. docs/formats/clip.md. Always the same size, so that the sealed piece says nothing.
#pragma once

#include <optional>
#include <vector>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::clip {

struct ActivityScore {
    BootTime at;  // the key frame's pts
    // Blocks of the picture that changed since the key frame before, of a thousand, rounded up.
    // Nothing: there was no key frame to compare with.
    std::optional<std::uint16_t> changed;
    bool operator==(const ActivityScore&) const = default;
};

constexpr std::size_t kMostActivityScores = 4;
struct Activity {
    std::vector<ActivityScore> scores;  // oldest first, at most kMostActivityScores
    std::uint8_t skipped = 0;           // key frames without a score; 255 stands for more too
    bool operator==(const Activity&) const = default;
};

constexpr std::size_t kActivityBytes = 68;
// A box of MP4 that players pass over: whoever joins all opened pieces still has a film.
Bytes encode_activity(const Activity& activity);
Result<Activity> decode_activity(ByteView in);

}  // namespace hd::clip
