// CameraState as bytes: one small record per camera, written with each change of its rows.
#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {
constexpr std::uint8_t kStateVersion = 1;
}

Bytes encode_camera_state(const CameraState& s) {
    ByteWriter out;
    out.u8(kStateVersion);
    out.varint(s.clips);
    out.varint(s.bytes);
    out.varint(s.pending_clips);
    out.varint(s.pending_bytes);
    out.varint(s.garbage_clips);
    out.varint(s.garbage_bytes);
    out.varint(s.elsewhere);
    out.zigzag(s.longest_us);
    out.varint(s.newest_name ? static_cast<std::uint64_t>(s.newest_name->us) + 1 : 0);
    out.varint(s.first_hour);
    out.varint(s.derived_until ? std::uint64_t{*s.derived_until} + 1 : 0);
    return std::move(out).take();
}

Result<CameraState> decode_camera_state(ByteView value) {
    ByteReader in(value);
    if (in.u8() != kStateVersion) in.fail();
    CameraState s;
    s.clips = in.varint();
    s.bytes = in.varint();
    s.pending_clips = in.varint();
    s.pending_bytes = in.varint();
    s.garbage_clips = in.varint();
    s.garbage_bytes = in.varint();
    s.elsewhere = in.varint();
    s.longest_us = in.zigzag();
    if (const std::uint64_t name = in.varint(); name > 0)
        s.newest_name = WallTime{static_cast<std::int64_t>(name - 1)};
    const std::uint64_t hour = in.varint();
    const std::uint64_t derived = in.varint();
    if (hour > UINT32_MAX || derived > UINT32_MAX || s.longest_us < 0 ||
        s.longest_us > kMaxRowSpanUs)
        in.fail();
    s.first_hour = static_cast<Hour>(hour);
    if (derived > 0) s.derived_until = static_cast<std::uint32_t>(derived - 1);
    if (!in.ok()) return Error{ErrorCode::corrupt, "camera totals: not a record"};
    return s;
}

}  // namespace hd::store
