#include <doctest/doctest.h>

#include "pipelines/ingest/access_unit.hpp"
#include "pipelines/ingest/frame_times.hpp"
#include "pipelines/ingest/ingress.hpp"
#include "pipelines/ingest/reconnect.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

Frame frame_of(std::size_t size, bool idr, std::int64_t pts_us = 0) {
    auto bytes = std::make_shared<Bytes>(size, std::uint8_t{7});
    Frame f;
    f.bytes = *bytes;
    f.owner = bytes;
    f.pts = f.dts = BootTime{pts_us};
    f.idr = idr;
    return f;
}

// One NAL unit with its length before it.
Bytes unit(std::initializer_list<std::uint8_t> nal) {
    ByteWriter out;
    out.raw(std::string_view("\0\0\0", 3));
    out.u8(static_cast<std::uint8_t>(nal.size()));
    for (const std::uint8_t b : nal) out.u8(b);
    return std::move(out).take();
}

Bytes joined(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const Bytes& p : parts) out.insert(out.end(), p.begin(), p.end());
    return out;
}

std::vector<std::int64_t> decode_times(DecodeTimes& times, std::vector<std::int64_t> pts) {
    std::vector<std::int64_t> out;
    std::int64_t last = INT64_MIN;
    for (const std::int64_t t : pts) {
        const auto both = times.next(BootTime{t});
        CHECK(both.dts <= both.pts);
        CHECK(both.dts.us > last);
        last = both.dts.us;
        out.push_back(both.dts.us);
    }
    return out;
}

}  // namespace

TEST_SUITE("pipelines/ingest/ingress") {
    TEST_CASE("events come out in the order in which they went in") {
        Ingress in({.bytes = 1000, .frames = 10});
        CHECK(in.push(Connected{}));
        CHECK(in.push(StreamFormat{}));
        CHECK(in.push(frame_of(10, true)));
        CHECK(std::holds_alternative<Connected>(*in.pop(0us)));
        CHECK(std::holds_alternative<StreamFormat>(*in.pop(0us)));
        CHECK(std::get<Frame>(*in.pop(0us)).idr);
        CHECK_FALSE(in.pop(0us).has_value());
    }

    TEST_CASE(
        "a full ingress refuses frames and resumes at a key frame, after saying what is gone") {
        Ingress in({.bytes = 100, .frames = 10});
        CHECK(in.push(frame_of(60, true, 1)));
        CHECK_FALSE(in.push(frame_of(60, false, 2)));
        CHECK_FALSE(in.push(frame_of(10, false, 3)));  // Would fit, but refers to a lost one.
        CHECK(in.pop(0us).has_value());
        CHECK_FALSE(in.push(frame_of(10, false, 4)));
        CHECK(in.push(frame_of(10, true, 5)));
        const auto dropped = std::get<Dropped>(*in.pop(0us));
        CHECK(dropped.frames == 3);
        CHECK(dropped.first_pts.us == 2);
        CHECK(std::get<Frame>(*in.pop(0us)).pts.us == 5);
        CHECK(in.stats().refused_frames == 3);
        CHECK(in.stats().bytes_queued == 0);
        CHECK(in.stats().bytes_queued_max == 60);
    }

    TEST_CASE("the number of frames is bounded as well") {
        Ingress in({.bytes = 1000, .frames = 2});
        CHECK(in.push(frame_of(1, true)));
        CHECK(in.push(frame_of(1, false)));
        CHECK_FALSE(in.push(frame_of(1, false)));
    }

    TEST_CASE("the end of a session is taken even when no frame is") {
        Ingress in({.bytes = 10, .frames = 1});
        CHECK(in.push(frame_of(10, true)));
        CHECK_FALSE(in.push(frame_of(10, true)));
        CHECK(in.push(Lost{}));
    }

    TEST_CASE("formats that no frame followed do not pile up") {
        Ingress in({.bytes = 10, .frames = 1});
        for (int i = 0; i < 1000; ++i) in.push(StreamFormat{});
        CHECK(in.pop(0us).has_value());
        CHECK_FALSE(in.pop(0us).has_value());
    }

    TEST_CASE("wake ends a wait, clear forgets what is queued") {
        Ingress in({});
        in.wake();
        CHECK_FALSE(in.pop(10s).has_value());  // Would take 10 s if wake() did nothing.
        in.push(frame_of(5, true));
        in.clear();
        CHECK_FALSE(in.pop(0us).has_value());
        CHECK(in.stats().bytes_queued == 0);
    }
}

TEST_SUITE("pipelines/ingest/reconnect") {
    TEST_CASE("delays double from half a second to half a minute") {
        const auto most = [](unsigned n) { return reconnect_delay(n, 0xffffffffu); };
        CHECK(most(0) <= 500ms);
        CHECK(most(0) > 490ms);
        CHECK(reconnect_delay(0, 0) == 250ms);
        CHECK(most(2) <= 2s);
        CHECK(most(50) <= 30s);
        CHECK(reconnect_delay(50, 0) == 15s);
    }
}

