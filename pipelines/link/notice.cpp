#include "pipelines/link/notice.hpp"

#include <fmt/format.h>

namespace hd::link {
namespace {

// docs/formats/link.md: "HL", u16 version, u8 type, body. The fields of Hello never move, so that
// each release can tell which camera a recorder of another release is recording.
constexpr std::uint16_t kMagic = 0x4c48;  // "HL"
constexpr std::size_t kMaxPhrase = 2048;  // longer phrases are clipped by the sender
constexpr std::size_t kMaxWalls = 32;     // there are eleven
constexpr std::size_t kMaxElements = 16;  // there are nine

enum class Type : std::uint8_t {
    hello = 1,
    state_changed = 2,
    clip_opened = 3,
    piece_durable = 4,
    clip_finished = 5,
    gap_changed = 6,
    progress = 7,
    farewell = 8,
    encoder_report = 9,
    walls_report = 10,
    sync_ask = 11,
    new_settings = 64,
    stop = 65,
    encoder_grant = 66,
    sync_answer = 67,
};

void put_text(ByteWriter& out, std::string_view text) {
    out.short_string(text.substr(0, kMaxPhrase));
}

std::string get_text(ByteReader& in) {
    std::string text = in.short_string();
    if (text.size() > kMaxPhrase) in.fail();
    return text;
}

void put_texts(ByteWriter& out, const std::vector<std::string>& texts) {
    HD_CHECK(texts.size() <= kMaxElements);
    out.u8(static_cast<std::uint8_t>(texts.size()));
    for (const std::string& text : texts) put_text(out, text);
}

std::vector<std::string> get_texts(ByteReader& in) {
    const std::size_t count = in.u8();
    if (count > kMaxElements) in.fail();
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count && in.ok(); ++i) out.push_back(get_text(in));
    return out;
}

bool get_bool(ByteReader& in) {
    const std::uint8_t v = in.u8();
    if (v > 1) in.fail();
    return v == 1;
}

template <typename Enum>
Enum get_enum(ByteReader& in, Enum first, Enum last) {
    const std::uint8_t v = in.u8();
    if (v < static_cast<std::uint8_t>(first) || v > static_cast<std::uint8_t>(last)) in.fail();
    return in.ok() ? static_cast<Enum>(v) : first;
}

void put_summary(ByteWriter& out, const clip::ClipSummary& s) {
    out.raw(s.clip.bytes);
    out.raw(s.camera.bytes);
    out.u32(s.run.value);
    out.raw(s.boot.bytes);
    for (const std::int64_t t :
         {s.boot_begin.us, s.boot_end.us, s.utc_begin.us, s.utc_end.us, s.name_time.us})
        out.i64(t);
    out.u8(static_cast<std::uint8_t>(s.quality));
    out.u8(static_cast<std::uint8_t>(s.reason));
    out.u32(s.pieces);
    out.u32(s.frames);
    out.u32(s.longest_key_distance_ms);
    out.u64(s.size_bytes);
    put_text(out, s.reason_detail);
}

clip::ClipSummary get_summary(ByteReader& in) {
    clip::ClipSummary s;
    s.clip.bytes = in.array<16>();
    s.camera.bytes = in.array<16>();
    s.run.value = in.u32();
    s.boot.bytes = in.array<16>();
    for (std::int64_t* t :
         {&s.boot_begin.us, &s.boot_end.us, &s.utc_begin.us, &s.utc_end.us, &s.name_time.us})
        *t = in.i64();
    s.quality = get_enum(in, ClockQuality::unsynchronised, ClockQuality::assumed);
    s.reason = get_enum(in, clip::EndReason::target, clip::EndReason::clock_step);
    s.pieces = in.u32();
    s.frames = in.u32();
    s.longest_key_distance_ms = in.u32();
    s.size_bytes = in.u64();
    s.reason_detail = get_text(in);
    return s;
}

void put_stamp(ByteWriter& out, const journal::Stamp& s) {
    out.raw(s.boot.bytes);
    out.i64(s.at.us);
    out.i64(s.utc.us);
    out.u8(static_cast<std::uint8_t>(s.quality));
}

journal::Stamp get_stamp(ByteReader& in) {
    journal::Stamp s;
    s.boot.bytes = in.array<16>();
    s.at.us = in.i64();
    s.utc.us = in.i64();
    s.quality = get_enum(in, ClockQuality::unsynchronised, ClockQuality::assumed);
    return s;
}

struct Encoder {
    ByteWriter& out;
    void type(Type t) const { out.u8(static_cast<std::uint8_t>(t)); }

