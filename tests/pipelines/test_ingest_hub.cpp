// Encoding on the hub while a camera runs: the real pipeline against halfdoor-replay, with fake
// hardware encoders under the real names, and with the real software encoder.
#include <functional>
#include <thread>

#include <doctest/doctest.h>

#include "index/base/clock.hpp"
#include "pipelines/ingest/encode_feed.hpp"
#include "pipelines/ingest/gst_start.hpp"
#include "pipelines/ingest/source.hpp"
#include "pipelines/ingest/stream_guard.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_encoders.hpp"
#include "tests/support/replay_child.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;
using test::FakeEncoder;

struct Session {
    std::vector<StreamFormat> formats;
    std::size_t frames = 0, keys = 0;
    AudioFormat sound;
    std::size_t heard = 0;  // frames of sound
    BootTime first_heard{}, last_heard{};
    std::optional<Lost> lost;
    bool stopped = false;
    BootTime first_frame{}, last_frame{};
};

struct Hub {
    std::shared_ptr<EncoderDesk> desk = std::make_shared<EncoderDesk>();
    link::RecorderSettings settings;

    explicit Hub(std::string url) { settings.url = std::move(url); }

    // A session, and another one while the camera still tidies up after the last (503), as a
    // recorder would.
    Session run(std::size_t frames, const std::function<void(std::size_t)>& on_frame = {}) {
        Session s = run_once(frames, on_frame);
        for (int i = 0; i < 20 && s.lost && s.lost->detail == "camera is busy (503)"; ++i) {
            std::this_thread::sleep_for(200ms);
            s = run_once(frames, on_frame);
        }
        return s;
    }

    // One session, until it has so many frames, is lost, or 15 s are over. `on_frame` is told how
    // many are there.
    Session run_once(std::size_t frames, const std::function<void(std::size_t)>& on_frame) {
        Session s;
        Ingress ingress({});
        auto source = make_rtsp_source(settings, system_clock(), ingress, desk);
        StreamGuard guard(settings, desk);
        REQUIRE(source->start().ok());
        const BootTime until = system_clock().boot() + 15s;
        while (s.frames < frames && !s.lost && system_clock().boot() < until) {
            auto event = ingress.pop(100ms);
            if (!event) continue;
            if (auto* format = std::get_if<StreamFormat>(&*event)) {
                s.formats.push_back(*format);
                if (format->encoder == "camera")
                    s.lost = guard.look(*format, system_clock().boot());
            }
            if (auto* lost = std::get_if<Lost>(&*event)) s.lost = *lost;
            if (auto* sound = std::get_if<AudioFormat>(&*event)) s.sound = *sound;
            if (const auto* heard = std::get_if<AudioFrame>(&*event)) {
                if (s.heard++ == 0) s.first_heard = heard->pts;
                s.last_heard = heard->pts;
            }
            if (const auto* frame = std::get_if<Frame>(&*event)) {
                if (s.frames++ == 0) s.first_frame = frame->pts;
                s.last_frame = frame->pts;
                s.keys += frame->idr;
                if (on_frame) on_frame(s.frames);
            }
        }
        s.stopped = source->stop(system_clock().boot() + 2s).ok();
        // What hangs keeps using it: as in a recorder, the process has to end.
        if (!s.stopped) static_cast<void>(source.release());
        return s;
    }
};

