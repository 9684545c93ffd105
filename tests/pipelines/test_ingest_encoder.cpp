#include <doctest/doctest.h>

#include "pipelines/ingest/board_facts.hpp"
#include "pipelines/ingest/encoder_lines.hpp"
#include "pipelines/ingest/encoder_watch.hpp"
#include "pipelines/ingest/gst_start.hpp"
#include "pipelines/ingest/probe.hpp"
#include "pipelines/ingest/source.hpp"
#include "pipelines/ingest/stream_guard.hpp"
#include "tests/support/fake_encoders.hpp"
#include "tests/support/memory_fs.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

BoardFacts board(std::string model, std::vector<std::string> compatible,
                 std::vector<std::string> nodes) {
    return {std::move(model), std::move(compatible), std::move(nodes), {}};
}

void put(test::MemoryFileSystem& files, const std::string& path, std::string_view text) {
    files.put(path, Bytes(text.begin(), text.end()));
}

std::string first_of(const BoardFacts& b) { return plan_encoders(b).candidates.front().element; }

bool offers(const BoardFacts& b, std::string_view element) {
    for (const Candidate& c : plan_encoders(b).candidates)
        if (c.element == element) return true;
    return false;
}

Candidate fake(const char* element) { return {element, true, "a fake"}; }

}  // namespace

TEST_SUITE("pipelines/ingest/encoder_choice") {
    TEST_CASE("each board gets the encoder that it has, and software last") {
        const auto pi4 = board("Raspberry Pi 4 Model B Rev 1.4",
                               {"raspberrypi,4-model-b", "brcm,bcm2711"}, {"/dev/video11"});
        CHECK(first_of(pi4) == "v4l2h264enc");
        const auto orin_nx =
            board("NVIDIA Jetson Orin NX Engineering Reference",
                  {"nvidia,p3768-0000+p3767-0000", "nvidia,tegra234"}, {"/dev/v4l2-nvenc"});
        CHECK(first_of(orin_nx) == "nvv4l2h264enc");
        const auto rock = board("Radxa ROCK 5B", {"radxa,rock-5b", "rockchip,rk3588"},
                                {"/dev/mpp_service", "/dev/dri/renderD128"});
        CHECK(first_of(rock) == "mpph264enc");
        const auto pc = board("", {}, {"/dev/dri/renderD128"});
        CHECK(first_of(pc) == "vah264enc");
        CHECK(offers(pc, "qsvh264enc"));
        for (const auto& b : {pi4, orin_nx, rock, pc, board("", {}, {})}) {
            const auto& last = plan_encoders(b).candidates;
            CHECK(last[last.size() - 2].element == "x264enc");
            CHECK(last.back().element == "openh264enc");
        }
    }

    TEST_CASE("a Raspberry Pi 5 and an Orin Nano are never probed for hardware") {
        const auto pi5 =
            board("Raspberry Pi 5 Model B Rev 1.0", {"raspberrypi,5-model-b", "brcm,bcm2712"},
                  {"/dev/video11", "/dev/dri/renderD128"});
        const auto nano =
            board("NVIDIA Jetson Orin Nano Developer Kit",
                  {"nvidia,p3768-0000+p3767-0005", "nvidia,tegra234"}, {"/dev/v4l2-nvenc"});
        for (const auto& b : {pi5, nano}) {
            const EncoderPlan plan = plan_encoders(b);
            for (const Candidate& c : plan.candidates) CHECK_FALSE(c.hardware);
            CHECK(plan.excluded.size() == 1);
            CHECK(plan.hardware.pixels_per_s == 0);
        }
    }

    TEST_CASE("without its device node an encoder is left out, with the reason") {
        const auto pi4 = board("Raspberry Pi 4", {"raspberrypi,4-model-b", "brcm,bcm2711"}, {});
        CHECK_FALSE(offers(pi4, "v4l2h264enc"));
        CHECK(plan_encoders(pi4).excluded[0].why == "no /dev/video11");
        CHECK_FALSE(offers(board("", {}, {}), "vah264enc"));
    }

    TEST_CASE("a node that is no encoder is not believed: a Raspberry's is asked, with QUERYCAP") {
        test::MemoryFileSystem files;
        put(files, "/proc/device-tree/model", "Raspberry Pi 4 Model B");
        put(files, "/proc/device-tree/compatible",
            std::string("raspberrypi,4-model-b\0brcm,bcm2711", 34));
        put(files, "/dev/video11", "");
        std::string asked;
        const auto stub = [&](const std::string& node) {
            asked = node;
            return std::string("no V4L2 driver answers");
        };
        const BoardFacts facts = read_board_facts(files, stub);
        CHECK(asked == "/dev/video11");
        CHECK_FALSE(offers(facts, "v4l2h264enc"));
        CHECK(plan_encoders(facts).excluded[0].why == "/dev/video11: no V4L2 driver answers");
        const BoardFacts good = read_board_facts(files, [](const auto&) { return std::string(); });
        CHECK(first_of(good) == "v4l2h264enc");
        CHECK(plan_encoders(good).hardware.pixels_per_s == 1920 * 1080 * 30);
        CHECK_FALSE(v4l2_defect("/dev/null").empty());
        CHECK_FALSE(v4l2_defect("/nowhere").empty());
    }

    TEST_CASE("all that work are kept in their order, and the failures are in the reason") {
        const EncoderPlan plan = plan_encoders(board("", {}, {"/dev/dri/renderD128"}));
        const auto choice =
            choose_encoder(plan, {{"vah264enc", false, 0, 0ms, "device busy", 0},
                                  {"qsvh264enc", true, 12, 80ms, "works", 0},
                                  {"x264enc", true, 12, 20ms, "works", 90'000'000}});
        CHECK(choice.encoders == std::vector<std::string>{"qsvh264enc", "x264enc"});
        CHECK(choice.why.find("vah264enc: device busy") != std::string::npos);
        CHECK(choice.hardware.pixels_per_s > 0);
        CHECK(choice.software_pixels_per_s == 45'000'000);
        CHECK(choose_encoder(plan, {}).encoders.empty());
        const auto none = choose_encoder(plan, {{"x264enc", false, 3, 0ms, "x", 0}});
        CHECK(none.encoders.empty());
        CHECK(none.hardware.pixels_per_s == 0);
        CHECK(none.why.find("no encoder works; x264enc: x") == 0);
    }

    TEST_CASE("each encoder's line has its own units, its caps and a key frame every two seconds") {
        const EncodeTarget t{
            .max_width = 1280, .max_height = 720, .frames_per_s = 10, .kbit_per_s = 800};
        const auto has = [&](const char* element, std::string_view text) {
            const auto line = encoder_line(element, t);
            REQUIRE(line.has_value());
            const std::string all = line->before + " " + line->properties + " " + line->after;
            INFO(all);
            CHECK(all.find(text) != std::string::npos);
        };
        has("x264enc", " bitrate=800 ");
        has("openh264enc", "bitrate=800000 ");
        has("vah264enc", "bitrate=800 key-int-max=20");
        has("qsvh264enc", "gop-size=20");
        has("vaapih264enc", "keyframe-period=20");
        has("v4l2h264enc", "video_bitrate=800000,h264_i_frame_period=20,repeat_sequence_header=1");
        has("v4l2h264enc", "level=(string)4");
        has("nvv4l2h264enc", "nvvidconv ! video/x-raw(memory:NVMM),format=NV12");
        has("mpph264enc", "height=(int)[16,720,16]");
        has("mpph264enc", "framerate=10/1");
        CHECK_FALSE(encoder_line("nvh264enc", t).has_value());
        CHECK(encoder_line(
                  "v4l2h264enc",
                  {.max_width = 3840, .max_height = 2160, .frames_per_s = 25, .kbit_per_s = 1})
                  ->before.find("width=(int)[16,1920,2],height=(int)[16,1080,2]") !=
              std::string::npos);
    }
}

