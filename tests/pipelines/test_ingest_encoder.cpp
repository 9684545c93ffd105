#include <doctest/doctest.h>

#include "pipelines/ingest/board_facts.hpp"
#include "pipelines/ingest/probe.hpp"
#include "pipelines/ingest/source.hpp"
#include "tests/support/fake_encoders.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

BoardFacts board(std::string model, std::vector<std::string> compatible,
                 std::vector<std::string> nodes) {
    return {std::move(model), std::move(compatible), std::move(nodes)};
}

std::string first_of(const BoardFacts& b) { return plan_encoders(b).candidates.front().element; }

bool offers(const BoardFacts& b, std::string_view element) {
    for (const Candidate& c : plan_encoders(b).candidates)
        if (c.element == element) return true;
    return false;
}

Candidate fake(const char* element) {
    return {element,        true,           "videoconvert ! video/x-raw,format=NV12",
            "bitrate=2000", "video/x-h264", "a fake"};
}

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
        }
    }

    TEST_CASE("without its device node an encoder is left out, with the reason") {
        const auto pi4 = board("Raspberry Pi 4", {"raspberrypi,4-model-b", "brcm,bcm2711"}, {});
        CHECK_FALSE(offers(pi4, "v4l2h264enc"));
        CHECK(plan_encoders(pi4).excluded[0].why == "no /dev/video11");
        CHECK_FALSE(offers(board("", {}, {}), "vah264enc"));
    }

    TEST_CASE("the first candidate that works is taken, and the failures are in the reason") {
        const EncoderPlan plan = plan_encoders(board("", {}, {"/dev/dri/renderD128"}));
        const auto choice = choose_encoder(plan, {{"vah264enc", false, 0, 0ms, "device busy"},
                                                  {"qsvh264enc", true, 12, 80ms, "works"},
                                                  {"x264enc", true, 12, 20ms, "works"}});
        REQUIRE(choice.encoder.has_value());
        CHECK(choice.encoder->element == "qsvh264enc");
        CHECK(choice.why.find("vah264enc: device busy") != std::string::npos);
        CHECK_FALSE(choose_encoder(plan, {}).encoder.has_value());
        CHECK_FALSE(choose_encoder(plan, {{"x264enc", false, 3, 0ms, "x"}}).encoder.has_value());
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
        const ProbeResult hung = probe_encoder(fake("nvv4l2h264enc"), 300ms);
        CHECK_FALSE(hung.works);
        CHECK(hung.detail == "hangs");
        CHECK(hung.took < 2s);
    }

    TEST_CASE("the real lines of the candidates parse, with the properties that they set") {
        for (const auto& b : {board("", {"brcm,bcm2711"}, {"/dev/video11"}),
                              board("", {"rockchip,rk3588"}, {"/dev/mpp_service"})}) {
            const Candidate first = plan_encoders(b).candidates.front();
            const ProbeResult r = probe_encoder(first);
            INFO(first.element << ": " << r.detail);
            CHECK((r.works || r.detail == "gave 0 of 12 frames"));
        }
    }
}

}  // namespace hd::ingest
