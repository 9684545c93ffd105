// The RTSP source against halfdoor-replay in a child process: real sockets, real time, counted
// frames.
#include <functional>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "index/base/clock.hpp"
#include "pipelines/ingest/encoder_desk.hpp"
#include "pipelines/ingest/source.hpp"
#include "tests/support/replay_child.hpp"
#include "tools/replay/annexb.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

// Only something that is broken takes so long, on whatever machine.
constexpr Micros kPatience = 60s;

link::RecorderSettings settings_for(std::string url) {
    link::RecorderSettings s;
    s.url = std::move(url);
    s.first_frame_timeout = kPatience;
    return s;
}

struct Session {
    std::vector<StreamFormat> formats;
    std::vector<Frame> frames;
    std::vector<std::uint64_t> numbers;
    std::vector<std::int64_t> sent_us, arrived_us;  // of those with a number, in BOOTTIME
    std::optional<Lost> lost;
    SourceStats stats;
    bool connected = false, stopped = false;
};

void note(Session& s, SourceEvent event) {
    if (std::holds_alternative<Connected>(event)) s.connected = true;
    if (auto* format = std::get_if<StreamFormat>(&event)) s.formats.push_back(*format);
    if (auto* lost = std::get_if<Lost>(&event)) s.lost = *lost;
    if (auto* frame = std::get_if<Frame>(&event)) {
        if (const auto counter = replay::find_counter(frame->bytes)) {
            s.numbers.push_back(counter->number);
            s.sent_us.push_back(static_cast<std::int64_t>(counter->sent_unix_ns / 1000) -
                                wall_minus_boot(system_clock()).count());
            s.arrived_us.push_back(system_clock().boot().us);
        }
        s.frames.push_back(*frame);
    }
}

// Receives until `frames` frames are there, or the session is lost. `at_tenth` is called when ten
// are there.
Session receive(const link::RecorderSettings& settings, std::size_t frames,
                std::function<void()> at_tenth = {}) {
    Session s;
    Ingress ingress({});
    const auto source =
        make_rtsp_source(settings, system_clock(), ingress, std::make_shared<EncoderDesk>());
    REQUIRE(source->start().ok());
    const BootTime until = system_clock().boot() + kPatience;
    while (s.frames.size() < frames && !s.lost && system_clock().boot() < until) {
        if (auto event = ingress.pop(100ms)) note(s, *std::move(event));
        if (at_tenth && s.frames.size() >= 10) std::exchange(at_tenth, {})();
    }
    s.stats = source->stats();
    s.stopped = source->stop(system_clock().boot() + 20s).ok();
    return s;
}

// Frames are so far apart by their numbers. How late the camera sent the promptest, and how late
// the slowest was there, bound what a reader can know of the time, on a busy machine too.
void check_times(const Session& s, std::int64_t frame_us) {
    REQUIRE(s.numbers.size() == s.frames.size());
    constexpr std::int64_t kSlack = 50'000;
    constexpr std::size_t kSettled = 50;
    const auto due = [&](std::size_t i) {
        return static_cast<std::int64_t>(s.numbers[i]) * frame_us;
    };
    std::int64_t first = INT64_MAX, last = INT64_MIN;
    for (std::size_t i = 0; i < s.numbers.size(); ++i) {
        first = std::min(first, s.sent_us[i] - due(i));
        last = std::max(last, s.arrived_us[i] - due(i));
    }
    std::size_t wrong = 0;
    for (std::size_t i = kSettled; i < s.numbers.size(); ++i) {
        const std::int64_t at = s.frames[i].pts.us - due(i);
        wrong += at < first - kSlack || at > last + kSlack;
    }
    CHECK(wrong == 0);
}

void check_complete(const Session& s) {
    CHECK(s.connected);
    CHECK(s.stopped);
    REQUIRE(s.formats.size() == 1);
    REQUIRE(s.frames.size() > 10);
    REQUIRE(s.numbers.size() == s.frames.size());
    CHECK(s.frames.front().idr);
    std::uint64_t gaps = 0, unordered = 0, late = 0;
    for (std::size_t i = 1; i < s.frames.size(); ++i) {
        gaps += s.numbers[i] != s.numbers[i - 1] + 1;
        unordered += s.frames[i].dts <= s.frames[i - 1].dts;
        late += s.frames[i].dts > s.frames[i].pts;
    }
    CHECK(gaps == 0);
    CHECK(unordered == 0);
    CHECK(late == 0);
}

}  // namespace