// Fork after gst_init in this process is safe here: the test has one thread.
TEST_SUITE("pipelines/ingest/probe") {
    TEST_CASE("an encoder counts only if every frame came out") {
        REQUIRE(init_gstreamer().ok());
        using test::FakeEncoder;
        test::register_fake_encoder("v4l2h264enc", FakeEncoder::ok);
        test::register_fake_encoder("vah264enc", FakeEncoder::open_fails);
        test::register_fake_encoder("mpph264enc", FakeEncoder::mute);
        test::register_fake_encoder("qsvh264enc", FakeEncoder::refuses);
        test::register_fake_encoder("vaapih264enc", FakeEncoder::aborts);
        test::register_fake_encoder("vah264lpenc", FakeEncoder::one_frame);
        test::register_fake_encoder("nvv4l2h264enc", FakeEncoder::hangs);

        const ProbeResult ok = probe_encoder(fake("v4l2h264enc"));
        CHECK(ok.works);
        CHECK(ok.frames == kProbeFrames);
        CHECK(ok.detail == "works");
        const ProbeResult busy = probe_encoder(fake("vah264enc"));
        CHECK_FALSE(busy.works);
        CHECK(busy.detail == "device busy");
        const ProbeResult mute = probe_encoder(fake("mpph264enc"));
        CHECK_FALSE(mute.works);
        CHECK(mute.detail == "gave 0 of 12 frames");
        CHECK_FALSE(probe_encoder(fake("qsvh264enc")).works);
        const ProbeResult dead = probe_encoder(fake("vaapih264enc"));
        CHECK_FALSE(dead.works);
        CHECK(dead.detail == "its process died");
        CHECK(probe_encoder(fake("vah264lpenc")).detail == "gave 1 of 12 frames");
        CHECK(probe_encoder(fake("no-such-element")).detail == "not installed");
    }

    TEST_CASE("a hanging encoder is killed at its deadline") {
        test::register_fake_nvvidconv();
        const ProbeResult hung = probe_encoder(fake("nvv4l2h264enc"), 300ms);
        CHECK_FALSE(hung.works);
        CHECK(hung.detail == "hangs");
        CHECK(hung.took < 2s);
    }

    TEST_CASE(
        "every hardware candidate's own line works with an element that has only its properties") {
        for (const char* element : {"v4l2h264enc", "nvv4l2h264enc", "vah264enc", "vah264lpenc",
                                    "qsvh264enc", "vaapih264enc", "mpph264enc"}) {
            test::register_fake_encoder(element, test::FakeEncoder::ok);
            const ProbeResult r = probe_encoder(fake(element));
            INFO(element << ": " << r.detail);
            CHECK(r.works);
        }
        test::register_fake_encoder("mpph264enc", test::FakeEncoder::wrong_caps);
        CHECK_FALSE(probe_encoder(fake("mpph264enc")).works);
        test::register_fake_encoder("vah264enc", test::FakeEncoder::dies);
        CHECK(probe_encoder(fake("vah264enc")).works);  // A probe proves no hour.
    }

    TEST_CASE("software is measured while it is probed") {
        REQUIRE(init_gstreamer().ok());
        const ProbeResult r = probe_encoder({"x264enc", false, "software"});
        INFO(r.detail);
        CHECK(r.works);
        CHECK(r.pixels_per_s > 1'000'000);
        // By its work, not by the time that it took: 200 ms a picture would be 4.6 Mpixel/s.
        test::register_fake_encoder("vah264enc", test::FakeEncoder::slow);
        const ProbeResult idle = probe_encoder(fake("vah264enc"));
        CHECK(idle.took > 2s);
        CHECK(idle.pixels_per_s > 20'000'000);
    }
}