TEST_SUITE("pipelines/ingest/frame_times") {
    TEST_CASE("without reordering decode time is display time") {
        DecodeTimes times;
        times.restart(0, 40ms);
        CHECK(decode_times(times, {0, 40, 90, 120}) == std::vector<std::int64_t>{0, 40, 90, 120});
        CHECK(times.moved() == 0);
    }
    TEST_CASE("B-frames get decode times that grow and are never after display") {
        DecodeTimes times;
        times.restart(1, Micros(10));
        // I0 P3 B1 B2 P6 B4 B5
        CHECK(decode_times(times, {0, 30, 10, 20, 60, 40, 50}) ==
              std::vector<std::int64_t>{-10, 0, 10, 20, 30, 40, 50});
        CHECK(times.moved() == 0);
    }
    TEST_CASE("an unknown depth is learned from the first frame that is out of order") {
        DecodeTimes times;
        times.restart(std::nullopt, Micros(10));
        decode_times(times, {0, 30, 10, 20, 60, 40, 50, 90, 70, 80});
        CHECK(times.moved() >= 1);
        CHECK(times.moved() <= 2);
        const auto before = times.moved();
        decode_times(times, {120, 100, 110, 150, 130, 140});
        CHECK(times.moved() == before);
    }
    TEST_CASE("a camera whose time jumps back does not bring a large reorder depth") {
        DecodeTimes times;
        times.restart(0, 40ms);
        times.next({10'000'000});
        const auto t = times.next({1'000'000});
        CHECK(t.dts.us == 10'000'001);
        CHECK(times.next({11'000'000}).dts.us == 11'000'000);
    }
    TEST_CASE("the camera clock is the median, and a jump begins a new epoch") {
        CameraClockEstimate estimate;
        CHECK_FALSE(estimate.value().has_value());
        for (const int ms : {100, 101, 99, 100, 400}) estimate.add(std::chrono::milliseconds(ms));
        CHECK(estimate.value()->offset == 100ms);
        CHECK(estimate.value()->reports == 5);
        CHECK(estimate.value()->jumps == 0);
        estimate.add(3600s);
        CHECK(estimate.value()->offset == 3600s);
        CHECK(estimate.value()->jumps == 1);
    }
}

TEST_SUITE("pipelines/ingest/access_unit") {
    TEST_CASE("H.264: IDR by NAL type, recovery point as cra, else none") {
        const Bytes sps = unit({0x67, 1, 2}), idr = unit({0x65, 0x88}), slice = unit({0x41, 0x9a});
        // recovery_frame_cnt 0, exact_match 1, broken_link 0, changing_slice_group 0
        const Bytes recovery = unit({0x06, 6, 1, 0xc4, 0x80});
        const Bytes gradual = unit({0x06, 6, 1, 0x40, 0x80});
        CHECK(entry_point(Codec::h264, joined({sps, idr})) == EntryPoint::idr);
        CHECK(entry_point(Codec::h264, slice) == EntryPoint::none);
        CHECK(entry_point(Codec::h264, joined({recovery, slice})) == EntryPoint::cra);
        CHECK(entry_point(Codec::h264, joined({gradual, slice})) == EntryPoint::none);
        CHECK(entry_point(Codec::h264, joined({recovery, idr})) == EntryPoint::idr);
    }
    TEST_CASE("H.265: IDR, CRA and BLA are told apart") {
        const auto nal = [](unsigned type) {
            return unit({static_cast<std::uint8_t>(type << 1), 1, 0x80});
        };
        CHECK(entry_point(Codec::h265, nal(19)) == EntryPoint::idr);
        CHECK(entry_point(Codec::h265, nal(20)) == EntryPoint::idr);
        CHECK(entry_point(Codec::h265, nal(21)) == EntryPoint::cra);
        CHECK(entry_point(Codec::h265, nal(16)) == EntryPoint::cra);
        CHECK(entry_point(Codec::h265, nal(1)) == EntryPoint::none);
    }
    TEST_CASE("broken lengths end the search") {
        CHECK(entry_point(Codec::h264, Bytes{0xff, 0xff, 0xff, 0xff, 0x65}) == EntryPoint::none);
        CHECK(entry_point(Codec::h264, Bytes{0, 0, 0, 0, 0, 0, 0, 1, 0x65}) == EntryPoint::none);
        CHECK(entry_point(Codec::h264, Bytes{}) == EntryPoint::none);
        CHECK(entry_point(Codec::h264, unit({0x06, 0xff, 0xff})) == EntryPoint::none);
    }
    TEST_CASE("codec names follow RFC 6381") {
        CHECK(*rfc6381_codec(Codec::h264, Bytes{1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0}) ==
              "avc1.4D401F");
        Bytes hvcc(23, 0);
        const Bytes start{1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93};
        std::copy(start.begin(), start.end(), hvcc.begin());
        CHECK(*rfc6381_codec(Codec::h265, hvcc) == "hvc1.1.6.L93.B0");
        CHECK(rfc6381_codec(Codec::h265, Bytes{1, 2, 3}).error().code == ErrorCode::corrupt);
        CHECK(rfc6381_codec(Codec::h264, Bytes{}).error().code == ErrorCode::corrupt);
    }
}

}  // namespace hd::ingest