TEST_SUITE("pipelines/ingest/rtsp_source") {
    TEST_CASE("every frame of an H.264 camera arrives once, in BOOTTIME") {
        const test::ReplayChild camera(
            {"--counter", "--generate", "h264:320x240@50:gop=25:seconds=2"});
        const Session s = receive(settings_for(camera.url("h264-240p")), 130);
        check_complete(s);
        CHECK(s.formats[0].codec == Codec::h264);
        CHECK(s.formats[0].width == 320);
        CHECK(s.formats[0].height == 240);
        CHECK(s.formats[0].rfc6381.substr(0, 5) == "avc1.");
        CHECK(s.formats[0].encoder == "camera");
        CHECK(s.frames[25].idr);
        CHECK_FALSE(s.frames[24].key());
        check_times(s, 20'000);
    }

    TEST_CASE("every frame of an H.265 camera with B-frames and a password arrives once") {
        setenv("HALFDOOR_REPLAY_PASSWORD", "s3cret-of-the-test", 1);
        const test::ReplayChild camera({"--counter", "--user", "cam", "--generate",
                                        "h265:320x240@50:gop=25:seconds=2:bframes=2"});
        auto settings = settings_for(camera.url("h265-240p"));
        settings.user = "cam";
        settings.password = "s3cret-of-the-test";
        const Session s = receive(settings, 110);
        check_complete(s);
        CHECK(s.formats[0].codec == Codec::h265);
        CHECK(s.formats[0].rfc6381.substr(0, 5) == "hvc1.");
        std::size_t reordered = 0;
        for (std::size_t i = 1; i < s.frames.size(); ++i)
            reordered += s.frames[i].pts < s.frames[i - 1].pts;
        CHECK(reordered > 20);  // Else the B-frames are not tested.

        settings.password = "wrong";
        const Session refused = receive(settings, 1);
        REQUIRE(refused.lost.has_value());
        CHECK(refused.lost->cause == journal::GapCause::refused);
        CHECK(refused.lost->detail.find("wrong") == std::string::npos);
        CHECK_FALSE(refused.connected);
    }

    TEST_CASE("H.264 B-frames keep their display times") {
        const test::ReplayChild camera(
            {"--counter", "--generate", "h264:320x240@50:gop=25:seconds=2:bframes=2"});
        const Session s = receive(settings_for(camera.url("h264-240p")), 80);
        check_complete(s);
        // In the order in which they are shown they are 20 ms apart, but for moments at which the
        // clock still finds out how early frames can come.
        std::vector<std::int64_t> shown, steps;
        for (const Frame& f : s.frames) shown.push_back(f.pts.us);
        std::sort(shown.begin(), shown.end());
        for (std::size_t i = 1; i + 5 < shown.size(); ++i) steps.push_back(shown[i] - shown[i - 1]);
        std::sort(steps.begin(), steps.end());
        CHECK(steps.front() > 0);
        CHECK(steps[steps.size() / 2] > 15'000);
        CHECK(steps[steps.size() / 2] < 25'000);
    }

    TEST_CASE("a stream that does not exist is refused, a closed port is unreachable") {
        const test::ReplayChild camera({"--generate", "h264:64x64@5:seconds=1"});
        const Session missing = receive(settings_for(camera.url("nothing-here")), 1);
        REQUIRE(missing.lost.has_value());
        CHECK(missing.lost->cause == journal::GapCause::refused);
        CHECK(missing.lost->detail == "camera has no such stream (404)");

        // A port that somebody holds without listening refuses connections for as long as we look.
        const Fd held(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        REQUIRE(bind(held.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
        REQUIRE(getsockname(held.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
        const Session closed = receive(
            settings_for("rtsp://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/x"), 1);
        REQUIRE(closed.lost.has_value());
        CHECK(closed.lost->cause == journal::GapCause::unreachable);
    }

    TEST_CASE("a camera that hangs up or resets has closed") {
        for (const char* kind : {"close", "reset"}) {
            const test::ReplayChild camera(
                {"--counter", "--commands", "--generate", "h264:64x64@25:gop=5:seconds=1"});
            const Session s = receive(settings_for(camera.url("h264-64p")), 100'000,
                                      [&] { camera.command(std::string("1,") + kind); });
            REQUIRE(s.lost.has_value());
            CHECK(s.lost->cause == journal::GapCause::closed);
            CHECK(s.frames.size() >= 10);
            CHECK(s.stopped);
        }
    }

    TEST_CASE("a frozen camera gives no event, and the session can still be stopped") {
        const test::ReplayChild camera({"--generate", "h264:64x64@25:gop=5:seconds=1"});
        Ingress ingress({});
        const auto source = make_rtsp_source(settings_for(camera.url("h264-64p")), system_clock(),
                                             ingress, std::make_shared<EncoderDesk>());
        REQUIRE(source->start().ok());
        while (!std::holds_alternative<Frame>(ingress.pop(kPatience).value())) {
        }
        kill(camera.pid(), SIGSTOP);
        while (ingress.pop(700ms)) {
        }
        CHECK(source->stop(system_clock().boot() + 20s).ok());
        kill(camera.pid(), SIGCONT);
        CHECK_FALSE(ingress.pop(300ms).has_value());
    }

    TEST_CASE("basic authentication works on the wire, and a wrong password is refused") {
        setenv("HALFDOOR_REPLAY_PASSWORD", "s3cret-of-the-test", 1);
        const test::ReplayChild camera({"--counter", "--user", "cam", "--auth", "basic",
                                        "--generate", "h264:64x64@25:gop=5:seconds=1"});
        auto settings = settings_for(camera.url("h264-64p"));
        settings.user = "cam";
        settings.password = "s3cret-of-the-test";
        check_complete(receive(settings, 15));
        settings.password = "wrong";
        const Session refused = receive(settings, 1);
        REQUIRE(refused.lost.has_value());
        CHECK(refused.lost->cause == journal::GapCause::refused);
    }

    TEST_CASE("settings that cannot work are refused before anything is sent") {
        Ingress ingress({});
        for (const char* url : {"http://127.0.0.1/x", "", "rtsp://user:pw@127.0.0.1/x"}) {
            const auto source = make_rtsp_source(settings_for(url), system_clock(), ingress,
                                                 std::make_shared<EncoderDesk>());
            const auto started = source->start();
            REQUIRE_FALSE(started.ok());
            CHECK(started.error().code == ErrorCode::invalid);
            CHECK(started.error().what.find("pw") == std::string::npos);
        }
    }
}

}  // namespace hd::ingest
