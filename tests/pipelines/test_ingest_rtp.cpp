// The lean reader's packets: RTP, access units and the media clock, on good, odd and hostile input.
#include <algorithm>
#include <random>

#include <doctest/doctest.h>

#include "index/base/encoding.hpp"
#include "pipelines/ingest/access_unit.hpp"
#include "pipelines/ingest/depacketizer.hpp"
#include "pipelines/ingest/media_clock.hpp"
#include "pipelines/ingest/reorder_buffer.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

// SPS 640x360 at 25 fps and its PPS, made by x264.
const Bytes kSps = from_hex("6764001eacb405017fcb080000030008000003019078b175").value();
const Bytes kPps = from_hex("68ef3cb0").value();

struct Packets {
    std::uint16_t sequence = 100;
    std::uint32_t timestamp = 90'000;
    std::vector<AccessUnit> units;
    Depacketizer depacketizer{Codec::h264};

    void send(ByteView payload, bool marker) {
        RtpPacket p;
        p.payload_type = 96;
        p.marker = marker;
        p.sequence = sequence++;
        p.timestamp = timestamp;
        p.ssrc = 7;
        p.payload = payload;
        depacketizer.push(p, BootTime{std::int64_t{timestamp}}, units);
    }
    void sets() {
        send(kSps, false);
        send(kPps, false);
    }
};

Bytes nal(std::uint8_t header, std::size_t size, std::uint8_t first = 0x88) {
    Bytes out(size, 0x55);
    out[0] = header;
    if (size > 1) out[1] = first;
    return out;
}

Bytes prefixed(std::initializer_list<Bytes> nals) {
    Bytes out;
    for (const Bytes& n : nals) {
        for (int shift = 24; shift >= 0; shift -= 8)
            out.push_back(static_cast<std::uint8_t>(n.size() >> shift));
        out.insert(out.end(), n.begin(), n.end());
    }
    return out;
}