// The first encoder fails as told; the next session takes the second, and says why.
void check_fallback(const test::ReplayChild& camera, FakeEncoder behaviour,
                    std::string_view words) {
    CAPTURE(words);
    test::register_fake_encoder("v4l2h264enc", behaviour);
    Hub hub(camera.url("mjpeg-240p"));
    hub.desk->set_grant({{"v4l2h264enc", "vah264enc"}, "a test's share"});
    const Session first = hub.run(1000);
    REQUIRE(first.lost.has_value());
    CHECK(first.lost->cause == journal::GapCause::encoder);
    CAPTURE(first.lost->detail);
    CHECK(first.lost->detail.find("v4l2h264enc: ") == 0);
    CHECK(first.lost->detail.find(words) != std::string::npos);
    const bool hangs = behaviour == FakeEncoder::hangs || behaviour == FakeEncoder::freezes ||
                       behaviour == FakeEncoder::never_opens;
    CHECK(first.stopped == !hangs);
    // The camera's sound comes 15.6 times a second, whatever its pictures wait for.
    if (hangs) CHECK(first.heard > 30);
    const Session second = hub.run(20);
    CHECK(second.frames >= 20);
    REQUIRE(second.formats.size() == 1);
    CHECK(second.formats[0].encoder == "vah264enc");
    CHECK(second.formats[0].encoder_why.find("camera sends JPEG; a test's share; v4l2h264enc: ") ==
          0);
    const auto report = hub.desk->report(system_clock().boot(), true);
    REQUIRE(report.has_value());
    CHECK(report->failed == std::vector<std::string>{"v4l2h264enc"});
}

test::ReplayChild mjpeg_camera() {
    return test::ReplayChild({"--generate", "mjpeg:320x240@25:seconds=2:audio=aac"});
}

}  // namespace

