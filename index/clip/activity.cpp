#include "index/clip/activity.hpp"

#include "index/clip/clip_fields.hpp"

namespace hd::clip {
namespace {

// On disk: do not change. docs/formats/clip.md. A `uuid` box (ISO/IEC 14496-12, 11.1).
constexpr std::uint8_t kBoxBegin[] = {0, 0, 0, kActivityBytes, 'u', 'u', 'i', 'd'};
constexpr std::string_view kBoxName = "HALFDOORACTIVITY";
constexpr std::uint16_t kVersion = 1;
constexpr std::uint16_t kNotCompared = 0xffff, kAllBlocks = 1000;

}  // namespace

Bytes encode_activity(const Activity& activity) {
    HD_CHECK(activity.scores.size() <= kMostActivityScores);
    ByteWriter out;
    out.raw(ByteView(kBoxBegin));
    out.raw(kBoxName);
    out.u16(kVersion);
    out.u8(static_cast<std::uint8_t>(activity.scores.size()));
    out.u8(activity.skipped);
    for (std::size_t i = 0; i < kMostActivityScores; ++i) {
        const bool used = i < activity.scores.size();
        const ActivityScore score = used ? activity.scores[i] : ActivityScore{{}, 0};
        out.i64(score.at.us);
        out.u16(score.changed.value_or(kNotCompared));
    }
    HD_CHECK(out.size() == kActivityBytes);
    return std::move(out).take();
}

Result<Activity> decode_activity(ByteView in) {
    fields::Reader r("activity", in);
    r.check(equal(r.bytes().raw(sizeof kBoxBegin), ByteView(kBoxBegin)), "not its box", 0);
    r.check(as_text(r.bytes().raw(kBoxName.size())) == kBoxName, "not its box", 8);
    r.version();
    Activity out;
    const std::size_t count_at = r.bytes().at();
    const std::size_t count = r.bytes().u8();
    r.check(count <= kMostActivityScores, "too many scores", count_at);
    out.skipped = r.bytes().u8();
    for (std::size_t i = 0; i < kMostActivityScores; ++i) {
        const std::size_t at = r.bytes().at();
        ActivityScore score{r.boot_time(), r.bytes().u16()};
        if (i >= count) {
            r.check(score == ActivityScore{{}, 0}, "an unused score is not zero", at);
            continue;
        }
        if (score.changed == kNotCompared)
            score.changed.reset();
        else
            r.check(score.changed <= kAllBlocks, "more blocks than there are", at + 8);
        out.scores.push_back(score);
    }
    HD_TRY(r.finish());
    return out;
}

}  // namespace hd::clip
