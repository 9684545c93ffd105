#include "index/store/row_codec.hpp"

#include <fmt/format.h>

namespace hd::store {
namespace {

constexpr std::uint8_t kRowVersion = 1;

// One bit for each field that is as predicted from the row before, and so takes no bytes.
enum RowFlag : std::uint8_t {
    kSameRun = 1,
    kSameState = 2,  // reason, quality, restamped
    kSameName = 4,   // name_time - begin
    kSamePieces = 8,
    kSameFrames = 16,
    kSameLength = 32,
    kFollowsOn = 64,      // begin is the end of the row before
    kHasExtension = 128,  // fields of a later version: length, bytes; skipped
};

// What the first row of a chunk is predicted from: a 60 s clip of whole 1 s pieces at 25 fps.
struct Prediction {
    std::int64_t end;
    std::int64_t length = 60'000'000;
    std::int64_t name_offset = 0;
    std::uint64_t size = 0;
    std::uint32_t run = 0;
    std::uint32_t frames = 1500;
    std::uint32_t pieces = 61;
    std::uint8_t reason = static_cast<std::uint8_t>(clip::EndReason::target);
    std::uint8_t state = static_cast<std::uint8_t>(ClockQuality::synchronised);
};

std::uint8_t state_of(const ClipRow& row) {
    return static_cast<std::uint8_t>(static_cast<unsigned>(row.quality) |
                                     (row.restamped ? 0x80u : 0u));
}

void put_varint(std::string& out, std::uint64_t v) {
    while (v >= 0x80) {
        out.push_back(static_cast<char>(v | 0x80));
        v >>= 7;
    }
    out.push_back(static_cast<char>(v));
}
void put_zigzag(std::string& out, std::int64_t v) {
    put_varint(out, (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
}

// ByteReader checks a flag on each read; this one is for the inner loop of every query.
struct Cursor {
    const std::uint8_t* at;
    const std::uint8_t* end;
    bool ok = true;

    std::uint64_t varint() {
        std::uint64_t v = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (at == end) break;
            const std::uint8_t b = *at++;
            v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
            if (b < 0x80) return v;
        }
        ok = false;
        return 0;
    }
    // Added to a value modulo 2^64; the caller checks the range of the sum.
    std::int64_t zigzag_onto(std::int64_t base) {
        const std::uint64_t v = varint();
        const std::uint64_t delta = (v >> 1) ^ (~(v & 1) + 1);
        return static_cast<std::int64_t>(static_cast<std::uint64_t>(base) + delta);
    }
    std::uint8_t u8() {
        if (at == end) {
            ok = false;
            return 0;
        }
        return *at++;
    }
    std::uint32_t u32() {
        if (end - at < 4) {
            ok = false;
            return 0;
        }
        const std::uint32_t v =
            static_cast<std::uint32_t>(at[0]) | static_cast<std::uint32_t>(at[1]) << 8 |
            static_cast<std::uint32_t>(at[2]) << 16 | static_cast<std::uint32_t>(at[3]) << 24;
        at += 4;
        return v;
    }
};

void encode_row(const ClipRow& row, Prediction& p, std::string& out) {
    const std::int64_t length = row.end.us - row.begin.us;
    const std::int64_t name_offset = row.name_time.us - row.begin.us;
    const auto reason = static_cast<std::uint8_t>(row.reason);
    const std::uint8_t state = state_of(row);
    unsigned flags = 0;
    if (row.run.value == p.run) flags |= kSameRun;
    if (reason == p.reason && state == p.state) flags |= kSameState;
    if (name_offset == p.name_offset) flags |= kSameName;
    if (row.pieces == p.pieces) flags |= kSamePieces;
    if (row.frames == p.frames) flags |= kSameFrames;
    if (length == p.length) flags |= kSameLength;
    if (row.begin.us == p.end) flags |= kFollowsOn;
    out.push_back(static_cast<char>(flags));
    if (!(flags & kFollowsOn)) put_zigzag(out, row.begin.us - p.end);
    if (!(flags & kSameLength)) put_zigzag(out, length - p.length);
    if (!(flags & kSameName)) put_zigzag(out, name_offset - p.name_offset);
    if (!(flags & kSameRun))
        for (unsigned i = 0; i < 4; ++i) out.push_back(static_cast<char>(row.run.value >> (8 * i)));
    if (!(flags & kSameState)) {
        out.push_back(static_cast<char>(reason));
        out.push_back(static_cast<char>(state));
    }
    put_zigzag(out, static_cast<std::int64_t>(row.size_bytes) - static_cast<std::int64_t>(p.size));
    if (!(flags & kSameFrames))
        put_zigzag(out,
                   static_cast<std::int64_t>(row.frames) - static_cast<std::int64_t>(p.frames));
    if (!(flags & kSamePieces))
        put_zigzag(out,
                   static_cast<std::int64_t>(row.pieces) - static_cast<std::int64_t>(p.pieces));
    p = {.end = row.end.us,
         .length = length,
         .name_offset = name_offset,
         .size = row.size_bytes,
         .run = row.run.value,
         .frames = row.frames,
         .pieces = row.pieces,
         .reason = reason,
         .state = state};
}

// False if the row cannot be true; `p` moves on to it.
bool decode_row(Cursor& in, Prediction& p, ClipRow& row) {
    const std::uint8_t flags = in.u8();
    const std::int64_t begin = flags & kFollowsOn ? p.end : in.zigzag_onto(p.end);
    if (!(flags & kSameLength)) p.length = in.zigzag_onto(p.length);
    if (!(flags & kSameName)) p.name_offset = in.zigzag_onto(p.name_offset);
    if (!(flags & kSameRun)) p.run = in.u32();
    if (!(flags & kSameState)) {
        p.reason = in.u8();
        p.state = in.u8();
    }
    const std::int64_t size = in.zigzag_onto(static_cast<std::int64_t>(p.size));
    const std::int64_t frames = flags & kSameFrames ? p.frames : in.zigzag_onto(p.frames);
    const std::int64_t pieces = flags & kSamePieces ? p.pieces : in.zigzag_onto(p.pieces);
    if (flags & kHasExtension) {
        const std::uint64_t skip = in.varint();
        if (skip > static_cast<std::uint64_t>(in.end - in.at)) return false;
        in.at += skip;
    }
    constexpr std::int64_t kMaxCount = UINT32_MAX;
    if (!in.ok || begin < 0 || begin >= kEndTimeUs || p.length <= 0 || p.length > kMaxRowSpanUs ||
        p.name_offset < -kEndTimeUs || p.name_offset > kEndTimeUs || size < 0 ||
        static_cast<std::uint64_t>(size) > kMaxRowBytes || frames < 0 || frames > kMaxCount ||
        pieces < 0 || pieces > kMaxCount || (p.state & 0x7c) != 0)
        return false;
    p.end = begin + p.length;
    p.size = static_cast<std::uint64_t>(size);
    p.frames = static_cast<std::uint32_t>(frames);
    p.pieces = static_cast<std::uint32_t>(pieces);
    row.begin = {begin};
    row.end = {p.end};
    row.name_time = {begin + p.name_offset};
    row.run = {p.run};
    row.size_bytes = p.size;
    row.frames = p.frames;
    row.pieces = p.pieces;
    row.reason = static_cast<clip::EndReason>(p.reason);
    row.quality = static_cast<ClockQuality>(p.state & 3);
    row.restamped = (p.state & 0x80) != 0;
    return row_rule(row).empty();
}

Error corrupt_at(const std::uint8_t* at, ByteView value, std::string_view rule) {
    return {ErrorCode::corrupt,
            fmt::format("rows of an hour: byte {}: {}", at - value.data(), rule)};
}

}  // namespace

std::string_view row_rule(const ClipRow& row) {
    if (row.begin.us < 0 || row.end.us >= kEndTimeUs) return "a time is outside 1970..9999";
    if (row.name_time.us < 0 || row.name_time.us >= kEndTimeUs)
        return "the name's time is outside 1970..9999";
    if (row.end <= row.begin) return "it ends before it begins";
    if (row.end.us - row.begin.us > kMaxRowSpanUs) return "it spans more than an hour";
    if (row.size_bytes > kMaxRowBytes) return "it is larger than 2^48 bytes";
    if (row.reason < clip::EndReason::target || row.reason > clip::EndReason::clock_step)
        return "its end reason is unknown";
    if (row.quality > ClockQuality::assumed) return "its clock quality is unknown";
    return {};
}

void encode_rows(Hour hour, std::span<const ClipRow> rows, std::string& out) {
    std::string payload;
    payload.reserve(rows.size() * 18 + 4);
    put_varint(payload, rows.size());
    Prediction p{.end = static_cast<std::int64_t>(hour) * kHourUs};
    for (const ClipRow& row : rows) {
        HD_CHECK(row_rule(row).empty() && hour_of(row.begin) == hour);
        encode_row(row, p, payload);
    }
    out.push_back(static_cast<char>(kRowVersion));
    put_varint(out, payload.size());
    out += payload;
}

Result<void> decode_rows(ByteView value, const CameraId& camera, Hour hour,
                         std::vector<ClipRow>& out) {
    Cursor in{value.data(), value.data() + value.size()};
    const std::size_t rows_before = out.size();
    while (in.at != in.end) {
        const std::uint8_t version = in.u8();
        if (version != kRowVersion) return corrupt_at(in.at - 1, value, "unknown row version");
        const std::uint64_t length = in.varint();
        if (!in.ok || length > static_cast<std::uint64_t>(in.end - in.at))
            return corrupt_at(in.at, value, "chunk longer than the value");
        Cursor chunk{in.at, in.at + length};
        in.at += length;
        const std::uint64_t count = chunk.varint();
        if (!chunk.ok || count > kMaxRowsPerHour || count > length ||
            out.size() - rows_before + count > kMaxRowsPerHour)
            return corrupt_at(chunk.at, value, "too many rows");
        Prediction p{.end = static_cast<std::int64_t>(hour) * kHourUs};
        for (std::uint64_t i = 0; i < count; ++i) {
            ClipRow& row = out.emplace_back();
            row.camera = camera;
            if (!decode_row(chunk, p, row) || hour_of(row.begin) != hour)
                return corrupt_at(chunk.at, value, "a row that cannot be true");
        }
        // What follows the rows inside the chunk belongs to a later version.
    }
    return {};
}

}  // namespace hd::store