    void operator()(const Hello& m) const {
        type(Type::hello);
        out.raw(m.camera.bytes);
        out.u32(m.pid);
        out.u8(m.has_settings ? 1 : 0);
        out.raw(m.settings);
    }
    void operator()(const StateChanged& m) const {
        type(Type::state_changed);
        out.u8(static_cast<std::uint8_t>(m.state));
        put_text(out, m.detail);
        put_text(out, m.encoder);
        put_text(out, m.encoder_why);
        put_text(out, m.audio);
    }
    void operator()(const ClipOpened& m) const {
        type(Type::clip_opened);
        put_text(out, m.path);
        out.long_string(clip::encode_header(m.header));
    }
    void operator()(const PieceDurable& m) const {
        type(Type::piece_durable);
        put_text(out, m.path);
        out.raw(m.clip.bytes);
        out.u32(m.sequence);
        out.u64(m.file_size);
        out.i64(m.boot_end.us);
        out.i64(m.utc_end.us);
        out.u32(m.frames);
    }
    void operator()(const ClipFinished& m) const {
        type(Type::clip_finished);
        put_text(out, m.path);
        put_summary(out, m.summary);
    }
    void operator()(const GapChanged& m) const {
        type(Type::gap_changed);
        out.u8(m.open ? 1 : 0);
        put_stamp(out, m.when);
        out.u8(static_cast<std::uint8_t>(m.cause));
        put_text(out, m.detail);
    }
    void operator()(const Progress& m) const {
        type(Type::progress);
        for (const std::uint64_t v :
             {m.frames, m.bytes, m.dropped_frames, m.reconnects, m.damaged_frames})
            out.u64(v);
        out.i64(m.camera_clock_offset_us);
        out.u8(m.camera_clock_known ? 1 : 0);
        out.u32(m.queue_bytes_max);
        out.u32(m.sync_ms_max);
    }
    void operator()(const EncoderReport& m) const {
        type(Type::encoder_report);
        out.u8(m.needed ? 1 : 0);
        for (const std::uint32_t v : {m.width, m.height, m.millihertz_in, m.millihertz_out})
            out.u32(v);
        out.u64(m.frames_left_out);
        put_text(out, m.element);
        put_texts(out, m.failed);
    }
    void operator()(const WallsReport& m) const {
        type(Type::walls_report);
        HD_CHECK(m.walls.size() <= kMaxWalls);
        out.u8(static_cast<std::uint8_t>(m.walls.size()));
        for (const Wall& wall : m.walls) {
            put_text(out, wall.name);
            out.u8(static_cast<std::uint8_t>(wall.state));
            put_text(out, wall.detail);
        }
    }
    void operator()(const Farewell& m) const {
        type(Type::farewell);
        put_text(out, m.why);
    }
    void operator()(const SyncAsk& m) const {
        type(Type::sync_ask);
        out.u64(m.number);
        out.u64(m.device);
    }
    void operator()(const SyncAnswer& m) const {
        type(Type::sync_answer);
        out.u64(m.number);
        out.u8(m.synced ? 1 : 0);
    }
    void operator()(const NewSettings& m) const {
        type(Type::new_settings);
        Bytes body = encode_settings(m.settings);
        out.long_string(body);
        wipe(body);
    }
    void operator()(const Stop& m) const {
        type(Type::stop);
        put_text(out, m.why);
    }
    void operator()(const EncoderGrant& m) const {
        type(Type::encoder_grant);
        put_texts(out, m.elements);
        put_text(out, m.why);
    }
};

Hello get_hello(ByteReader& in, std::uint16_t version) {
    Hello m;
    m.version = version;
    m.camera.bytes = in.array<16>();
    m.pid = in.u32();
    m.has_settings = get_bool(in);
    m.settings = in.array<32>();
    return m;
}

StateChanged get_state(ByteReader& in) {
    StateChanged m{};
    m.state = get_enum(in, CameraState::starting, CameraState::ending);
    m.detail = get_text(in);
    m.encoder = get_text(in);
    m.encoder_why = get_text(in);
    m.audio = get_text(in);
    return m;
}

Result<Message> get_clip_opened(ByteReader& in) {
    ClipOpened m;
    m.path = get_text(in);
    const ByteView bytes = in.long_string(clip::kMaxHeaderBytes);
    HD_TRY(in.finish("clip_opened"));
    std::size_t size = 0;
    HD_ASSIGN(m.header, clip::decode_header(bytes, size));
    if (size != bytes.size())
        return Error{ErrorCode::corrupt, "clip_opened: bytes after the clip header"};
    return Message{std::move(m)};
}

PieceDurable get_piece(ByteReader& in) {
    PieceDurable m;
    m.path = get_text(in);
    m.clip.bytes = in.array<16>();
    m.sequence = in.u32();
    m.file_size = in.u64();
    m.boot_end.us = in.i64();
    m.utc_end.us = in.i64();
    m.frames = in.u32();
    return m;
}

GapChanged get_gap(ByteReader& in) {
    GapChanged m;
    m.open = get_bool(in);
    m.when = get_stamp(in);
    m.cause = get_enum(in, journal::GapCause::unreachable, journal::GapCause::disk_error);
    m.detail = get_text(in);
    return m;
}

Progress get_progress(ByteReader& in) {
    Progress m;
    for (std::uint64_t* v :
         {&m.frames, &m.bytes, &m.dropped_frames, &m.reconnects, &m.damaged_frames})
        *v = in.u64();
    m.camera_clock_offset_us = in.i64();
    m.camera_clock_known = get_bool(in);
    m.queue_bytes_max = in.u32();
    m.sync_ms_max = in.u32();
    return m;
}

EncoderReport get_encoder_report(ByteReader& in) {
    EncoderReport m;
    m.needed = get_bool(in);
    for (std::uint32_t* v : {&m.width, &m.height, &m.millihertz_in, &m.millihertz_out})
        *v = in.u32();
    m.frames_left_out = in.u64();
    m.element = get_text(in);
    m.failed = get_texts(in);
    return m;
}

WallsReport get_walls(ByteReader& in) {
    WallsReport m;
    const std::size_t count = in.u8();
    if (count > kMaxWalls) in.fail();
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
        Wall wall;
        wall.name = get_text(in);
        wall.state = get_enum(in, WallState::enforced, WallState::missing);
        wall.detail = get_text(in);
        m.walls.push_back(std::move(wall));
    }
    return m;
}