// FU-A packets of `whole` with `count` parts.
std::vector<Bytes> fragments(const Bytes& whole, std::size_t count) {
    std::vector<Bytes> out;
    const std::size_t each = (whole.size() - 1) / count;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t from = 1 + i * each;
        const std::size_t to = i + 1 == count ? whole.size() : from + each;
        Bytes one{static_cast<std::uint8_t>((whole[0] & 0xe0u) | 28u),
                  static_cast<std::uint8_t>((i == 0 ? 0x80u : 0u) | (i + 1 == count ? 0x40u : 0u) |
                                            (whole[0] & 31u))};
        one.insert(one.end(), whole.begin() + static_cast<std::ptrdiff_t>(from),
                   whole.begin() + static_cast<std::ptrdiff_t>(to));
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace

TEST_SUITE("pipelines/ingest/rtp_packet") {
    TEST_CASE("header, extension, sources and padding are taken off") {
        const Bytes plain{0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7, 1, 2, 3};
        const auto p = parse_rtp(plain);
        REQUIRE(p.has_value());
        CHECK(p->marker);
        CHECK(p->payload_type == 96);
        CHECK(p->sequence == 0x1234);
        CHECK(p->timestamp == 9);
        CHECK(p->ssrc == 7);
        CHECK(p->payload.size() == 3);
        Bytes full{0xb1, 0x60, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7, 9, 9, 9, 9};  // P, X, one CSRC
        const Bytes rest{0xbe, 0xde, 0, 1, 5, 5, 5, 5, 0xaa, 0, 2};
        full.insert(full.end(), rest.begin(), rest.end());
        const auto q = parse_rtp(full);
        REQUIRE(q.has_value());
        CHECK(q->payload.size() == 1);
        CHECK(q->payload[0] == 0xaa);
        for (std::size_t n = 0; n < 25; ++n)
            CHECK_FALSE(parse_rtp(ByteView(full).first(n)).has_value());
    }

    TEST_CASE("a sender report gives the camera's UTC; without a clock it gives none") {
        Bytes sr = from_hex("80c80006000000070000000080000000000000090000000000000000").value();
        auto facts = parse_rtcp(sr);
        REQUIRE(facts.report.has_value());
        CHECK(facts.report->timestamp == 9);
        CHECK(facts.report->utc()->us == -2'208'988'800'000'000 + 500'000);
        sr[12] = 0;
        CHECK_FALSE(parse_rtcp(sr).report->utc().has_value());
        const Bytes rr = format_receiver_report({.our_ssrc = 1, .camera_ssrc = 7, .lost = 3});
        CHECK(rr.size() == 52);
        CHECK(rr.size() % 4 == 0);
        CHECK_FALSE(parse_rtcp(rr).report.has_value());
    }
}

TEST_SUITE("pipelines/ingest/reorder_buffer") {
    // What comes out for packets that arrive 10 ms apart.
    std::vector<int> ordered(const std::vector<int>& sequences, Micros patience = 200ms) {
        ReorderBuffer buffer(patience);
        std::vector<int> out;
        BootTime now{0};
        for (const int sequence : sequences) {
            now = now + 10ms;
            Bytes whole{0x80, 96};
            whole.push_back(static_cast<std::uint8_t>(sequence >> 8));
            whole.push_back(static_cast<std::uint8_t>(sequence));
            whole.resize(16);
            const auto packet = parse_rtp(whole).value();
            if (buffer.take(packet, whole, now)) out.push_back(sequence);
            while (const auto held = buffer.release(now)) out.push_back(held->sequence);
        }
        return out;
    }

    TEST_CASE("packets a little out of order come out in order, also over the wrap") {
        using List = std::vector<int>;
        CHECK(ordered({1, 2, 3}) == List{1, 2, 3});
        CHECK(ordered({1, 3, 2, 4}) == List{1, 2, 3, 4});
        CHECK(ordered({1, 5, 3, 4, 2, 6}) == List{1, 2, 3, 4, 5, 6});
        CHECK(ordered({65534, 0, 65535, 1}) == List{65534, 65535, 0, 1});
        CHECK(ordered({1, 3, 3, 2, 4}) == List{1, 2, 3, 4});
    }

    TEST_CASE("what is lost is waited for no longer than the patience, and never by many") {
        std::vector<int> hole{1}, after{1};
        for (int i = 3; i < 30; ++i) hole.push_back(i);
        CHECK(ordered(hole, 50ms).size() == hole.size());
        CHECK(ordered({1, 3, 4, 5, 6, 7, 8, 9, 10}, 50ms) ==
              std::vector<int>{1, 3, 4, 5, 6, 7, 8, 9, 10});
        CHECK(ordered({1, 3, 4}, 50ms) == after);
        for (int i = 0; i < 200; ++i) after.push_back(3 + i);
        CHECK(ordered(after, 10h).size() > 100);
        // Another place altogether: the camera began anew.
        CHECK(ordered({1, 2, 20'000, 20'001}) == std::vector<int>{1, 2, 20'000, 20'001});
    }
}

TEST_SUITE("pipelines/ingest/depacketizer") {
    TEST_CASE("single units, aggregates and fragments give the same access unit") {
        const Bytes sei = nal(0x06, 20, 5), idr = nal(0x65, 3000);
        const Bytes expected = prefixed({sei, idr});
        for (int way = 0; way < 2; ++way) {
            Packets p;
            if (way == 0) {
                p.sets();
                p.send(sei, false);
            } else {
                Bytes stap{24};
                for (const Bytes& n : {kSps, kPps, sei}) {
                    stap.push_back(static_cast<std::uint8_t>(n.size() >> 8));
                    stap.push_back(static_cast<std::uint8_t>(n.size()));
                    stap.insert(stap.end(), n.begin(), n.end());
                }
                p.send(stap, false);
            }
            const auto parts = fragments(idr, 5);
            for (const Bytes& part : parts) p.send(part, &part == &parts.back());
            REQUIRE(p.units.size() == 1);
            CHECK(*p.units[0].bytes == expected);
            REQUIRE(p.units[0].format.has_value());
            CHECK(p.units[0].format->facts.width == 640);
            CHECK(p.units[0].format->facts.height == 360);
            CHECK(p.units[0].format->facts.frame_duration == 40ms);
            CHECK(p.units[0].format->codec_config.size() > 30);
        }
    }

    TEST_CASE("a lost packet costs its access unit and no other") {
        const Bytes idr = nal(0x65, 500), slice = nal(0x41, 400);
        for (std::size_t lost = 0; lost < 4; ++lost) {
            CAPTURE(lost);
            Packets p;
            p.sets();
            p.send(idr, true);
            p.timestamp += 3600;
            const auto parts = fragments(slice, 4);
            for (std::size_t i = 0; i < 4; ++i) {
                if (i == lost)
                    ++p.sequence;
                else
                    p.send(parts[i], i == 3);
            }
            p.timestamp += 3600;
            p.send(slice, true);
            p.timestamp += 3600;
            p.send(slice, true);
            REQUIRE(p.units.size() == 3);
            CHECK(p.units[1].timestamp == 90'000 + 2 * 3600);
            CHECK(p.depacketizer.counts().damaged_units == 1);
            CHECK(p.depacketizer.counts().lost_packets == 1);
        }
    }

    TEST_CASE("without marker bits the next time ends an access unit") {
        Packets p;
        p.sets();
        p.send(nal(0x65, 50), false);
        p.send(nal(0x65, 50, 0x48), false);
        CHECK(p.units.empty());
        p.timestamp += 3600;
        p.send(nal(0x41, 50), false);
        REQUIRE(p.units.size() == 1);
        CHECK(p.units[0].bytes->size() == 108);
    }

    TEST_CASE("markers on parameter sets and on every slice mislead only once") {
        Packets p;
        p.send(kSps, true);
        p.send(kPps, true);
        const Bytes first = nal(0x41, 30), second = nal(0x41, 30, 0x48);
        for (int i = 0; i < 5; ++i) {
            p.send(first, true);
            p.send(second, true);
            p.timestamp += 3600;
        }
        REQUIRE(p.units.size() == 4);  // The fifth waits for its end.
        for (std::size_t i = 1; i < 4; ++i) CHECK(p.units[i].bytes->size() == 68);
        CHECK(p.depacketizer.counts().damaged_units == 1);
    }

    TEST_CASE("parameter sets that come with the time before belong to the next picture") {
        Packets p;
        p.sets();
        p.send(nal(0x65, 30), false);
        p.sets();
        p.timestamp += 3600;
        p.send(nal(0x65, 30), true);
        REQUIRE(p.units.size() == 2);
        CHECK(p.units[0].timestamp == 90'000);
        CHECK(p.units[1].timestamp == 93'600);
        CHECK_FALSE(p.units[1].format.has_value());  // The same sets again change nothing.
    }

    TEST_CASE("parameter sets that change come with the picture that they are for") {
        Packets p;
        p.sets();
        p.send(nal(0x65, 30), true);
        p.timestamp += 3600;
        Bytes other = kPps;
        other.back() ^= 0x10;
        p.send(other, false);
        p.send(nal(0x65, 30), true);
        REQUIRE(p.units.size() == 2);
        REQUIRE(p.units[1].format.has_value());
        CHECK(p.units[0].format->codec_config != p.units[1].format->codec_config);
    }

    TEST_CASE("several units with start codes between them, sent as one, are taken apart") {
        Bytes all = kSps;
        const Bytes idr = nal(0x65, 30);
        for (const Bytes& n : {kPps, idr}) {
            all.insert(all.end(), {0, 0, 0, 1});
            all.insert(all.end(), n.begin(), n.end());
        }
        Packets p;
        p.send(all, true);
        REQUIRE(p.units.size() == 1);
        CHECK(*p.units[0].bytes == prefixed({idr}));
    }

    TEST_CASE("H.265 aggregates and fragments are put together") {
        // 640x360, made by x265.
        const Bytes vps = from_hex("40010c01ffff01600000030090000003000003003f959009").value();
        const Bytes sps = from_hex(
                              "42010101600000030090000003000003003fa005020171f2e595912930b9a020"
                              "00000300200000030321")
                              .value();
        Depacketizer d(Codec::h265);
        std::vector<AccessUnit> units;
        std::uint16_t sequence = 65'534;
        const auto send = [&](const Bytes& payload, bool marker) {
            d.push({.payload_type = 96,
                    .marker = marker,
                    .sequence = sequence++,
                    .timestamp = 1,
                    .ssrc = 1,
                    .payload = payload},
                   BootTime{1}, units);
        };
        d.add_parameter_set(vps);
        d.add_parameter_set(sps);
        d.add_parameter_set(from_hex("4401c073c189").value());
        Bytes ap{0x60, 1};
        const Bytes sei = nal(0x4e, 8, 1);
        ap.insert(ap.end(), {0, 8});
        ap.insert(ap.end(), sei.begin(), sei.end());
        send(ap, false);
        send({0x62, 1, 0x80 | 19, 0x80, 1, 2}, false);
        send({0x62, 1, 0x40 | 19, 3, 4}, true);
        REQUIRE(units.size() == 1);
        CHECK(*units[0].bytes == prefixed({sei, Bytes{0x26, 1, 0x80, 1, 2, 3, 4}}));
        REQUIRE(units[0].format.has_value());
        CHECK(units[0].format->facts.width == 640);
        CHECK(units[0].format->facts.height == 360);
        CHECK(entry_point(Codec::h265, *units[0].bytes) == EntryPoint::idr);
    }

    TEST_CASE("an access unit without end does not eat the memory") {
        Packets p;
        p.sets();
        Bytes start{0x7c, 0x85}, middle{0x7c, 0x05};
        start.resize(1400, 0x88);
        middle.resize(1400, 0x88);
        p.send(start, false);
        for (int i = 0; i < 13'000; ++i) p.send(middle, false);  // 18 MB
        p.timestamp += 3600;
        p.send(nal(0x65, 30), true);
        REQUIRE(p.units.size() == 1);
        CHECK(p.units[0].bytes->size() == 34);
        CHECK(p.depacketizer.counts().damaged_units == 1);
    }

    TEST_CASE("before the first parameter sets nothing is delivered, and it is counted") {
        Packets p;
        p.send(nal(0x65, 30), true);
        CHECK(p.units.empty());
        CHECK(p.depacketizer.counts().unusable_units == 1);
    }
}

TEST_SUITE("pipelines/ingest/media_clock") {
    // The error of pictures after the first five seconds, in us.
    struct Worst {
        std::int64_t least = 0, most = 0;
    };

    TEST_CASE("500 ppm of drift, jitter and a wrap: a picture keeps its time for a day") {
        for (const double drift : {-500e-6, 0.0, 500e-6}) {
            CAPTURE(drift);
            MediaClock clock(90'000);
            std::mt19937 random(7);
            std::int64_t least = 0, most = 0;
            BootTime last{};
            for (std::int64_t i = 0; i < 24 * 3600 * 25; ++i) {
                const std::int64_t taken = 1'000'000'000 + i * 40'000;
                const double media = static_cast<double>(i) * 40'000 * (1 + drift);
                const auto stamp = static_cast<std::uint32_t>(
                    static_cast<std::int64_t>(media * 0.09) + 4'000'000'000);
                // Mostly 0 to 2 ms late, one in twenty up to 60 ms.
                const std::int64_t late = random() % 20 == 0 ? random() % 60'000 : random() % 2'000;
                const BootTime pts = clock.map(stamp, BootTime{taken + late});
                CHECK_MESSAGE(pts > last, i);
                last = pts;
                if (i < 250) continue;
                least = std::min(least, pts.us - taken);
                most = std::max(most, pts.us - taken);
            }
            CHECK(clock.resyncs() == 0);
            CHECK(least > -5'000);
            CHECK(most < 6'000);
        }
    }

    TEST_CASE("a slow network moves no picture; a jump of the camera's clock begins anew") {
        MediaClock clock(90'000);
        std::uint32_t stamp = 1000;
        std::int64_t now = 5'000'000;
        for (int i = 0; i < 200; ++i, stamp += 3600, now += 40'000) clock.map(stamp, BootTime{now});
        // Three seconds of silence, then everything at once.
        for (int i = 0; i < 75; ++i, stamp += 3600, now += 40'000)
            CHECK(std::abs(clock.map(stamp, BootTime{5'000'000 + 275 * 40'000}).us - now) < 2'000);
        CHECK(clock.resyncs() == 0);
        for (int i = 0; i < 10; ++i, stamp += 3600, now += 40'000) clock.map(stamp, BootTime{now});
        stamp += 90'000 * 100;
        CHECK(clock.map(stamp, BootTime{now}).us == now);
        CHECK(clock.resyncs() == 1);
        stamp -= 90'000 * 3000;
        now += 40'000;
        CHECK(clock.map(stamp, BootTime{now}).us == now);
        CHECK(clock.resyncs() == 2);
        CHECK(clock.where(stamp + 90'000)->us == now + 1'000'000);
    }

    TEST_CASE("a first picture that comes late does not shift the rest for ever") {
        MediaClock clock(90'000);
        clock.map(0, BootTime{1'100'000});  // taken at 1.0 s
        BootTime last{};
        for (int i = 1; i < 100; ++i) {
            const BootTime pts =
                clock.map(static_cast<std::uint32_t>(i) * 3600, BootTime{1'000'000 + i * 40'000});
            CHECK(pts > last);
            last = pts;
        }
        CHECK(std::abs(last.us - (1'000'000 + 99 * 40'000)) < 1'000);
    }
}

}  // namespace hd::ingest