TEST_SUITE("pipelines/ingest/hub") {
    TEST_CASE(
        "an MJPEG camera is encoded, every picture of it, and its sound is kept as sent beside "
        "it") {
        const auto camera = mjpeg_camera();
        Hub hub(camera.url("mjpeg-240p"));
        hub.desk->set_grant({{"x264enc"}, "software"});
        const Session s = hub.run(60);
        REQUIRE(s.formats.size() == 1);
        CHECK(s.formats[0].encoder == "x264enc");
        CHECK(s.formats[0].encoder_why == "camera sends JPEG; software");
        CHECK(s.formats[0].width == 320);
        CHECK(s.formats[0].height == 240);
        CHECK(s.frames == 60);
        CHECK(s.keys == 2);  // Every two seconds, although the encoder's line says 60 pictures.
        const Micros span = s.last_frame - s.first_frame;  // 59 pictures of 40 ms
        CHECK(span > 2260ms);
        CHECK(span < 2460ms);
        CHECK(s.stopped);
        CHECK(s.sound.codec == AudioCodec::aac);
        CHECK(s.heard > 30);
        CHECK(s.last_heard - s.first_heard > 2s);
        CHECK(s.first_heard - s.first_frame < 300ms);
        CHECK(s.first_frame - s.first_heard < 300ms);
        CHECK(hub.desk->report(system_clock().boot(), true)->width == 320);

        hub.settings.encode = link::EncodeMode::camera;
        const Session refused = hub.run(1);
        REQUIRE(refused.lost.has_value());
        CHECK(refused.lost->cause == journal::GapCause::refused);
        CAPTURE(refused.lost->detail);
        CHECK(refused.lost->detail.find("JPEG") != std::string::npos);
    }

    TEST_CASE("a camera over its limits is encoded within them, and both are said") {
        const test::ReplayChild camera({"--generate", "h264:640x360@25:seconds=2:gop=25"});
        Hub hub(camera.url("h264-360p"));
        hub.settings.max_width = 320;
        hub.settings.max_height = 240;
        hub.settings.max_frames_per_s = 30;
        hub.desk->set_grant({{"x264enc"}, "software"});
        const Session first = hub.run(10);
        REQUIRE(first.lost.has_value());
        CHECK(first.lost->cause == journal::GapCause::encoder);
        const Session second = hub.run(30);
        CHECK(second.frames == 30);
        REQUIRE(second.formats.size() == 1);
        CHECK(second.formats[0].encoder_why ==
              "camera sends 640x360, over the limit of 320x240; software");
        CHECK(second.formats[0].width == 320);
        CHECK(second.formats[0].height == 180);
    }

    TEST_CASE("pictures of H.264 with B-frames and of H.265 come out one for one, at their times") {
        const test::ReplayChild camera({"--generate",
                                        "h264:320x240@25:seconds=2:gop=25:bframes=2,"
                                        "h265:192x144@25:seconds=2:gop=25:audio=pcmu"});
        for (const auto& [name, sound] :
             {std::pair{"h264-240p", AudioCodec::none}, std::pair{"h265-144p", AudioCodec::pcmu}}) {
            CAPTURE(name);
            Hub hub(camera.url(name));
            hub.settings.encode = link::EncodeMode::hub;
            hub.desk->set_grant({{"x264enc"}, "software"});
            const Session s = hub.run(60);
            REQUIRE(s.formats.size() == 1);
            CHECK(s.formats[0].codec == Codec::h264);
            CHECK(s.formats[0].encoder_why == "encode = \"hub\"; software");
            CHECK(s.sound.codec == sound);
            CHECK((s.heard > 0) == (sound != AudioCodec::none));
            // 59 pictures of 40 ms; half of them would take twice as long. The camera's first
            // picture comes late, and the clock of the session makes up for that.
            const Micros span = s.last_frame - s.first_frame;
            CHECK(span > 2s);
            CHECK(span < 2800ms);
            CHECK(s.stopped);
        }
    }

    TEST_CASE("a reader never waits for an encoder that does not open: what is too much goes") {
        REQUIRE(init_gstreamer().ok());
        // No other test has this element: what hangs stays so, and keeps using all of this.
        test::register_fake_encoder("qsvh264enc", FakeEncoder::never_opens);
        static test::FakeClock clock;
        static std::optional<Lost> lost;
        const auto desk = std::make_shared<EncoderDesk>();
        desk->set_grant({{"qsvh264enc"}, "a GPU"});
        desk->need("a test", clock.boot());
        auto* const feed =
            std::make_unique<EncodeFeed>(
                link::RecorderSettings{}, desk, clock,
                EncodeFeed::Listener{[](SourceEvent) {}, [](Lost l) { lost = std::move(l); }})
                .release();
        feed->begin({.kind = "video", .encoding = "H264"});
        const auto bytes = std::make_shared<const Bytes>(1 << 20);
        Frame frame{*bytes, bytes, clock.boot(), clock.boot(), true};
        feed->take(StreamFormat{});
        const auto give = [&](int seconds) {
            for (int i = 0; i < seconds * 4; ++i) {
                frame.pts = frame.dts = clock.boot();
                frame.idr = i % 4 == 0;
                feed->take(frame);
                clock.advance(250ms);
            }
        };
        give(8);
        CHECK_FALSE(lost.has_value());
        // 16 of 32 fit.
        const auto left_out = desk->report(clock.boot(), true)->frames_left_out;
        CHECK(left_out >= 15);
        CHECK(left_out <= 17);
        give(1);
        REQUIRE(lost.has_value());
        CHECK(lost->cause == journal::GapCause::encoder);
        CHECK(lost->detail.find("qsvh264enc: hangs for 8") == 0);
        CHECK(desk->report(clock.boot(), true)->failed == std::vector<std::string>{"qsvh264enc"});
    }

    TEST_CASE("an encoder that dies or cannot be opened is followed by the next") {
        REQUIRE(init_gstreamer().ok());
        const auto camera = mjpeg_camera();
        test::register_fake_encoder("vah264enc", FakeEncoder::ok);
        check_fallback(camera, FakeEncoder::dies, "the driver gave up");
        check_fallback(camera, FakeEncoder::open_fails, "device busy");
    }

    TEST_CASE("an encoder that hangs is followed by the next (slow)") {
        REQUIRE(init_gstreamer().ok());
        const auto camera = mjpeg_camera();
        test::register_fake_encoder("vah264enc", FakeEncoder::ok);
        check_fallback(camera, FakeEncoder::freezes, "hangs");
        check_fallback(camera, FakeEncoder::hangs, "hangs");
        check_fallback(camera, FakeEncoder::never_opens, "hangs for 8");
    }

    TEST_CASE("an encoder that refuses its format or goes mute is followed by the next (slow)") {
        REQUIRE(init_gstreamer().ok());
        const auto camera = mjpeg_camera();
        test::register_fake_encoder("vah264enc", FakeEncoder::ok);
        check_fallback(camera, FakeEncoder::refuses, "");
        check_fallback(camera, FakeEncoder::wrong_caps, "");
        check_fallback(camera, FakeEncoder::mute, "gave none");
        check_fallback(camera, FakeEncoder::falls_mute, "gave none");
    }

    TEST_CASE("a share that goes to another camera ends the session, and is nobody's failure") {
        REQUIRE(init_gstreamer().ok());
        const auto camera = mjpeg_camera();
        test::register_fake_encoder("vah264enc", FakeEncoder::ok);
        Hub hub(camera.url("mjpeg-240p"));
        hub.desk->set_grant({{"vah264enc", "x264enc"}, "a GPU"});
        const Session revoked = hub.run(500, [&](std::size_t frames) {
            if (frames == 10) hub.desk->set_grant({{"x264enc"}, "software, the GPU is taken"});
        });
        REQUIRE(revoked.formats.size() == 1);
        CHECK(revoked.formats[0].encoder == "vah264enc");
        CHECK(revoked.frames >= 10);
        CHECK(revoked.frames < 60);
        REQUIRE(revoked.lost.has_value());
        CHECK(revoked.lost->cause == journal::GapCause::encoder);
        CHECK(revoked.lost->detail == "vah264enc: the hub gave it to another camera");
        CHECK(revoked.stopped);
        const Session after = hub.run(10);
        REQUIRE(after.formats.size() == 1);
        CHECK(after.formats[0].encoder == "x264enc");
        CHECK(after.formats[0].encoder_why == "camera sends JPEG; software, the GPU is taken");
        CHECK(hub.desk->report(system_clock().boot(), true)->failed.empty());
    }

    TEST_CASE("without a share a camera waits, and both have words") {
        REQUIRE(init_gstreamer().ok());
        const auto camera = mjpeg_camera();
        Hub hub(camera.url("mjpeg-240p"));
        const Session waiting = hub.run(1);
        REQUIRE(waiting.lost.has_value());
        CHECK(waiting.lost->detail.find("waits for its share") == 0);
        hub.desk->set_grant({{}, "all of it is taken"});
        const Session refused = hub.run(1);
        REQUIRE(refused.lost.has_value());
        CHECK(refused.lost->detail.find("all of it is taken") != std::string::npos);
    }

    TEST_CASE(
        "an encoder slower than its camera leaves pictures out, counted, and goes on (slow)") {
        REQUIRE(init_gstreamer().ok());
        const auto camera = mjpeg_camera();
        test::register_fake_encoder("vah264enc", FakeEncoder::slow);
        Hub hub(camera.url("mjpeg-240p"));
        hub.desk->set_grant({{"vah264enc"}, "a GPU"});
        std::optional<link::EncoderReport> report;
        const Session s = hub.run(35, [&](std::size_t frames) {
            if (frames == 35) report = hub.desk->report(system_clock().boot(), true);
        });
        CHECK(s.frames == 35);
        CHECK_FALSE(s.lost.has_value());
        CHECK(s.stopped);
        // 25 pictures a second come, five go out; eight may wait.
        const Micros span = s.last_frame - s.first_frame;
        CHECK(span > 5s);
        REQUIRE(report.has_value());
        CHECK(report->frames_left_out > 60);
        CHECK(report->millihertz_in > 20'000);
        CHECK(report->millihertz_out < 6'000);
        CHECK(report->failed.empty());
    }
}

}  // namespace hd::ingest
