// The board's encoders in the daemon: probing, shares that move, rests, the warning.
#include <algorithm>
#include <fstream>
#include <utility>

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>

#include "gateway/daemon/encoder_keeper.hpp"
#include "tests/gateway/encoder_wish.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_folder.hpp"

namespace hd::daemon {
namespace {

using namespace std::chrono_literals;

// As the probe writes it: the same Raspberry Pi 4.
constexpr const char* kProbed =
    "{\"choice\":{\"encoders\":[\"v4l2h264enc\",\"x264enc\"],\"why\":\"Raspberry Pi before 5\","
    "\"hardware_pixels_per_s\":62208000,\"hardware_why\":\"board\","
    "\"software_pixels_per_s\":23040000}}\n";

// A daemon's keeper, and a probe program that counts how often it ran.
struct Desk {
    test::TempFolder folder;
    test::FakeClock clock;
    StatusBoard board;
    EncoderKeeper keeper = fresh();
    std::vector<CameraId> order;
    std::vector<std::pair<CameraId, link::EncoderGrant>> told;

    Desk() {
        write(folder.path("probe"),
              "#!/bin/sh\ncd \"${0%/*}\" || exit 1\necho ran >> runs\ncp answer \"$3.new\" && mv "
              "\"$3.new\" \"$3\"\n");
        REQUIRE(::chmod((folder.path("probe")).c_str(), 0700) == 0);
    }
    EncoderKeeper fresh() {
        return EncoderKeeper({folder.path(), folder.path("probe")}, real_file_system(), clock,
                             board);
    }
    void write(const std::string& path, std::string_view text) { std::ofstream(path) << text; }
    long runs() {
        std::ifstream in(folder.path("runs"));
        return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
    }
    void report(const EncoderWish& w) {
        if (std::ranges::find(order, w.camera) == order.end()) order.push_back(w.camera);
        keeper.report(w.camera, "porch", w.report);
    }
    void tick(EncoderKeeper& k) {
        k.tick(order, [this](const CameraId& camera, const link::EncoderGrant& grant) {
            told.emplace_back(camera, grant);
            return true;
        });
    }
    // The probe is a real program: until somebody is told something, or 10 s are over.
    void tick_until_told(EncoderKeeper& k) {
        told.clear();
        const BootTime until = system_clock().boot() + 10s;
        while (told.empty() && system_clock().boot() < until) {
            tick(k);
            system_clock().sleep_until(system_clock().boot() + 5ms);
        }
        REQUIRE_FALSE(told.empty());
    }
};

}  // namespace

TEST_SUITE("gateway/daemon/encoder_keeper") {
    const std::vector<std::string> both{"v4l2h264enc", "x264enc"};
    const std::vector<std::string> software{"x264enc"};

    TEST_CASE("the board is probed when first somebody needs it, and once a boot") {
        Desk desk;
        desk.write(desk.folder.path("answer"), kProbed);
        EncoderWish idle = wish(1, 1280, 720, "");
        idle.report.needed = false;
        desk.report(idle);
        desk.tick(desk.keeper);
        desk.clock.advance(1min);
        desk.tick(desk.keeper);
        CHECK(desk.runs() == 0);
        CHECK_FALSE(desk.board.encoders().has_value());

        const EncoderWish one = wish(2, 1280, 720, "");
        desk.report(one);
        desk.tick_until_told(desk.keeper);
        REQUIRE(desk.told.size() == 1);
        CHECK(desk.told[0].first == one.camera);
        CHECK(desk.told[0].second.elements == both);
        CHECK(desk.board.encoders()->hardware_used == 1280 * 720 * 25);
        CHECK(desk.runs() == 1);

        EncoderKeeper next_daemon = desk.fresh();
        next_daemon.report(one.camera, "porch", one.report);
        desk.tick_until_told(next_daemon);
        CHECK(desk.runs() == 1);
        desk.clock.reboot(BootTime{5'000'000});
        EncoderKeeper next_boot = desk.fresh();
        next_boot.report(one.camera, "porch", one.report);
        desk.tick_until_told(next_boot);
        CHECK(desk.runs() == 2);
    }

    TEST_CASE("a probe that fails is said, and tried again after a minute") {
        Desk desk;
        const EncoderWish one = wish(1, 1280, 720, "");
        desk.report(one);
        desk.tick_until_told(desk.keeper);
        CHECK(desk.told[0].second.elements.empty());
        CHECK(desk.told[0].second.why == "the encoders could not be probed, the log says why");
        CHECK(desk.board.encoders()->refused_cameras == 1);
        desk.write(desk.folder.path("answer"), kProbed);
        desk.tick(desk.keeper);
        CHECK(desk.runs() == 1);
        desk.clock.advance(61s);
        desk.tick_until_told(desk.keeper);
        CHECK(desk.told[0].second.elements == both);
        CHECK(desk.runs() == 2);
        CHECK(desk.board.encoders()->refused_cameras == 0);
    }

    TEST_CASE("a probe that hangs does not outlive its daemon") {
        Desk desk;
        desk.write(desk.folder.path("probe"),
                   "#!/bin/sh\ncd \"${0%/*}\" || exit 1\necho $$ > pid.new && mv pid.new pid\n"
                   "exec sleep 600\n");
        desk.report(wish(1, 1280, 720, ""));
        desk.tick(desk.keeper);
        pid_t probe = 0;
        const BootTime until = system_clock().boot() + 10s;
        while (!(std::ifstream(desk.folder.path("pid")) >> probe) && system_clock().boot() < until)
            system_clock().sleep_until(system_clock().boot() + 5ms);
        REQUIRE(probe > 0);
        desk.keeper.end_probe();
        const bool gone = ::kill(probe, 0) != 0;  // and reaped
        CHECK(gone);
        if (!gone) ::kill(probe, SIGKILL);
        desk.keeper.end_probe();  // Nothing to do.
    }

    TEST_CASE("a share is taken back when another camera's grows, and told once") {
        Desk desk;
        desk.write(desk.folder.path("answer"), kProbed);
        EncoderWish first = wish(1, 1280, 720, "v4l2h264enc");
        EncoderWish second = wish(2, 1280, 720, "v4l2h264enc");
        desk.report(first);
        desk.report(second);
        desk.tick_until_told(desk.keeper);
        REQUIRE(desk.told.size() == 2);
        CHECK(desk.told[1].second.elements == both);
        desk.told.clear();
        desk.report(second);  // Nothing new.
        desk.tick(desk.keeper);
        CHECK(desk.told.empty());

        first.report.width = 1920, first.report.height = 1080, first.report.millihertz_in = 29'000;
        desk.report(first);
        desk.tick(desk.keeper);
        REQUIRE(desk.told.size() == 1);
        CHECK(desk.told[0].first == second.camera);
        CHECK(desk.told[0].second.elements == software);
        CHECK(desk.told[0].second.why.find("the hardware encoder is taken: 62 of 62") !=
              std::string::npos);
        desk.told.clear();
        desk.tick(desk.keeper);
        CHECK(desk.told.empty());

        // It goes: the other one may have hardware again.
        desk.keeper.forget(first.camera);
        desk.tick(desk.keeper);
        REQUIRE(desk.told.size() == 1);
        CHECK(desk.told[0].second.elements == both);
        // A recorder that connects anew may have missed it.
        desk.told.clear();
        desk.keeper.connected(second.camera);
        desk.tick(desk.keeper);
        CHECK(desk.told.size() == 1);
    }

    TEST_CASE("what failed while it encoded rests for ten minutes") {
        Desk desk;
        desk.write(desk.folder.path("answer"), kProbed);
        EncoderWish one = wish(1, 1280, 720, "v4l2h264enc");
        desk.report(one);
        desk.tick_until_told(desk.keeper);
        one.report.failed = {"v4l2h264enc"};
        one.report.element = "x264enc";
        desk.report(one);
        desk.told.clear();
        desk.tick(desk.keeper);
        REQUIRE(desk.told.size() == 1);
        CHECK(desk.told[0].second.elements == software);
        CHECK(desk.told[0].second.why ==
              "Raspberry Pi before 5; v4l2h264enc: failed while it encoded");
        desk.clock.advance(9min);
        desk.told.clear();
        desk.tick(desk.keeper);
        CHECK(desk.told.empty());
        desk.clock.advance(2min);
        desk.tick(desk.keeper);
        REQUIRE(desk.told.size() == 1);
        CHECK(desk.told[0].second.elements == both);
    }

    TEST_CASE("an encoder slower than its camera is a warning for as long as it is") {
        Desk desk;
        EncoderWish one = wish(1, 1280, 720, "x264enc");
        one.report.millihertz_in = 25'000, one.report.millihertz_out = 25'000;
        desk.report(one);
        CHECK(desk.board.health().empty());
        one.report.millihertz_out = 9'500, one.report.frames_left_out = 70;
        desk.report(one);
        const auto health = desk.board.health();
        REQUIRE(health.size() == 1);
        CHECK(health.begin()->second.state == "warning");
        CHECK(
            health.begin()->second.text ==
            "Encoder x264enc is slower than camera \"porch\": 9.5 of 25.0 pictures a second. Lower "
            "the camera's size or rate, or let it send H.264.");
        one.report.millihertz_out = 24'900;  // The counter stays where it is.
        desk.report(one);
        CHECK(desk.board.health().empty());
        // A limit on the rate is no slowness: nothing was left out.
        one.report.millihertz_out = 9'500, one.report.frames_left_out = 0;
        desk.report(one);
        CHECK(desk.board.health().empty());
    }
}

}  // namespace hd::daemon
