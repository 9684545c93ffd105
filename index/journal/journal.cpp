#include "index/journal/journal.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hd::journal {
namespace {

// record: magic (4) | u32 payload size | u16 type | payload | u32 CRC-32C of size, type, payload
//
// Two bytes of the magic are not ASCII, so no text in a payload can look like a record.
constexpr std::array<std::uint8_t, 4> kMagic{0x9D, 'H', 'J', 0xE2};
constexpr std::size_t kHeadBytes = 4 + 4 + 2;
constexpr std::size_t kFrameBytes = kHeadBytes + 4;
constexpr std::size_t kLargestRecord = kFrameBytes + kMaxRecordBytes;

// The file's header is a record too, of this type, so that it is found and checked like any other.
constexpr std::uint16_t kHeaderType = 0;
constexpr std::uint16_t kVersion = 1;

// How much is read at once. Always enough for one whole record.
constexpr std::size_t kReadBytes = 2 * kLargestRecord;

// Some thirty records: what has to be said when the disk is full, and why, fits in here.
constexpr std::uint64_t kRoomBytes = 4096;

Record file_header(std::string_view kind) {
    ByteWriter out;
    out.raw("halfdoor");
    out.u16(kVersion);
    out.short_string(kind);
    return {kHeaderType, std::move(out).take()};
}

Result<void> check_file_header(const Record& record, const std::string& path,
                               std::string_view kind) {
    ByteReader r(record.payload);
    const bool ours = as_text(r.raw(8)) == "halfdoor";
    const std::uint16_t version = r.u16();
    const std::string found = r.short_string();
    // What a later version appends is not looked at.
    if (!r.ok() || !ours)
        return Error{ErrorCode::corrupt, fmt::format("{}: byte 10: not a journal's header", path)};
    if (version != kVersion)
        return Error{
            ErrorCode::invalid,
            fmt::format("{}: journal version {} is not 1, the only one known here", path, version)};
    if (found != kind)
        return Error{ErrorCode::invalid,
                     fmt::format("{}: is a \"{}\" journal, not \"{}\"", path, found, kind)};
    return {};
}

enum class Parse { whole, damaged, needs_more };

// A record at the beginning of `in`. needs_more: it may be whole, but `in` ends before it does.
Parse parse_record(ByteView in, Record& record, std::size_t& size) {
    const std::size_t compared = std::min(in.size(), kMagic.size());
    if (!std::equal(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(compared), kMagic.begin()))
        return Parse::damaged;
    if (in.size() < kHeadBytes) return Parse::needs_more;
    ByteReader r(in.subspan(kMagic.size()));
    const std::size_t payload_size = r.u32();
    if (payload_size > kMaxRecordBytes) return Parse::damaged;
    record.type = r.u16();
    if (in.size() < kFrameBytes + payload_size) return Parse::needs_more;
    const ByteView payload = r.raw(payload_size);
    if (r.u32() != crc32c(in.subspan(kMagic.size(), 6 + payload_size))) return Parse::damaged;
    record.payload.assign(payload.begin(), payload.end());
    size = kFrameBytes + payload_size;
    return Parse::whole;
}

// The next place behind `at` where a record may begin.
std::size_t next_magic(ByteView in, std::size_t at) {
    const auto found = std::find(in.begin() + static_cast<std::ptrdiff_t>(at), in.end(), kMagic[0]);
    return static_cast<std::size_t>(found - in.begin());
}

// Visits whole records, file headers included; `visit` may fail to stop the reading.
Result<ReadReport> scan(
    FileSystem& fs, const std::string& path, std::uint64_t from,
    const std::function<Result<void>(const Record&, std::uint64_t offset)>& visit) {
    ReadReport report;
    report.whole_until = from;
    std::uint64_t offset = from;
    while (true) {
        HD_ASSIGN(const Bytes chunk, fs.read_range(path, offset, kReadBytes));
        const bool at_end = chunk.size() < kReadBytes;
        const ByteView in(chunk);
        std::size_t at = 0;
        while (at < in.size()) {
            Record record;
            std::size_t size = 0;
            const Parse parsed = parse_record(in.subspan(at), record, size);
            if (parsed == Parse::needs_more && !at_end) break;
            if (parsed != Parse::whole) {
                at = next_magic(in, at + 1);
                continue;
            }
            const std::uint64_t here = offset + at;
            report.damaged_bytes += here - report.whole_until;
            at += size;
            report.whole_until = offset + at;
            if (record.type != kHeaderType) ++report.records;
            HD_TRY(visit(record, here));
        }
        offset += at;
        if (at_end) break;
    }
    report.torn_bytes = offset - report.whole_until;
    return report;
}

}  // namespace