EncoderGrant get_encoder_grant(ByteReader& in) {
    EncoderGrant m;
    m.elements = get_texts(in);
    m.why = get_text(in);
    return m;
}

SyncAsk get_sync_ask(ByteReader& in) {
    SyncAsk m;
    m.number = in.u64();
    m.device = in.u64();
    return m;
}

SyncAnswer get_sync_answer(ByteReader& in) {
    SyncAnswer m;
    m.number = in.u64();
    m.synced = get_bool(in);
    return m;
}

Result<Message> get_settings(ByteReader& in) {
    const ByteView bytes = in.long_string(kMaxMessageBytes);
    HD_TRY(in.finish("new_settings"));
    HD_ASSIGN(auto settings, decode_settings(bytes));
    return Message{NewSettings{std::move(settings)}};
}

// Reads the rest of a plain message; the whole packet must be used up.
template <typename M>
Result<Message> whole(ByteReader& in, std::string_view name, M message) {
    HD_TRY(in.finish(name));
    return Message{std::move(message)};
}

Result<Message> decode_body(ByteReader& in, std::uint8_t type) {
    switch (static_cast<Type>(type)) {
        case Type::hello:
            return whole(in, "hello", get_hello(in, kLinkVersion));
        case Type::state_changed:
            return whole(in, "state_changed", get_state(in));
        case Type::clip_opened:
            return get_clip_opened(in);
        case Type::piece_durable:
            return whole(in, "piece_durable", get_piece(in));
        case Type::clip_finished: {
            ClipFinished m;
            m.path = get_text(in);
            m.summary = get_summary(in);
            return whole(in, "clip_finished", std::move(m));
        }
        case Type::gap_changed:
            return whole(in, "gap_changed", get_gap(in));
        case Type::progress:
            return whole(in, "progress", get_progress(in));
        case Type::farewell:
            return whole(in, "farewell", Farewell{get_text(in)});
        case Type::encoder_report:
            return whole(in, "encoder_report", get_encoder_report(in));
        case Type::walls_report:
            return whole(in, "walls_report", get_walls(in));
        case Type::encoder_grant:
            return whole(in, "encoder_grant", get_encoder_grant(in));
        case Type::sync_ask:
            return whole(in, "sync_ask", get_sync_ask(in));
        case Type::sync_answer:
            return whole(in, "sync_answer", get_sync_answer(in));
        case Type::new_settings:
            return get_settings(in);
        case Type::stop:
            return whole(in, "stop", Stop{get_text(in)});
    }
    return Error{ErrorCode::corrupt, fmt::format("link packet: unknown type {}", type)};
}

}  // namespace