TEST_SUITE("pipelines/ingest/encoder_watch") {
    // A picture every 40 ms from `from` on, as the camera sends them.
    std::optional<std::string> feed(EncoderWatch & w, int from, int until, bool taken, bool given,
                                    unsigned waiting = 0) {
        std::optional<std::string> out;
        for (int i = from; i < until && !out; ++i) {
            const BootTime now{std::int64_t{i} * 40'000};
            out = w.offered(now, waiting);
            if (taken) w.taken(now);
            if (given) w.given(now);
        }
        return out;
    }

    TEST_CASE("an encoder that takes pictures and gives none is named after two seconds") {
        EncoderWatch w;
        CHECK_FALSE(feed(w, 0, 100, true, true));
        CHECK_FALSE(feed(w, 100, 145, true, false));
        const auto said = feed(w, 145, 200, true, false);
        REQUIRE(said.has_value());
        CHECK(said->find("gave none for 20") != std::string::npos);
    }

    TEST_CASE("one that hangs lets pictures pile up; a decoder without a key frame does not") {
        EncoderWatch stuck, waiting;
        stuck.prepared(BootTime{0});
        waiting.prepared(BootTime{0});
        const auto said = feed(stuck, 0, 200, false, false, 8);
        REQUIRE(said.has_value());
        CHECK(said->find("hangs for 40") == 0);
        CHECK_FALSE(feed(waiting, 0, 500, false, false, 0));
    }

    TEST_CASE("rates are counted every five seconds") {
        EncoderWatch w;
        feed(w, 0, 126, true, true);
        const auto rates = w.rates(BootTime{5'040'000});
        REQUIRE(rates.has_value());
        CHECK(rates->millihertz_in == 25'000);
        CHECK(rates->millihertz_out == 25'000);
        CHECK_FALSE(w.rates(BootTime{5'100'000}).has_value());
    }
}

TEST_SUITE("pipelines/ingest/encoder_desk") {
    constexpr BootTime kT0{1'000'000'000};

    TEST_CASE("an encoder that failed rests, the next one takes over, and both reasons are said") {
        EncoderDesk desk;
        link::RecorderSettings s;
        s.encode = link::EncodeMode::hub;
        desk.begin(s, kT0);
        CHECK(desk.pick(kT0).waiting);
        desk.set_grant({{"v4l2h264enc", "x264enc"}, "Raspberry Pi before 5"});
        CHECK(desk.pick(kT0).element == "v4l2h264enc");
        desk.failed("v4l2h264enc", "hangs", kT0);
        const auto next = desk.pick(kT0 + 1s);
        CHECK(next.element == "x264enc");
        CHECK(next.why == "encode = \"hub\"; Raspberry Pi before 5; v4l2h264enc: hangs");
        CHECK(desk.pick(kT0 + 601s).element == "v4l2h264enc");
        desk.failed("v4l2h264enc", "hangs", kT0 + 601s);
        CHECK(desk.pick(kT0 + 1300s).element == "x264enc");  // Twenty minutes now.
        desk.failed("x264enc", "no memory", kT0 + 1300s);
        CHECK(desk.pick(kT0 + 1301s).element.empty());
        CHECK(desk.pick(kT0 + 1301s).why.find("x264enc: no memory") != std::string::npos);
        desk.set_grant({{}, "all of it is taken"});
        CHECK(desk.pick(kT0 + 1302s).why.find("all of it is taken") != std::string::npos);
        CHECK_FALSE(desk.allows("x264enc"));
    }

    TEST_CASE("the need is remembered until limits change or six hours are over") {
        EncoderDesk desk;
        link::RecorderSettings s;
        desk.begin(s, kT0);
        CHECK_FALSE(desk.needed().has_value());
        desk.need("camera sends 3840x2160", kT0);
        desk.begin(s, kT0 + 1h);
        CHECK(desk.needed() == "camera sends 3840x2160");
        s.max_width = 4000;
        desk.begin(s, kT0 + 2h);
        CHECK_FALSE(desk.needed().has_value());
        desk.need("x", kT0 + 2h);
        desk.begin(s, kT0 + 9h);
        CHECK_FALSE(desk.needed().has_value());
    }

    TEST_CASE("the daemon hears of changes at once and of rates every five seconds") {
        EncoderDesk desk;
        desk.begin({}, kT0);
        CHECK_FALSE(desk.report(kT0, true).has_value());  // Nothing to say: most cameras.
        desk.need("camera sends JPEG", kT0);
        REQUIRE(desk.report(kT0, false).has_value());
        CHECK_FALSE(desk.report(kT0 + 1s, false).has_value());
        desk.measured({640, 480, 10'000, 9'000});
        CHECK(desk.report(kT0 + 1s, false)->width == 640);
        desk.measured({640, 480, 10'000, 9'500});
        CHECK_FALSE(desk.report(kT0 + 2s, false).has_value());
        CHECK(desk.report(kT0 + 7s, false)->millihertz_out == 9'500);
        CHECK(desk.report(kT0 + 7s, true).has_value());
    }
}

TEST_SUITE("pipelines/ingest/stream_guard") {
    StreamFormat format_of(std::uint16_t width, std::uint16_t height, Micros frame) {
        StreamFormat f;
        f.width = width;
        f.height = height;
        f.frame_duration = frame;
        return f;
    }
    constexpr BootTime kT0{1'000'000'000};

    TEST_CASE("auto hands a larger picture or a higher rate to the hub, camera refuses them") {
        link::RecorderSettings s;
        s.max_width = 1920;
        s.max_height = 1080;
        s.max_frames_per_s = 30;
        const auto desk = std::make_shared<EncoderDesk>();
        desk->begin(s, kT0);
        StreamGuard guard(s, desk);
        CHECK_FALSE(guard.look(format_of(1920, 1080, 33'333us), kT0).has_value());
        CHECK_FALSE(guard.look(format_of(1920, 1080, 0us), kT0).has_value());
        CHECK_FALSE(desk->needed().has_value());
        const auto lost = guard.look(format_of(3840, 2160, 40ms), kT0);
        REQUIRE(lost.has_value());
        CHECK(lost->cause == journal::GapCause::encoder);
        CHECK(desk->needed() == "camera sends 3840x2160, over the limit of 1920x1080");
        s.encode = link::EncodeMode::camera;
        StreamGuard strict(s, desk);
        const auto refused = strict.look(format_of(1280, 720, 20ms), kT0);
        REQUIRE(refused.has_value());
        CHECK(refused->cause == journal::GapCause::refused);
        CHECK(refused->detail.find("50 pictures a second, over the limit of 30") !=
              std::string::npos);
    }

    TEST_CASE("bits are measured over twice ten seconds; camera keeps them") {
        for (const auto mode : {link::EncodeMode::automatic, link::EncodeMode::camera}) {
            link::RecorderSettings s;
            s.encode = mode;
            s.max_kbit_per_s = 2000;
            const auto desk = std::make_shared<EncoderDesk>();
            desk->begin(s, kT0);
            StreamGuard guard(s, desk);
            const Bytes picture(15'000, 0);  // 3 Mbit/s at 25
            Frame frame;
            frame.bytes = picture;
            std::optional<int> at;
            for (int i = 0; i < 1000 && !at; ++i)
                if (guard.look(frame, kT0 + i * 40ms)) at = i;
            CHECK(at.has_value() == (mode == link::EncodeMode::automatic));
            if (at) CHECK(*at == 500);
        }
    }
}

}  // namespace hd::ingest