Bytes encode_record(const Record& record) {
    HD_CHECK(record.payload.size() <= kMaxRecordBytes);
    ByteWriter out;
    out.raw(ByteView(kMagic));
    out.u32(static_cast<std::uint32_t>(record.payload.size()));
    out.u16(record.type);
    out.raw(record.payload);
    const std::uint32_t crc = crc32c(out.view().subspan(kMagic.size()));
    out.u32(crc);
    return std::move(out).take();
}

Result<Writer> Writer::open(FileSystem& fs, const std::string& path, std::string_view kind) {
    HD_ASSIGN(auto file, fs.open_append(path));
    Writer writer(fs, path, kind, std::move(file));
    // The first header of the file decides. A crash may have torn it: then another is appended, and
    // two writers that both find none append one each, which does no harm.
    std::uint64_t whole_from = 0;
    bool has_header = false;
    while (!has_header) {
        HD_ASSIGN(const Bytes chunk, fs.read_range(path, whole_from, kReadBytes));
        const ByteView in(chunk);
        std::size_t at = 0;
        Record record;
        std::size_t size = 0;
        while (at < in.size() && !has_header) {
            const Parse parsed = parse_record(in.subspan(at), record, size);
            if (parsed == Parse::needs_more && chunk.size() == kReadBytes) break;
            if (parsed == Parse::whole && record.type == kHeaderType) {
                HD_TRY(check_file_header(record, path, kind));
                has_header = true;
            }
            at = parsed == Parse::whole ? at + size : next_magic(in, at + 1);
        }
        whole_from += at;
        if (chunk.size() < kReadBytes) break;
    }
    if (!has_header) {
        HD_TRY(writer.file_->append(encode_record(file_header(kind))));
        HD_TRY(writer.sync());
        HD_TRY(fs.sync_folder(parent_folder(path)));
    }
    writer.file_->keep_room(kRoomBytes);
    return writer;
}

Result<void> Writer::append(const Record& record) {
    if (record.type == kHeaderType || record.payload.size() > kMaxRecordBytes)
        return Error{
            ErrorCode::invalid,
            fmt::format("journal: record of type {} with {} bytes: type 0 is the header's, "
                        "and {} bytes are the limit",
                        record.type, record.payload.size(), kMaxRecordBytes)};
    if (failed_) {
        HD_ASSIGN(Writer again, open(*fs_, path_, kind_));
        *this = std::move(again);
    }
    auto done = file_->append(encode_record(record));
    failed_ = !done;
    if (done) file_->keep_room(kRoomBytes);
    return done;
}

Result<void> Writer::sync() {
    if (failed_) return Error{ErrorCode::unavailable, path_ + ": an earlier write failed"};
    auto done = file_->sync_data();
    failed_ = !done;
    return done;
}

Result<ReadReport> read(FileSystem& fs, const std::string& path, std::string_view kind,
                        std::uint64_t from,
                        const std::function<void(const Record&, std::uint64_t offset)>& visit) {
    return scan(fs, path, from, [&](const Record& record, std::uint64_t offset) -> Result<void> {
        if (record.type == kHeaderType) return check_file_header(record, path, kind);
        visit(record, offset);
        return {};
    });
}

Result<ReadReport> repair_tail(FileSystem& fs, const std::string& path, std::string_view kind) {
    HD_ASSIGN(const ReadReport report,
              read(fs, path, kind, 0, [](const Record&, std::uint64_t) {}));
    if (report.torn_bytes > 0) HD_TRY(fs.truncate(path, report.whole_until));
    return report;
}

}  // namespace hd::journal