std::string_view to_string(CameraState s) {
    switch (s) {
        case CameraState::starting:
            return "starting";
        case CameraState::connecting:
            return "connecting";
        case CameraState::recording:
            return "recording";
        case CameraState::stalled:
            return "stalled";
        case CameraState::unreachable:
            return "unreachable";
        case CameraState::refused:
            return "refused";
        case CameraState::encoder_failed:
            return "encoder_failed";
        case CameraState::disk_problem:
            return "disk_problem";
        case CameraState::ending:
            return "ending";
    }
    return "unknown";
}

Bytes encode(const Message& message) {
    const Hello* hello = std::get_if<Hello>(&message);
    ByteWriter out;
    out.u16(kMagic);
    out.u16(hello ? hello->version : kLinkVersion);
    std::visit(Encoder{out}, message);
    HD_CHECK(out.size() <= kMaxMessageBytes);
    return std::move(out).take();
}

Result<Message> decode(ByteView packet) {
    if (packet.size() > kMaxMessageBytes)
        return Error{ErrorCode::corrupt, "link packet: more than 65536 bytes"};
    ByteReader in(packet);
    const std::uint16_t magic = in.u16(), version = in.u16();
    const std::uint8_t type = in.u8();
    if (!in.ok() || magic != kMagic)
        return Error{ErrorCode::corrupt, "link packet: does not begin with HL"};
    if (version != kLinkVersion) {
        // A recorder of another release: who it is stands where it always stood.
        if (type == static_cast<std::uint8_t>(Type::hello)) {
            Hello hello = get_hello(in, version);
            if (in.ok()) return Message{std::move(hello)};
        }
        return Error{
            ErrorCode::invalid,
            fmt::format("link packet of version {}, this program knows {}", version, kLinkVersion)};
    }
    return decode_body(in, type);
}

}  // namespace hd::link
