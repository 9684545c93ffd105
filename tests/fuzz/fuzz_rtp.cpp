// Invariants checked, on any packets that a camera sends:
//  - headers, reports, fragments and aggregates never crash or hang;
//  - an access unit is not empty, below its limit, made of whole length-prefixed NAL units, holds a
//    slice's worth of bytes and no parameter set; the first one comes with a format;
//  - packets put back in order are whole ones, each once and only while they wait;
//  - the media clock answers for whatever timestamp.
// The first byte chooses the codec; then u16 length (big-endian) and packet, again and again.
#include <cstdint>

#include "index/base/check.hpp"
#include "pipelines/ingest/access_unit.hpp"
#include "pipelines/ingest/depacketizer.hpp"
#include "pipelines/ingest/media_clock.hpp"
#include "pipelines/ingest/reorder_buffer.hpp"

using namespace hd;

namespace {

void check_unit(ingest::Codec codec, ByteView au) {
    HD_CHECK(!au.empty() && au.size() <= ingest::kMaxAccessUnit);
    while (!au.empty()) {
        HD_CHECK(au.size() > 4);
        const std::size_t size =
            std::size_t{au[0]} << 24 | std::size_t{au[1]} << 16 | std::size_t{au[2]} << 8 | au[3];
        HD_CHECK(size > 0 && size <= au.size() - 4);
        const auto kind = ingest::nal_kind(codec, au.subspan(4));
        HD_CHECK(kind != ingest::NalKind::sps && kind != ingest::NalKind::pps);
        au = au.subspan(4 + size);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto codec = data[0] % 2 == 0 ? ingest::Codec::h264 : ingest::Codec::h265;
    ByteView in(data + 1, size - 1);
    ingest::Depacketizer depacketizer(codec);
    ingest::ReorderBuffer reorder(std::chrono::milliseconds(30));
    ingest::MediaClock clock(90'000);
    std::vector<ingest::AccessUnit> units;
    std::int64_t now = 1'000'000;
    bool first = true;
    while (in.size() >= 2) {
        const std::size_t length = std::min(std::size_t{in[0]} << 8 | in[1], in.size() - 2);
        const ByteView packet = in.subspan(2, length);
        in = in.subspan(2 + length);
        now += 10'000;
        static_cast<void>(ingest::parse_rtcp(packet));
        const auto rtp = ingest::parse_rtp(packet);
        if (!rtp) continue;
        HD_CHECK(rtp->payload.size() + 12 <= packet.size());
        units.clear();
        if (reorder.take(*rtp, packet, BootTime{now}))
            depacketizer.push(*rtp, BootTime{now}, units);
        std::size_t released = 0;
        while (const auto held = reorder.release(BootTime{now})) {
            HD_CHECK(++released <= 64);
            const auto again = ingest::parse_rtp(held->whole);
            HD_CHECK(again && again->sequence == held->sequence);
            depacketizer.push(*again, held->arrival, units);
        }
        HD_CHECK(units.size() <= 64 * (released + 1));
        for (const auto& unit : units) {
            check_unit(codec, *unit.bytes);
            HD_CHECK(!first || unit.format.has_value());
            first = false;
            static_cast<void>(clock.map(unit.timestamp, unit.arrival));
            HD_CHECK(clock.where(unit.timestamp).has_value());
        }
    }
    return 0;
}
