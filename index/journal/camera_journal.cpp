#include "index/journal/camera_journal.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/time_range.hpp"

namespace hd::journal {
namespace {

// On disk: do not renumber (docs/formats/journal.md).
enum class Type : std::uint16_t {
    configured = 1,
    disabled = 2,
    run_began = 3,
    run_ended = 4,
    gap_began = 5,
    gap_ended = 6,
    clip_closed = 7,
    clock = 16,
};

// Free texts are phrases; a journal line is never a page.
constexpr std::size_t kMaxTextBytes = 1024;

void write_text(ByteWriter& out, std::string_view text) {
    std::size_t size = std::min(text.size(), kMaxTextBytes);
    // Not in the middle of a UTF-8 character.
    while (size < text.size() && size > 0 &&
           (static_cast<unsigned char>(text[size]) & 0xC0u) == 0x80u)
        --size;
    out.short_string(text.substr(0, size));
}

void write_stamp(ByteWriter& out, const Stamp& s) {
    out.raw(ByteView(s.boot.bytes));
    out.i64(s.at.us);
    out.i64(s.utc.us);
    out.u8(static_cast<std::uint8_t>(s.quality));
}

// Reads a payload. Whatever stands behind the fields that this version knows was written by a later
// one, and is passed over.
class Fields {
  public:
    Fields(std::string_view record, ByteView in) : record_(record), in_(in) {}

    ByteReader& bytes() { return in_; }

    Stamp stamp() {
        Stamp s;
        s.boot = BootId{in_.array<16>()};
        s.at = BootTime{time()};
        s.utc = WallTime{time()};
        s.quality = enumeration(ClockQuality::unsynchronised, ClockQuality::assumed,
                                "no such clock quality");
        return s;
    }
    template <typename Enum>
    Enum enumeration(Enum first, Enum last, std::string_view rule) {
        const std::size_t at = in_.at();
        const std::uint8_t v = in_.u8();
        if (v >= static_cast<std::uint8_t>(first) && v <= static_cast<std::uint8_t>(last))
            return static_cast<Enum>(v);
        broke(at, rule);
        return first;
    }
    GapCause cause() {
        return enumeration(GapCause::unreachable, GapCause::disk_error, "no such cause of a gap");
    }
    std::string text() {
        const std::size_t at = in_.at();
        std::string out = in_.short_string();
        if (out.size() > kMaxTextBytes) broke(at, "text longer than 1024 bytes");
        return out;
    }
    RunId run() { return RunId{in_.u32()}; }
    std::int64_t time() {
        const std::size_t at = in_.at();
        const std::int64_t us = in_.i64();
        if (us >= -kLastTimeUs && us <= kLastTimeUs) return us;
        broke(at, "time out of range");
        return 0;
    }

    template <typename T>
    Result<T> finish(T value) {
        if (!in_.ok() && rule_.empty()) broke(in_.at(), "ends in the middle of a field");
        if (!rule_.empty())
            return Error{ErrorCode::corrupt,
                         fmt::format("journal record {}: byte {}: {}", record_, at_, rule_)};
        return value;
    }

  private:
    void broke(std::size_t at, std::string_view rule) {
        if (!rule_.empty() || (!in_.ok() && rule != "ends in the middle of a field")) return;
        rule_ = rule;
        at_ = at;
        in_.fail();
    }

