#include <algorithm>

#include <fmt/format.h>

#include "index/clip/clip_fields.hpp"
#include "index/clip/clip_format.hpp"
#include "index/clip/piece_layout.hpp"

namespace hd::clip {
namespace {

using fields::corrupt_at;

// table:   "HDTB" | u32 body size | body | u32 checksum
// summary: "HDSM" | u16 body size | body | u32 checksum
// trailer: u64 footer offset | u64 summary offset | u64 file size | u32 checksum | "HALFDONE"
constexpr std::string_view kTableMagic = "HDTB";
constexpr std::string_view kSummaryMagic = "HDSM";
constexpr std::string_view kTrailerMagic = "HALFDONE";
constexpr std::size_t kTrailerBytes = 8 + 8 + 8 + 4 + 8;

void write_checksum(ByteWriter& out, std::size_t from) {
    out.u32(crc32c(out.view().subspan(from)));
}

Bytes encode_table(const std::vector<PieceEntry>& table) {
    ByteWriter body;
    body.u16(fields::kVersion);
    body.u32(static_cast<std::uint32_t>(table.size()));
    for (const PieceEntry& e : table) {
        const Bytes identity = encode_identity(e.identity);
        body.u64(e.offset);
        body.u64(e.age_offset);
        body.u64(e.age_size);
        body.raw(ByteView(e.age_sha256));
        body.u16(static_cast<std::uint16_t>(identity.size()));
        body.raw(identity);
    }
    ByteWriter out;
    out.raw(kTableMagic);
    out.u32(static_cast<std::uint32_t>(body.size()));
    out.raw(body.view());
    write_checksum(out, 0);
    return std::move(out).take();
}

Bytes encode_summary(const ClipSummary& s) {
    ByteWriter body;
    body.u16(fields::kVersion);
    fields::write_id(body, s.clip.bytes);
    fields::write_id(body, s.camera.bytes);
    body.u32(s.run.value);
    fields::write_id(body, s.boot.bytes);
    body.i64(s.boot_begin.us);
    body.i64(s.boot_end.us);
    body.i64(s.utc_begin.us);
    body.i64(s.utc_end.us);
    body.i64(s.name_time.us);
    body.u8(static_cast<std::uint8_t>(s.quality));
    body.u8(static_cast<std::uint8_t>(s.reason));
    body.u32(s.pieces);
    body.u32(s.frames);
    body.u32(s.longest_key_distance_ms);
    body.u64(s.size_bytes);
    body.short_string(fields::cut_text(s.reason_detail));
    ByteWriter out;
    out.raw(kSummaryMagic);
    out.u16(static_cast<std::uint16_t>(body.size()));
    out.raw(body.view());
    write_checksum(out, 0);
    return std::move(out).take();
}

Result<ClipSummary> decode_summary_body(ByteView body, std::uint64_t at) {
    fields::Reader r("clip summary", body, at);
    ClipSummary s;
    r.version();
    s.clip = r.id<ClipId>();
    s.camera = r.id<CameraId>();
    s.run = RunId{r.bytes().u32()};
    s.boot = r.id<BootId>();
    const std::size_t times_at = r.bytes().at();
    s.boot_begin = r.boot_time();
    s.boot_end = r.boot_time();
    s.utc_begin = r.wall_time();
    s.utc_end = r.wall_time();
    r.check(s.boot_begin <= s.boot_end, "boot time ends before it begins", times_at + 8);
    r.check(s.utc_begin <= s.utc_end, "UTC ends before it begins", times_at + 24);
    s.name_time = r.wall_time();
    s.quality =
        r.enumeration(ClockQuality::unsynchronised, ClockQuality::assumed, "no such clock quality");
    s.reason = r.enumeration(EndReason::target, EndReason::clock_step, "no such end reason");
    const std::size_t pieces_at = r.bytes().at();
    s.pieces = r.bytes().u32();
    r.check(s.pieces <= kMaxPieces, "more than 4096 pieces", pieces_at);
    s.frames = r.bytes().u32();
    s.longest_key_distance_ms = r.bytes().u32();
    s.size_bytes = r.bytes().u64();
    s.reason_detail = r.text();
    // A later version may say more here; what it says is in the checksum but not for us.
    r.extensions();
    HD_TRY(r.finish());
    return s;
}

struct Trailer {
    std::uint64_t footer_offset = 0;
    std::uint64_t summary_offset = 0;
};

// `tail` are the last bytes of a file of `file_size` bytes.
Result<Trailer> decode_trailer(ByteView tail, std::uint64_t file_size) {
    if (tail.size() < kTrailerBytes || file_size < tail.size())
        return corrupt_at("clip footer", file_size, "file too short for a footer");
    const std::uint64_t at = file_size - kTrailerBytes;
    const ByteView bytes = tail.last(kTrailerBytes);
    if (as_text(bytes.last(8)) != kTrailerMagic)
        return corrupt_at("clip footer", file_size - 8, "must end with HALFDONE: not finished");
    ByteReader r(bytes);
    Trailer t;
    t.footer_offset = r.u64();
    t.summary_offset = r.u64();
    const std::uint64_t said_size = r.u64();
    if (r.u32() != crc32c(bytes.first(24)))
        return corrupt_at("clip footer", at + 24, "checksum of the trailer does not match");
    if (said_size != file_size)
        return corrupt_at("clip footer", at + 16,
                          fmt::format("says {} bytes, the file has {}", said_size, file_size));
    if (t.summary_offset >= at || t.footer_offset >= t.summary_offset)
        return corrupt_at("clip footer", at, "offsets do not lie in the file");
    return t;
}

// `in` begins at the summary, whose file offset is `at`, and ends with the file.
Result<ClipSummary> decode_summary_block(ByteView in, std::uint64_t at, std::uint64_t file_size) {
    ByteReader r(in);
    if (as_text(r.raw(4)) != kSummaryMagic)
        return corrupt_at("clip summary", at, "must begin with HDSM");
    const std::size_t size = r.u16();
    const ByteView body = r.raw(size);
    const std::uint32_t crc = r.u32();
    if (!r.ok() || r.left() != kTrailerBytes)
        return corrupt_at("clip summary", at + 4, "size does not reach to the trailer");
    if (crc != crc32c(in.first(6 + size)))
        return corrupt_at("clip summary", at + 6 + size, "checksum does not match");
    HD_ASSIGN(ClipSummary s, decode_summary_body(body, at + 6));
    if (s.size_bytes != file_size)
        return corrupt_at("clip summary", at, "says another size than the file has");
    return s;
}

Result<PieceEntry> decode_entry(fields::Reader& r, std::uint64_t at) {
    PieceEntry e;
    e.offset = r.bytes().u64();
    e.age_offset = r.bytes().u64();
    e.age_size = r.bytes().u64();
    e.age_sha256 = r.bytes().array<32>();
    const ByteView identity = r.bytes().raw(r.bytes().u16());
    if (!r.bytes().ok()) return corrupt_at("piece table", at, "ends in the middle of an entry");
    auto decoded = decode_identity(identity);
    if (!decoded) return decoded.error().in(fmt::format("piece table: entry at byte {}", at));
    e.identity = std::move(*decoded);
    // Compared without sums that could overflow.
    if (e.age_size > kMaxPieceBytes)
        return corrupt_at("piece table", at, "age file longer than 33554432 bytes");
    if (e.age_offset < e.offset || e.age_offset - e.offset != kPieceHeadFixed + identity.size())
        return corrupt_at("piece table", at, "age file does not follow its head");
    return e;
}

// `in` is the table's body, at file offset `at`.
Result<std::vector<PieceEntry>> decode_table(ByteView in, std::uint64_t at, std::uint64_t footer_at,
                                             const ClipSummary& s) {
    fields::Reader r("piece table", in, at);
    r.version();
    const std::uint32_t count = r.bytes().u32();
    r.check(count == s.pieces, "another number of pieces than the summary says", 2);
    std::vector<PieceEntry> table;
    std::uint64_t free_from = 0;  // behind the piece before
    for (std::uint32_t i = 0; i < count && r.bytes().ok(); ++i) {
        const std::uint64_t entry_at = at + r.bytes().at();
        HD_ASSIGN(PieceEntry e, decode_entry(r, entry_at));
        if (e.offset < free_from || e.age_offset > footer_at ||
            e.age_size > footer_at - e.age_offset)
            return corrupt_at("piece table", entry_at, "piece overlaps another or the footer");
        if (e.identity.clip != s.clip || e.identity.camera != s.camera)
            return corrupt_at("piece table", entry_at, "piece of another clip or camera");
        if (!table.empty() && e.identity.sequence <= table.back().identity.sequence)
            return corrupt_at("piece table", entry_at, "sequence does not rise");
        free_from = e.age_offset + e.age_size;
        table.push_back(std::move(e));
    }
    HD_TRY(r.finish());
    return table;
}

}  // namespace

Bytes encode_footer(const std::vector<PieceEntry>& table, ClipSummary summary,
                    std::uint64_t file_offset) {
    HD_CHECK(table.size() <= kMaxPieces);
    summary.pieces = static_cast<std::uint32_t>(table.size());
    ByteWriter out;
    out.raw(encode_table(table));
    const std::uint64_t summary_offset = file_offset + out.size();
    summary.size_bytes = summary_offset + encode_summary(summary).size() + kTrailerBytes;
    out.raw(encode_summary(summary));
    const std::size_t trailer = out.size();
    out.u64(file_offset);
    out.u64(summary_offset);
    out.u64(summary.size_bytes);
    write_checksum(out, trailer);
    out.raw(kTrailerMagic);
    return std::move(out).take();
}

Result<ClipSummary> decode_summary(ByteView tail, std::uint64_t file_size) {
    HD_ASSIGN(const Trailer t, decode_trailer(tail, file_size));
    const std::uint64_t from_end = file_size - t.summary_offset;
    if (from_end > tail.size())
        return corrupt_at("clip footer", t.summary_offset, "summary does not fit the one read");
    return decode_summary_block(tail.last(from_end), t.summary_offset, file_size);
}

Result<std::uint64_t> footer_offset(ByteView tail, std::uint64_t file_size) {
    HD_ASSIGN(const Trailer t, decode_trailer(tail, file_size));
    return t.footer_offset;
}

Result<Footer> decode_footer(ByteView in, std::uint64_t file_offset) {
    // No file is that long; the sum below must not wrap.
    if (file_offset > (1ull << 60)) return corrupt_at("clip footer", 0, "offset out of range");
    const std::uint64_t file_size = file_offset + in.size();
    HD_ASSIGN(const Trailer t, decode_trailer(in, file_size));
    if (t.footer_offset != file_offset)
        return corrupt_at("clip footer", file_offset, "does not begin where the trailer says");
    const std::size_t table_size = t.summary_offset - file_offset;
    Footer footer;
    footer.offset = file_offset;
    HD_ASSIGN(footer.summary,
              decode_summary_block(in.subspan(table_size), t.summary_offset, file_size));

    ByteReader r(in.first(table_size));
    if (as_text(r.raw(4)) != kTableMagic)
        return corrupt_at("piece table", file_offset, "must begin with HDTB");
    const std::size_t body_size = r.u32();
    const ByteView body = r.raw(body_size);
    const std::uint32_t crc = r.u32();
    if (!r.ok() || r.left() != 0)
        return corrupt_at("piece table", file_offset + 4, "size does not reach to the summary");
    if (crc != crc32c(in.first(8 + body_size)))
        return corrupt_at("piece table", file_offset + 8 + body_size, "checksum does not match");
    HD_ASSIGN(footer.table, decode_table(body, file_offset + 8, file_offset, footer.summary));
    return footer;
}

}  // namespace hd::clip
