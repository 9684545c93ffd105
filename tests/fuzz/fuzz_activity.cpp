// Invariants checked, on any bytes: what decodes encodes to the same bytes, of the one size, and
// claims no more blocks than a picture has.
#include <cstdint>

#include "index/base/check.hpp"
#include "index/clip/activity.hpp"

using namespace hd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in(data, size);
    const auto activity = clip::decode_activity(in);
    if (!activity) {
        HD_CHECK(activity.error().code == ErrorCode::corrupt && !activity.error().what.empty());
        return 0;
    }
    HD_CHECK(size == clip::kActivityBytes && activity->scores.size() <= clip::kMostActivityScores);
    for (const auto& score : activity->scores) HD_CHECK(score.changed.value_or(0) <= 1000);
    HD_CHECK(equal(clip::encode_activity(*activity), in));
    return 0;
}
