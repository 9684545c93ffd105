#include "index/clip/clip_format.hpp"

#include <fmt/format.h>

#include "index/clip/clip_fields.hpp"
#include "index/clip/piece_layout.hpp"

namespace hd::clip {
namespace {

using fields::corrupt_at;

// "HALFCLIP"; the reader's first question.
constexpr std::string_view kHeaderMagic = "HALFCLIP";
constexpr std::size_t kHeaderFixed = 8 + 4 + 4;  // magic, body size ... checksum
// Not text, so that it is not found inside an age header by chance; the walk resyncs on it.

// Appends the checksum of everything so far.
Bytes with_checksum(ByteWriter out) {
    const std::uint32_t crc = crc32c(out.view());
    out.u32(crc);
    return std::move(out).take();
}

// `block` ends in its checksum.
bool checksum_holds(ByteView block) {
    return ByteReader(block.last(4)).u32() == crc32c(block.first(block.size() - 4));
}

}  // namespace

std::string_view to_string(EndReason r) {
    switch (r) {
        case EndReason::target:
            return "target";
        case EndReason::hard_max:
            return "hard_max";
        case EndReason::codec_change:
            return "codec_change";
        case EndReason::stream_lost:
            return "stream_lost";
        case EndReason::shutdown:
            return "shutdown";
        case EndReason::settings_change:
            return "settings_change";
        case EndReason::disk_error:
            return "disk_error";
        case EndReason::overload:
            return "overload";
        case EndReason::recovered:
            return "recovered";
        case EndReason::input_end:
            return "input_end";
        case EndReason::clock_step:
            return "clock_step";
    }
    return "unknown";
}

std::string_view to_string(PieceKind k) {
    switch (k) {
        case PieceKind::init:
            return "init";
        case PieceKind::video:
            return "video";
        case PieceKind::audio:
            return "audio";
        case PieceKind::activity:
            return "activity";
    }
    return "unknown";
}

std::string_view to_string(PieceStart s) {
    switch (s) {
        case PieceStart::none:
            return "none";
        case PieceStart::idr:
            return "idr";
        case PieceStart::cra:
            return "cra";
    }
    return "unknown";
}

Bytes encode_header(const ClipHeader& h) {
    ByteWriter body;
    body.u16(fields::kVersion);
    fields::write_id(body, h.clip.bytes);
    fields::write_id(body, h.camera.bytes);
    fields::write_id(body, h.hub.bytes);
    body.u32(h.run.value);
    fields::write_id(body, h.boot.bytes);
    body.i64(h.boot_begin.us);
    body.i64(h.utc_begin.us);
    body.u8(static_cast<std::uint8_t>(h.quality));
    body.u16(h.width);
    body.u16(h.height);
    body.u64(h.policy_number);
    body.raw(ByteView(h.policy_hash));
    body.short_string(fields::cut_text(h.codec));
    body.short_string(fields::cut_text(h.encoder));
    body.short_string(fields::cut_text(h.encoder_why));
    fields::write_extensions(body, h.extensions);
    HD_CHECK(body.size() + kHeaderFixed <= kMaxHeaderBytes);

    ByteWriter out;
    out.raw(kHeaderMagic);
    out.u32(static_cast<std::uint32_t>(body.size()));
    out.raw(body.view());
    return with_checksum(std::move(out));
}

Result<ClipHeader> decode_header(ByteView in, std::size_t& size) {
    size = 0;
    ByteReader frame(in);
    if (as_text(frame.raw(kHeaderMagic.size())) != kHeaderMagic)
        return corrupt_at("clip header", 0, "must begin with HALFCLIP");
    const std::size_t body_size = frame.u32();
    if (!frame.ok()) return corrupt_at("clip header", frame.at(), "ends in the middle of a field");
    if (body_size + kHeaderFixed > kMaxHeaderBytes)
        return corrupt_at("clip header", 8, "longer than 16384 bytes");
    if (in.size() < body_size + kHeaderFixed)
        return corrupt_at("clip header", in.size(), "ends before its size");
    if (!checksum_holds(in.first(body_size + kHeaderFixed)))
        return corrupt_at("clip header", 12 + body_size, "checksum does not match");

    fields::Reader r("clip header", in.subspan(12, body_size), 12);
    ClipHeader h;
    r.version();
    h.clip = r.id<ClipId>();
    h.camera = r.id<CameraId>();
    h.hub = r.id<HubId>();
    h.run = RunId{r.bytes().u32()};
    h.boot = r.id<BootId>();
    h.boot_begin = r.boot_time();
    h.utc_begin = r.wall_time();
    h.quality =
        r.enumeration(ClockQuality::unsynchronised, ClockQuality::assumed, "no such clock quality");
    h.width = r.bytes().u16();
    h.height = r.bytes().u16();
    h.policy_number = r.bytes().u64();
    h.policy_hash = r.bytes().array<32>();
    h.codec = r.text();
    h.encoder = r.text();
    h.encoder_why = r.text();
    h.extensions = r.extensions();
    HD_TRY(r.finish());
    size = body_size + kHeaderFixed;
    return h;
}

Bytes encode_identity(const PieceIdentity& id) {
    ByteWriter out;
    out.u16(fields::kVersion);
    fields::write_id(out, id.camera.bytes);
    fields::write_id(out, id.clip.bytes);
    out.u32(id.sequence);
    out.u8(static_cast<std::uint8_t>(id.kind));
    out.i64(id.boot_begin.us);
    out.i64(id.boot_end.us);
    out.i64(id.utc_begin.us);
    out.i64(id.utc_end.us);
    out.u32(id.frames);
    out.u8(static_cast<std::uint8_t>(id.start));
    fields::write_extensions(out, id.extensions);
    HD_CHECK(out.size() <= kMaxIdentityBytes);
    return std::move(out).take();
}

Result<PieceIdentity> decode_identity(ByteView in) {
    if (in.size() > kMaxIdentityBytes)
        return corrupt_at("piece identity", kMaxIdentityBytes, "longer than 4096 bytes");
    fields::Reader r("piece identity", in);
    PieceIdentity id;
    r.version();
    id.camera = r.id<CameraId>();
    id.clip = r.id<ClipId>();
    id.sequence = r.bytes().u32();
    id.kind = r.enumeration(PieceKind::init, PieceKind::activity, "no such kind of piece");
    const std::size_t times_at = r.bytes().at();
    id.boot_begin = r.boot_time();
    id.boot_end = r.boot_time();
    id.utc_begin = r.wall_time();
    id.utc_end = r.wall_time();
    r.check(id.boot_begin <= id.boot_end, "boot time ends before it begins", times_at + 8);
    r.check(id.utc_begin <= id.utc_end, "UTC ends before it begins", times_at + 24);
    id.frames = r.bytes().u32();
    id.start = r.enumeration(PieceStart::none, PieceStart::cra, "no such start of a piece");
    id.extensions = r.extensions();
    HD_TRY(r.finish());
    return id;
}

Bytes encode_piece_head(ByteView identity_bytes, std::uint64_t age_size, const Digest& age_sha256) {
    HD_CHECK(identity_bytes.size() <= kMaxIdentityBytes && age_size <= kMaxPieceBytes);
    ByteWriter out;
    out.raw(kPieceMagic);
    out.u16(static_cast<std::uint16_t>(identity_bytes.size()));
    out.u64(age_size);
    out.raw(ByteView(age_sha256));
    out.raw(identity_bytes);
    return with_checksum(std::move(out));
}

Result<PieceHead> decode_piece_head(ByteView in, std::size_t& size) {
    size = 0;
    ByteReader r(in);
    if (as_text(r.raw(kPieceMagic.size())) != kPieceMagic)
        return corrupt_at("piece head", 0, "must begin with 9D 48 44 50");
    PieceHead head;
    const std::size_t identity_size = r.u16();
    head.age_size = r.u64();
    head.age_sha256 = r.array<32>();
    if (!r.ok()) return corrupt_at("piece head", r.at(), "ends in the middle of a field");
    if (identity_size > kMaxIdentityBytes)
        return corrupt_at("piece head", 4, "identity longer than 4096 bytes");
    if (head.age_size > kMaxPieceBytes)
        return corrupt_at("piece head", 6, "age file longer than 33554432 bytes");
    const std::size_t whole = kPieceHeadFixed + identity_size;
    if (in.size() < whole) return corrupt_at("piece head", in.size(), "ends before its size");
    if (!checksum_holds(in.first(whole)))
        return corrupt_at("piece head", whole - 4, "checksum does not match");
    const ByteView identity = r.raw(identity_size);
    auto decoded = decode_identity(identity);
    if (!decoded) return decoded.error().in("piece head");
    head.identity = std::move(*decoded);
    head.identity_bytes.assign(identity.begin(), identity.end());
    size = whole;
    return head;
}

}  // namespace hd::clip
