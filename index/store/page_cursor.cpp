#include "index/store/page_cursor.hpp"

#include "index/base/bytes.hpp"
#include "index/base/encoding.hpp"

namespace hd::store {
namespace {

constexpr std::uint8_t kCursorVersion = 1;

std::uint32_t fingerprint(const WindowQuery& query) {
    ByteWriter out;
    out.i64(query.window.begin.us);
    out.i64(query.window.end.us);
    out.u8(query.with_gaps ? 1 : 0);
    out.u8(query.with_open ? 1 : 0);
    for (const CameraId& camera : query.cameras) out.raw(ByteView(camera.bytes));
    return crc32c(out.view());
}

}  // namespace

PagePlace place_of(const ClipRow& row) {
    return {row.begin, row.camera, true, row.name_time, row.run};
}
PagePlace place_of(const GapRow& gap) { return {gap.begin, gap.camera, false, {}, {}}; }

std::string encode_cursor(const PagePlace& place, const WindowQuery& query) {
    ByteWriter out;
    out.u8(kCursorVersion);
    out.u32(fingerprint(query));
    out.i64(place.begin.us);
    out.raw(ByteView(place.camera.bytes));
    out.u8(place.is_clip ? 1 : 0);
    out.i64(place.name_time.us);
    out.u32(place.run.value);
    // Hex, of what gateway/wire lets in as a cursor (wire::read_cursor); base64 is not.
    return to_hex(out.view());
}

Result<PagePlace> decode_cursor(const WindowQuery& query) {
    const Error bad{ErrorCode::invalid, "cursor: must be the next cursor of a page of this query"};
    const auto bytes = from_hex(query.cursor);
    if (!bytes.ok()) return bad;
    ByteReader in(*bytes);
    const std::uint8_t version = in.u8();
    const std::uint32_t print = in.u32();
    PagePlace place;
    place.begin.us = in.i64();
    place.camera.bytes = in.array<16>();
    place.is_clip = in.u8() != 0;
    place.name_time.us = in.i64();
    place.run.value = in.u32();
    if (!in.ok() || in.left() > 0 || version != kCursorVersion || print != fingerprint(query))
        return bad;
    return place;
}

}  // namespace hd::store
