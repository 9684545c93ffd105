#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "tests/support/temp_folder.hpp"
#include "tools/dev/frame_tally.hpp"
#include "tools/replay/generate.hpp"
#include "tools/replay/options.hpp"
#include "tools/replay/packet_faults.hpp"
#include "tools/replay/timeline.hpp"

namespace hd::replay {
namespace {

using namespace std::chrono_literals;

// Five frames, 100 ms apart, key frames at 0 and 3.
Footage five_frames() {
    Footage f;
    for (int i = 0; i < 5; ++i)
        f.video.push_back({.dts = 100ms * i, .pts = 100ms * i, .key = i == 0 || i == 3});
    f.length = 500ms;
    return f;
}

Bytes annexb(std::initializer_list<Bytes> nals) {
    ByteWriter out;
    for (const Bytes& nal : nals) {
        out.raw(std::string_view("\0\0\0\1", 4));
        out.raw(nal);
    }
    return std::move(out).take();
}

}  // namespace

TEST_SUITE("tools/replay/annexb") {
    TEST_CASE("the first slice and the key frames are found in both codecs") {
        const Bytes au = annexb({{0x67, 1}, {0x68, 2}, {0x65, 3}});
        const auto h264 = inspect(VideoCodec::h264, au);
        CHECK(h264.key);
        CHECK(h264.has_parameter_sets);
        CHECK(h264.first_vcl == 12);
        const Bytes p = annexb({{0x06, 5, 1, 0, 0x80}, {0x41, 3}});
        CHECK_FALSE(inspect(VideoCodec::h264, p).key);
        CHECK(inspect(VideoCodec::h264, p).first_vcl == 9);
        CHECK(inspect(VideoCodec::h265, annexb({{19 << 1, 1, 0}})).key);
        CHECK(inspect(VideoCodec::h265, annexb({{21 << 1, 1, 0}})).key);
        CHECK_FALSE(inspect(VideoCodec::h265, annexb({{1 << 1, 1, 0}})).key);
    }

    TEST_CASE("parameter sets that come twice in an access unit are sent once") {
        const Bytes once = annexb({{0x67, 1}, {0x68, 2}, {0x65, 3}});
        CHECK(without_repeats(VideoCodec::h264,
                              annexb({{0x67, 1}, {0x68, 2}, {0x67, 1}, {0x68, 2}, {0x65, 3}})) ==
              once);
        CHECK(without_repeats(VideoCodec::h264, once) == once);
        const Bytes slices = annexb({{0x41, 1}, {0x41, 1}});  // Slices are never repeats.
        CHECK(without_repeats(VideoCodec::h264, slices) == slices);
        const Bytes different = annexb({{0x67, 1}, {0x67, 2}});
        CHECK(without_repeats(VideoCodec::h264, different) == different);
    }

    TEST_CASE("a counter is found again, and holds no start code and no emulation sequence") {
        for (const auto codec : {VideoCodec::h264, VideoCodec::h265}) {
            const Bytes nal = counter_nal(codec, {0x1234, 0xfedcba9876543210});
            const auto found = find_counter(nal);
            REQUIRE(found.has_value());
            CHECK(found->number == 0x1234);
            CHECK(found->sent_unix_ns == 0xfedcba9876543210);
            for (std::size_t i = 4; i + 2 < nal.size(); ++i)
                CHECK_FALSE((nal[i] == 0 && nal[i + 1] == 0 && nal[i + 2] <= 3));
        }
        CHECK_FALSE(find_counter(as_bytes("HALFDOORFRAMECNT0123")).has_value());
        CHECK_FALSE(find_counter(as_bytes("HALFDOORFRAMECNTxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")));
        CHECK_FALSE(find_counter({}).has_value());
    }
}

TEST_SUITE("tools/replay/timeline") {
    TEST_CASE("numbers and due times go on over the end of the loop") {
        const Footage f = five_frames();
        Timeline t(f, 1s);
        for (std::uint64_t i = 0; i < 12; ++i) {
            CHECK(t.number() == i);
            CHECK(t.due() == 1s + 100ms * i);
            t.advance();
        }
    }
    TEST_CASE("frames that nobody saw are counted, however long nobody looked") {
        const Footage f = five_frames();
        Timeline t(f, 0s);
        t.skip_until(1h + 50ms);
        CHECK(t.number() == 36001);
        CHECK(t.due() == 1h + 100ms);
    }
    TEST_CASE("a client begins with the newest key frame, at once, under the number of now") {
        const Footage f = five_frames();
        Timeline t(f, 0s);
        t.skip_until(430ms);  // The next is frame 0 of the second loop.
        CHECK(t.number() == 5);
        t.advance();
        t.rewind_to_key(530ms);
        CHECK(t.frame().key);
        CHECK(t.due() == 530ms);
        CHECK(t.number() == 6);
        t.advance();
        CHECK(t.due() == 630ms);
    }
}

TEST_SUITE("tools/replay/options") {
    TEST_CASE("recipes are read, and each broken rule is named") {
        const auto ok = parse_recipes("h264:1280x720@25,h265:640x360@15:gop=30:kbit=500:bframes=2");
        REQUIRE(ok.ok());
        CHECK(ok->size() == 2);
        CHECK((*ok)[1].codec == VideoCodec::h265);
        CHECK((*ok)[1].gop == 30);
        CHECK((*ok)[1].bframes == 2);
        for (const char* bad : {"", "vp9:640x360@25", "h264", "h264:640@25", "h264:641x360@25",
                                "h264:640x360@0", "h264:640x360@25:gop=0", "h264:640x360@25:x=1",
                                "h264:640x360@25,", "h264:99999x2@25"}) {
            INFO(bad);
            CHECK(parse_recipes(bad).error().code == ErrorCode::invalid);
        }
    }
    TEST_CASE("faults are read, and each broken rule is named") {
        const auto fault = parse_fault("front,stall,2.5,10");
        REQUIRE(fault.ok());
        CHECK(fault->camera == "front");
        CHECK(fault->at == 2500ms);
        CHECK(fault->amount == 10);
        CHECK(parse_fault("1,reset,3").ok());
        CHECK(parse_fault("1,rtpjump,3,-2.5")->amount == -2.5);
        CHECK(parse_fault("1,loss,3,20,60")->span == 60s);
        CHECK(parse_command("1,nosr,4")->span == 4s);
        for (const char* bad : {"front", "front,stall,1", "front,explode,1", "front,reset,x",
                                "front,reset,-1", "front,skip,1,many", "a,b,c,d,e", "a,reset,1,5",
                                "a,loss,1,-5", "a,loss,1,5,0", "a,skip,1,2,3", "a,skip,1e300,2"})
            CHECK(parse_fault(bad).error().code == ErrorCode::invalid);
    }
    TEST_CASE("file names become URL names") {
        CHECK(url_name("Front Door (1)") == "front-door-1");
        CHECK(url_name("parking_car_768x432") == "parking_car_768x432");
        CHECK(url_name("---") == "camera");
    }
}

TEST_SUITE("tools/replay/packet_faults") {
    // A hundred packets of 100 bytes, a frame's time apart, through the faults.
    std::vector<Bytes> passed(std::uint64_t seed, const std::vector<std::string>& faults) {
        PacketFaults under_test(seed);
        for (const std::string& f : faults) under_test.begin(parse_command(f).value(), 0s);
        std::vector<Bytes> out;
        for (std::uint32_t i = 0; i < 100; ++i) {
            Bytes packet(112, 0x11);
            packet[3] = static_cast<std::uint8_t>(i);
            const std::uint32_t timestamp = 3600 * i;
            for (std::size_t k = 0; k < 4; ++k)
                packet[4 + k] = static_cast<std::uint8_t>(timestamp >> (24 - 8 * k));
            under_test.pass(std::move(packet), 40ms * i, out);
        }
        return out;
    }
    std::uint32_t timestamp(const Bytes& p) {
        return std::uint32_t{p[4]} << 24 | std::uint32_t{p[5]} << 16 | std::uint32_t{p[6]} << 8 |
               p[7];
    }

    TEST_CASE("the same seed loses the same packets, another one others") {
        const auto one = passed(1, {"c,loss,20"});
        CHECK(one == passed(1, {"c,loss,20"}));
        CHECK(one != passed(2, {"c,loss,20"}));
        CHECK(one.size() > 60);
        CHECK(one.size() < 95);
        CHECK(passed(1, {"c,loss,100,2"}).size() == 50);
    }
    TEST_CASE("reordering loses nothing, truncation and garbling keep the RTP header") {
        const auto reordered = passed(3, {"c,reorder,30"});
        CHECK(reordered.size() >= 99);  // One may still be held back.
        CHECK_FALSE(std::is_sorted(reordered.begin(), reordered.end(),
                                   [](auto& a, auto& b) { return a[3] < b[3]; }));
        std::size_t shorter = 0, garbled = 0;
        for (const Bytes& p : passed(3, {"c,truncate,50"})) shorter += p.size() < 112;
        for (const Bytes& p : passed(3, {"c,garble,50"})) {
            garbled += p[50] != 0x11 || p[51] != 0x11;
            CHECK(p.size() == 112);
        }
        CHECK(shorter > 30);
        CHECK(shorter < 70);
        CHECK(garbled > 30);
        CHECK(garbled < 70);
    }
    TEST_CASE("timestamps jump and drift by what was asked") {
        const auto plain = passed(1, {}), jumped = passed(1, {"c,rtpjump,-2"});
        CHECK(timestamp(plain[9]) - timestamp(jumped[9]) == 180'000u);
        const auto fast = passed(1, {"c,drift,10000"});
        CHECK(timestamp(fast[99]) - timestamp(plain[99]) == 3564u);  // 1 % of 3.96 s
    }
    TEST_CASE("sender reports jump and fall silent; receiver reports stay as they are") {
        PacketFaults faults(1);
        faults.begin(parse_command("c,ntpjump,3600").value(), 0s);
        Bytes report(28, 0);
        report[1] = 200;
        faults.pass_report(report, 1s);
        CHECK(report[10] == 0x0e);  // 3600 s
        CHECK(report[11] == 0x10);
        faults.begin(parse_command("c,nosr,5").value(), 1s);
        faults.pass_report(report, 2s);
        CHECK(report[1] == 201);
        report[1] = 200;
        faults.pass_report(report, 7s);
        CHECK(report[1] == 200);
    }
}

TEST_SUITE("tools/replay/footage") {
    TEST_CASE("generated footage is a closed loop of decodable order") {
        for (const auto codec : {VideoCodec::h264, VideoCodec::h265}) {
            const auto f = generate_footage({.codec = codec,
                                             .width = 64,
                                             .height = 64,
                                             .rate = 10,
                                             .gop = 5,
                                             .bframes = 2,
                                             .seconds = 2},
                                            "x");
            REQUIRE(f.ok());
            CHECK(f->video.size() == 20);
            CHECK(f->length == 2s);
            std::size_t keys = 0;
            for (std::size_t i = 0; i < f->video.size(); ++i) {
                const VideoUnit& u = f->video[i];
                keys += u.key;
                CHECK(u.pts >= u.dts);
                if (i > 0) CHECK(u.dts > f->video[i - 1].dts);
                const ByteView au = ByteView(f->video_bytes).subspan(u.offset, u.size);
                if (u.key) CHECK(inspect(codec, au).has_parameter_sets);
            }
            CHECK(keys == 4);
        }
    }

    TEST_CASE("a raw stream with B-frames gets its display order from the stream") {
        auto made = generate_footage(
            {.width = 64, .height = 64, .rate = 10, .gop = 10, .bframes = 2, .seconds = 2}, "x");
        REQUIRE(made.ok());
        const test::TempFolder folder;
        const std::string path = folder.path() + "/raw.h264";
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(made->video_bytes.data()),
                   static_cast<std::streamsize>(made->video_bytes.size()));
        const auto loaded = load_footage(path);
        REQUIRE(loaded.ok());
        REQUIRE(loaded->video.size() == made->video.size());
        const auto frame = loaded->length / 20;
        // The file may allow for a shorter reorder delay than the encoder did.
        const auto shift = loaded->video[0].pts / frame - made->video[0].pts / 100ms;
        for (std::size_t i = 0; i < made->video.size(); ++i) {
            CHECK(loaded->video[i].key == made->video[i].key);
            CHECK(loaded->video[i].pts / frame == made->video[i].pts / 100ms + shift);
        }
    }

    TEST_CASE("a file that cannot be served is named with the rule that it breaks") {
        const test::TempFolder folder;
        const std::string path = folder.path() + "/not-video.mp4";
        std::ofstream(path) << "this is text";
        const auto loaded = load_footage(path);
        REQUIRE_FALSE(loaded.ok());
        CHECK(loaded.error().what.find("not-video.mp4") != std::string::npos);
        CHECK(video_files(folder.path() + "/nowhere").error().code == ErrorCode::not_found);
        std::filesystem::remove(path);
        CHECK(video_files(folder.path()).error().what.find("no video file") != std::string::npos);
    }
}

TEST_SUITE("tools/dev/frame_tally") {
    TEST_CASE("missing and repeated numbers are told apart") {
        dev::FrameTally t;
        for (const std::uint64_t n : {5u, 6u, 7u, 10u, 10u, 11u}) {
            t.add(counter_nal(VideoCodec::h264, {n, 1000 + n}), n == 5, "a.mp4");
        }
        CHECK(t.packets == 6);
        CHECK(t.missing == 2);
        CHECK(t.repeated == 1);
        CHECK(t.key_frames == 1);
        CHECK(*t.first == 5);
        CHECK(*t.last == 11);
        CHECK_FALSE(t.complete());
        REQUIRE(t.gaps.size() == 1);
        CHECK(t.gaps[0].after == 7);
        CHECK(t.gaps[0].sent_before_ns == 1007);
        CHECK(t.gaps[0].sent_after_ns == 1010);
        CHECK(t.first_sent_ns == 1005);
        CHECK(t.last_sent_ns == 1011);
    }
    TEST_CASE("a recording without numbers is not complete") {
        dev::FrameTally t;
        t.add(as_bytes("frame"), true, "a.mp4");
        CHECK_FALSE(t.complete());
    }
}

}  // namespace hd::replay
