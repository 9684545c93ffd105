// The smaller records of index/store/row_codec.hpp: pending clips, gaps, a day's coverage.
#include <algorithm>

#include "index/store/row_codec.hpp"

namespace hd::store {
namespace {

constexpr std::uint8_t kRecordVersion = 1;

void put_stamp(ByteWriter& out, const journal::Stamp& s) {
    out.raw(ByteView(s.boot.bytes));
    out.i64(s.at.us);
    out.i64(s.utc.us);
    out.u8(static_cast<std::uint8_t>(s.quality));
}
ClockQuality read_quality(ByteReader& in) {
    const std::uint8_t q = in.u8();
    if (q > static_cast<std::uint8_t>(ClockQuality::assumed)) in.fail();
    return static_cast<ClockQuality>(q);
}
journal::GapCause read_cause(ByteReader& in) {
    const std::uint8_t c = in.u8();
    if (c < 1 || c > static_cast<std::uint8_t>(journal::GapCause::disk_error)) in.fail();
    return static_cast<journal::GapCause>(c);
}
journal::Stamp read_stamp(ByteReader& in) {
    journal::Stamp s;
    s.boot.bytes = in.array<16>();
    s.at.us = in.i64();
    s.utc.us = in.i64();
    s.quality = read_quality(in);
    return s;
}
void check_version(ByteReader& in) {
    if (in.u8() != kRecordVersion) in.fail();
}
Error bad(std::string_view what) { return {ErrorCode::corrupt, std::string(what)}; }

// Runs of equal (covered, clips): most days are four numbers or a slowly changing list.
template <std::size_t N>
void put_runs(ByteWriter& out, const std::array<std::uint32_t, N>& covered,
              const std::array<std::uint32_t, N>& clips) {
    for (std::size_t i = 0; i < N;) {
        std::size_t n = 1;
        while (i + n < N && covered[i + n] == covered[i] && clips[i + n] == clips[i]) ++n;
        out.varint(n);
        out.varint(covered[i]);
        out.varint(clips[i]);
        i += n;
    }
}
template <std::size_t N>
void read_runs(ByteReader& in, std::array<std::uint32_t, N>& covered,
               std::array<std::uint32_t, N>& clips) {
    for (std::size_t i = 0; i < N && in.ok();) {
        const std::uint64_t n = in.varint();
        const std::uint64_t ms = in.varint();
        const std::uint64_t count = in.varint();
        if (n == 0 || n > N - i || ms > 86'400'000 || count > UINT32_MAX) return in.fail();
        for (std::uint64_t k = 0; k < n; ++k, ++i) {
            covered[i] = static_cast<std::uint32_t>(ms);
            clips[i] = static_cast<std::uint32_t>(count);
        }
    }
}

}  // namespace

Bytes encode_pending(const PendingClip& clip) {
    const ClipRow& r = clip.row;
    ByteWriter out;
    out.u8(kRecordVersion);
    out.raw(ByteView(r.camera.bytes));
    out.i64(r.name_time.us);
    out.u32(r.run.value);
    out.i64(r.begin.us);
    out.i64(r.end.us);
    out.u64(r.size_bytes);
    out.u32(r.frames);
    out.u32(r.pieces);
    out.u8(static_cast<std::uint8_t>(r.reason));
    out.u8(static_cast<std::uint8_t>(r.quality));
    out.raw(ByteView(clip.boot.bytes));
    out.i64(clip.boot_begin.us);
    out.i64(clip.boot_end.us);
    return std::move(out).take();
}

Result<PendingClip> decode_pending(ByteView value) {
    ByteReader in(value);
    check_version(in);
    PendingClip clip;
    ClipRow& r = clip.row;
    r.camera.bytes = in.array<16>();
    r.name_time.us = in.i64();
    r.run.value = in.u32();
    r.begin.us = in.i64();
    r.end.us = in.i64();
    r.size_bytes = in.u64();
    r.frames = in.u32();
    r.pieces = in.u32();
    r.reason = static_cast<clip::EndReason>(in.u8());
    r.quality = read_quality(in);
    clip.boot.bytes = in.array<16>();
    clip.boot_begin.us = in.i64();
    clip.boot_end.us = in.i64();
    if (!in.ok() || !row_rule(r).empty()) return bad("pending clip: not a row");
    return clip;
}

Bytes encode_gap(const StoredGap& gap) {
    const GapRow& row = gap.row;
    ByteWriter out;
    out.u8(kRecordVersion);
    out.u8(static_cast<std::uint8_t>(row.cause));
    out.varint(row.end ? static_cast<std::uint64_t>(row.end->us - row.begin.us) + 1 : 0);
    if (gap.reach < row.begin) out.varint(static_cast<std::uint64_t>(row.begin.us - gap.reach.us));
    return std::move(out).take();
}

Result<StoredGap> decode_gap(ByteView value, const CameraId& camera, WallTime begin) {
    ByteReader in(value);
    check_version(in);
    GapRow gap{.camera = camera, .begin = begin};
    gap.cause = read_cause(in);
    const std::uint64_t length = in.varint();
    const std::uint64_t back = in.left() > 0 ? in.varint() : 0;
    if (!in.ok() || begin.us < 0 || begin.us >= kEndTimeUs || length > kEndTimeUs ||
        back > static_cast<std::uint64_t>(begin.us))
        return bad("gap: not a row");
    if (length > 0) gap.end = WallTime{begin.us + static_cast<std::int64_t>(length - 1)};
    return StoredGap{gap, begin - Micros(static_cast<std::int64_t>(back))};
}

Bytes encode_gap_record(const GapRecord& gap) {
    ByteWriter out;
    out.u8(kRecordVersion);
    out.raw(ByteView(gap.camera.bytes));
    out.u8(static_cast<std::uint8_t>(gap.cause));
    out.u8(gap.end ? 1 : 0);
    put_stamp(out, gap.begin);
    if (gap.end) put_stamp(out, *gap.end);
    return std::move(out).take();
}

Result<GapRecord> decode_gap_record(ByteView value) {
    ByteReader in(value);
    check_version(in);
    GapRecord gap;
    gap.camera.bytes = in.array<16>();
    gap.cause = read_cause(in);
    const bool ended = in.u8() != 0;
    gap.begin = read_stamp(in);
    if (ended) gap.end = read_stamp(in);
    if (!in.ok()) return bad("pending gap: not a record");
    return gap;
}

namespace {

// Fixed width: a year of hours of eight cameras is 70,000 of them, read within milliseconds.
constexpr std::size_t kHourBytes = 24 * (4 + 2);
void put_hours(ByteWriter& out, const HourSums& hours) {
    for (const std::uint32_t ms : hours.covered_ms) out.u32(ms);
    for (const std::uint32_t n : hours.clips)
        out.u16(static_cast<std::uint16_t>(std::min<std::uint32_t>(n, UINT16_MAX)));
}
HourSums read_hours(ByteReader& in) {
    HourSums hours;
    const ByteView raw = in.raw(kHourBytes);
    if (raw.size() != kHourBytes) return hours;
    for (std::size_t h = 0; h < 24; ++h) {
        const std::uint8_t* ms = raw.data() + 4 * h;
        const std::uint8_t* n = raw.data() + 96 + 2 * h;
        hours.covered_ms[h] =
            static_cast<std::uint32_t>(ms[0]) | static_cast<std::uint32_t>(ms[1]) << 8 |
            static_cast<std::uint32_t>(ms[2]) << 16 | static_cast<std::uint32_t>(ms[3]) << 24;
        hours.clips[h] = static_cast<std::uint32_t>(n[0]) | static_cast<std::uint32_t>(n[1]) << 8;
    }
    return hours;
}

}  // namespace

Bytes encode_day(const DayCoverage& day) {
    HourSums hours;
    for (std::size_t q = 0; q < 96; ++q) {
        hours.covered_ms[q / 4] += day.covered_ms[q];
        hours.clips[q / 4] += day.clips[q];
    }
    ByteWriter out;
    out.u8(kRecordVersion);
    put_hours(out, hours);
    put_runs(out, day.covered_ms, day.clips);
    return std::move(out).take();
}

Result<DayCoverage> decode_day(ByteView value) {
    ByteReader in(value);
    check_version(in);
    in.raw(kHourBytes);
    DayCoverage day;
    read_runs(in, day.covered_ms, day.clips);
    if (!in.ok()) return bad("coverage: not a day");
    return day;
}

Result<HourSums> decode_day_hours(ByteView value) {
    ByteReader in(value);
    check_version(in);
    const HourSums hours = read_hours(in);
    if (!in.ok()) return bad("coverage: not a day");
    return hours;
}

}  // namespace hd::store
