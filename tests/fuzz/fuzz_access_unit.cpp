// Invariants checked, on any bytes from a camera:
//  - looking for the entry point, the codec name and the reorder depth never crashes or hangs;
//  - a reorder depth is at most 16; a codec name is printable ASCII of sane length;
//  - decode times made with that depth grow and are never after the display times.
// The first byte chooses the codec; the rest is taken as access unit and as codec configuration.
#include <cstdint>

#include "index/base/check.hpp"
#include "pipelines/ingest/access_unit.hpp"
#include "pipelines/ingest/frame_times.hpp"

using namespace hd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto codec = data[0] % 2 == 0 ? ingest::Codec::h264 : ingest::Codec::h265;
    const ByteView bytes(data + 1, size - 1);
    static_cast<void>(ingest::entry_point(codec, bytes));
    if (const auto name = ingest::rfc6381_codec(codec, bytes)) {
        HD_CHECK(name->size() >= 8 && name->size() < 64);
        for (const char c : *name) HD_CHECK(c > ' ' && c < 0x7f);
    }
    const auto depth = ingest::reorder_depth(codec, bytes);
    HD_CHECK(!depth || *depth <= 16);

    ingest::DecodeTimes times;
    times.restart(depth, Micros(40'000));
    BootTime last{INT64_MIN};
    for (std::size_t i = 0; i < bytes.size() && i < 64; ++i) {
        const auto t = times.next(BootTime{std::int64_t{bytes[i]} * 10'000});
        HD_CHECK(t.dts > last && t.dts <= t.pts);
        last = t.dts;
    }
    return 0;
}
