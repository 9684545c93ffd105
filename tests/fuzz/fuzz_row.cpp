// Values of the index store, as they would come back from a damaged disk; and page cursors, which
// come from clients.
//
// Invariants checked: no decoder reads out of bounds or overflows; rows that decode keep every rule
// of row_rule() and lie in their hour; what decodes survives encode and decode unchanged.
#include <algorithm>

#include "index/base/encoding.hpp"
#include "index/store/page_cursor.hpp"
#include "index/store/row_codec.hpp"

using namespace hd;
using namespace hd::store;

namespace {

void fuzz_rows(ByteView in, const CameraId& camera) {
    constexpr Hour kHour = 498'662;  // 2026-11-20T14
    std::vector<ClipRow> rows;
    if (!decode_rows(in, camera, kHour, rows).ok()) return;
    for (const ClipRow& row : rows)
        HD_CHECK(row_rule(row).empty() && hour_of(row.begin) == kHour && !row.open);
    std::sort(rows.begin(), rows.end(), answer_order);
    std::string again;
    encode_rows(kHour, rows, again);
    std::vector<ClipRow> decoded;
    HD_CHECK(decode_rows(as_bytes(again), camera, kHour, decoded).ok());
    HD_CHECK(decoded == rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView in{data + 1, size - 1};
    CameraId camera;
    camera.bytes.fill(7);
    switch (data[0] % 6) {
        case 0:
            fuzz_rows(in, camera);
            break;
        case 1:
            if (const auto clip = decode_pending(in); clip.ok())
                HD_CHECK(decode_pending(encode_pending(*clip)).value() == *clip);
            break;
        case 2:
            if (const auto gap = decode_gap(in, camera, {1'795'183'200'000'000}); gap.ok())
                HD_CHECK(decode_gap(encode_gap(*gap), camera, gap->row.begin).value() == *gap);
            break;
        case 3:
            if (const auto gap = decode_gap_record(in); gap.ok())
                HD_CHECK(decode_gap_record(encode_gap_record(*gap)).value() == *gap);
            break;
        case 4:
            decode_day_hours(in).value_or({});
            if (const auto day = decode_day(in); day.ok()) {
                const auto again = decode_day(encode_day(*day));
                // Sums of made-up quarters may be more than a day holds; then it is refused.
                HD_CHECK(!again.ok() || *again == *day);
            }
            break;
        default: {
            WindowQuery query{.window = {{0}, {1}}};
            query.cursor = std::string(as_text(in));
            if (const auto place = decode_cursor(query); place.ok())
                HD_CHECK(
                    decode_cursor({.window = query.window, .cursor = encode_cursor(*place, query)})
                        .value() == *place);
        }
    }
    return 0;
}
