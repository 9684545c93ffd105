// The bytes of an hour of one camera's clips, of a pending clip, of a gap and of a day's coverage.
// Pure. The document is docs/formats/index.md. On disk: a change of meaning needs a new version.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "index/base/bytes.hpp"
#include "index/base/time_range.hpp"
#include "index/store/rows.hpp"

namespace hd::store {

// Hours since 1970, UTC. Clips are grouped by the hour that they begin in.
using Hour = std::uint32_t;
constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr std::int64_t kDayUs = 24 * kHourUs;
constexpr std::int64_t kQuarterUs = kHourUs / 4;
// A file whose span is longer than this is not believed. Clips end at 120 s; the rest is slack for
// a last frame of a very slow camera, because a clip without a row would be worse.
constexpr std::int64_t kMaxRowSpanUs = kHourUs;
constexpr std::uint64_t kMaxRowBytes = 1ull << 48;
// 24 clips a second, kept up for an hour, is no camera.
constexpr std::size_t kMaxRowsPerHour = 100'000;

inline Hour hour_of(WallTime t) { return static_cast<Hour>(t.us / kHourUs); }
inline std::uint32_t day_of(WallTime t) { return static_cast<std::uint32_t>(t.us / kDayUs); }

// The rule that a row breaks, or nothing. Rows that break none survive encode and decode.
std::string_view row_rule(const ClipRow& row);

// Appends one chunk. `rows` are all of `hour` and in answer order; the camera is not written.
void encode_rows(Hour hour, std::span<const ClipRow> rows, std::string& out);
// A value is one chunk or several (appended by the merge operator); the rows of all of them are
// appended to `out` in stored order, `open` false. corrupt: names the byte and the rule.
Result<void> decode_rows(ByteView value, const CameraId& camera, Hour hour,
                         std::vector<ClipRow>& out);

Bytes encode_pending(const PendingClip& clip);
Result<PendingClip> decode_pending(ByteView value);

// A gap as it is kept. Where the clock was set back, others that begin before it may reach beyond
// its begin: the first of them begins at `reach`. There is none: `reach` is its own begin.
struct StoredGap {
    GapRow row;
    WallTime reach;
    bool operator==(const StoredGap&) const = default;
};
Bytes encode_gap(const StoredGap& gap);  // begin and camera are in the key
Result<StoredGap> decode_gap(ByteView value, const CameraId& camera, WallTime begin);
Bytes encode_gap_record(const GapRecord& gap);
Result<GapRecord> decode_gap_record(ByteView value);

// What a day's clips cover, by quarters of an hour; a day of quarters also gives hours and the day.
struct DayCoverage {
    std::array<std::uint32_t, 96> covered_ms{};
    std::array<std::uint32_t, 96> clips{};
    bool operator==(const DayCoverage&) const = default;
};
struct HourSums {
    std::array<std::uint32_t, 24> covered_ms{};
    std::array<std::uint32_t, 24> clips{};
};
Bytes encode_day(const DayCoverage& day);
Result<DayCoverage> decode_day(ByteView value);
// Only the first part of the record: four times fewer numbers.
Result<HourSums> decode_day_hours(ByteView value);

}  // namespace hd::store