    std::string_view record_;
    ByteReader in_;
    std::string rule_;
    std::size_t at_ = 0;
};

void write_fields(ByteWriter& out, const Configured& r) {
    out.raw(ByteView(r.camera.bytes));
    write_text(out, r.name);
}
void write_fields(ByteWriter&, const Disabled&) {}
void write_fields(ByteWriter& out, const RunBegan& r) {
    out.u32(r.run.value);
    write_text(out, r.encoder);
}
void write_fields(ByteWriter& out, const RunEnded& r) {
    out.u32(r.run.value);
    out.u8(static_cast<std::uint8_t>(r.cause));
    write_text(out, r.detail);
    if (!r.camera_clock) return;
    out.i64(r.camera_clock->offset.count());
    out.i64(r.camera_clock->spread.count());
    out.u32(r.camera_clock->reports);
    out.u32(r.camera_clock->jumps);
}
void write_fields(ByteWriter& out, const GapBegan& r) {
    out.u8(static_cast<std::uint8_t>(r.cause));
    write_text(out, r.detail);
}
void write_fields(ByteWriter&, const GapEnded&) {}
void write_fields(ByteWriter& out, const ClipClosed& r) {
    out.raw(ByteView(r.clip.bytes));
    out.u32(r.run.value);
    out.i64(r.name_time.us);
    out.u64(r.size_bytes);
    out.raw(ByteView(r.pieces_sha256));
}

template <typename T>
constexpr Type type_of() {
    if constexpr (std::is_same_v<T, Configured>) return Type::configured;
    if constexpr (std::is_same_v<T, Disabled>) return Type::disabled;
    if constexpr (std::is_same_v<T, RunBegan>) return Type::run_began;
    if constexpr (std::is_same_v<T, RunEnded>) return Type::run_ended;
    if constexpr (std::is_same_v<T, GapBegan>) return Type::gap_began;
    if constexpr (std::is_same_v<T, GapEnded>) return Type::gap_ended;
    if constexpr (std::is_same_v<T, ClipClosed>) return Type::clip_closed;
}

Result<CameraRecord> decode_run_began(ByteView in) {
    Fields f("run_began", in);
    RunBegan r;
    r.when = f.stamp();
    r.run = f.run();
    r.encoder = f.text();
    return f.finish<CameraRecord>(std::move(r));
}

Result<CameraRecord> decode_run_ended(ByteView in) {
    Fields f("run_ended", in);
    RunEnded r;
    r.when = f.stamp();
    r.run = f.run();
    r.cause = f.cause();
    r.detail = f.text();
    // Records of before, and of cameras that never tell their time, end here.
    if (f.bytes().left() > 0) {
        CameraClock clock;
        clock.offset = Micros(f.time());
        clock.spread = Micros(f.time());
        clock.reports = f.bytes().u32();
        clock.jumps = f.bytes().u32();
        r.camera_clock = clock;
    }
    return f.finish<CameraRecord>(std::move(r));
}

Result<CameraRecord> decode_gap_began(ByteView in) {
    Fields f("gap_began", in);
    GapBegan r;
    r.when = f.stamp();
    r.cause = f.cause();
    r.detail = f.text();
    return f.finish<CameraRecord>(std::move(r));
}

Result<CameraRecord> decode_clip_closed(ByteView in) {
    Fields f("clip_closed", in);
    ClipClosed r;
    r.when = f.stamp();
    r.clip = ClipId{f.bytes().array<16>()};
    r.run = f.run();
    r.name_time = WallTime{f.time()};
    r.size_bytes = f.bytes().u64();
    r.pieces_sha256 = f.bytes().array<32>();
    return f.finish<CameraRecord>(r);
}

Result<CameraRecord> decode_configured(ByteView in) {
    Fields f("configured", in);
    Configured r;
    r.when = f.stamp();
    r.camera = CameraId{f.bytes().array<16>()};
    r.name = f.text();
    return f.finish<CameraRecord>(std::move(r));
}

}  // namespace

std::string_view to_string(GapCause c) {
    switch (c) {
        case GapCause::unreachable:
            return "unreachable";
        case GapCause::refused:
            return "refused";
        case GapCause::stalled:
            return "stalled";
        case GapCause::clock:
            return "clock";
        case GapCause::disk_full:
            return "disk_full";
        case GapCause::overload:
            return "overload";
        case GapCause::encoder:
            return "encoder";
        case GapCause::restart:
            return "restart";
        case GapCause::disabled:
            return "disabled";
        case GapCause::closed:
            return "closed";
        case GapCause::disk_error:
            return "disk_error";
    }
    return "unknown";
}

Record encode(const CameraRecord& record) {
    return std::visit(
        [](const auto& r) {
            ByteWriter out;
            write_stamp(out, r.when);
            write_fields(out, r);
            const Type type = type_of<std::decay_t<decltype(r)>>();
            return Record{static_cast<std::uint16_t>(type), std::move(out).take()};
        },
        record);
}

Result<CameraRecord> decode_camera_record(const Record& record) {
    switch (static_cast<Type>(record.type)) {
        case Type::configured:
            return decode_configured(record.payload);
        case Type::disabled: {
            Fields f("disabled", record.payload);
            return f.finish<CameraRecord>(Disabled{f.stamp()});
        }
        case Type::run_began:
            return decode_run_began(record.payload);
        case Type::run_ended:
            return decode_run_ended(record.payload);
        case Type::gap_began:
            return decode_gap_began(record.payload);
        case Type::gap_ended: {
            Fields f("gap_ended", record.payload);
            return f.finish<CameraRecord>(GapEnded{f.stamp()});
        }
        case Type::clip_closed:
            return decode_clip_closed(record.payload);
        case Type::clock:
            break;
    }
    return Error{
        ErrorCode::not_found,
        fmt::format("journal record: type {} is not one of a camera journal, or of a later "
                    "version",
                    record.type)};
}

Record encode(const ClockRecord& record) {
    ByteWriter out;
    write_stamp(out, record.when);
    out.i64(record.stepped_us);
    return {static_cast<std::uint16_t>(Type::clock), std::move(out).take()};
}

Result<ClockRecord> decode_clock_record(const Record& record) {
    if (record.type != static_cast<std::uint16_t>(Type::clock))
        return Error{ErrorCode::not_found,
                     fmt::format("journal record: type {} is not one of clock.log, or of a later "
                                 "version",
                                 record.type)};
    Fields f("clock", record.payload);
    ClockRecord r;
    r.when = f.stamp();
    r.stepped_us = f.time();
    return f.finish(r);
}

}  // namespace hd::journal
