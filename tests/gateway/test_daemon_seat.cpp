#include <doctest/doctest.h>

#include "gateway/daemon/camera_seat.hpp"
#include "gateway/daemon/drive_watch.hpp"
#include "gateway/daemon/start_gate.hpp"

using namespace hd;
using daemon::CameraSeat;
using daemon::SeatAct;
using daemon::StartGate;
using namespace std::chrono_literals;

namespace {

constexpr BootTime kStart{1'000'000'000};
const Digest kA = sha256(as_bytes("settings a"));
const Digest kB = sha256(as_bytes("settings b"));

CameraSeat seat_with(std::optional<Digest> want) {
    CameraSeat seat({}, kStart);
    CHECK(seat.want(want, kStart) == SeatAct::nothing);
    return seat;
}

}  // namespace

TEST_SUITE("gateway/daemon/camera_seat") {
    TEST_CASE("an orphan has 1.5 seconds to connect before a recorder is started") {
        auto seat = seat_with(kA);
        CHECK(seat.tick(kStart + 1499ms, false) == SeatAct::nothing);
        CHECK(seat.tick(kStart + 1500ms, false) == SeatAct::start);
    }

    TEST_CASE("a camera without settings gets no recorder") {
        auto seat = seat_with(std::nullopt);
        CHECK(seat.tick(kStart + 100s, false) == SeatAct::nothing);
    }

    TEST_CASE("an orphan with the same settings is left alone") {
        auto seat = seat_with(kA);
        CHECK(seat.hello(true, kA, kStart + 300ms) == SeatAct::nothing);
        CHECK(seat.tick(kStart + 2s, true) == SeatAct::nothing);
        CHECK(seat.connected());
    }

    TEST_CASE("an orphan with other settings, and a fresh recorder, are sent the settings") {
        auto seat = seat_with(kA);
        CHECK(seat.hello(true, kB, kStart + 300ms) == SeatAct::send_settings);
        auto fresh = seat_with(kA);
        CHECK(fresh.tick(kStart + 2s, false) == SeatAct::start);
        fresh.started(kStart + 2s);
        CHECK(fresh.hello(false, {}, kStart + 3s) == SeatAct::send_settings);
        fresh.settings_sent();
        CHECK(fresh.want(kA, kStart + 4s) == SeatAct::nothing);
        CHECK(fresh.want(kB, kStart + 5s) == SeatAct::send_settings);
    }

    TEST_CASE("a recorder of a camera that is not wanted is asked to stop, then killed") {
        auto seat = seat_with(std::nullopt);
        CHECK(seat.hello(true, kA, kStart) == SeatAct::ask_stop);
        CHECK(seat.tick(kStart + 14s, true) == SeatAct::nothing);
        CHECK(seat.tick(kStart + 15s, true) == SeatAct::kill);
        CHECK(seat.tick(kStart + 16s, true) == SeatAct::nothing);
        CHECK_FALSE(seat.ended(kStart + 16s));
        CHECK(seat.empty());
    }

    TEST_CASE("no second recorder is started while the camera's lock is held") {
        auto seat = seat_with(kA);
        CHECK(seat.tick(kStart + 10s, true) == SeatAct::nothing);
        CHECK(seat.tick(kStart + 11s, false) == SeatAct::start);
    }

    TEST_CASE("the first restart is immediate, then it backs off to 30 seconds") {
        auto seat = seat_with(kA);
        BootTime now = kStart + 2s;
        const Micros expected[] = {0ms, 500ms, 1s, 2s, 4s, 8s, 16s, 30s, 30s};
        for (const Micros wait : expected) {
            CHECK(seat.tick(now, false) == SeatAct::start);
            seat.started(now);
            now = now + 100ms;
            CHECK(seat.ended(now));
            if (wait > 0ms) {
                CHECK(seat.tick(now + wait - 1ms, false) == SeatAct::nothing);
            }
            now = now + wait;
        }
        CHECK(seat.restarts() == 8);
    }

    TEST_CASE("a recorder that lived long is restarted at once again") {
        auto seat = seat_with(kA);
        BootTime now = kStart + 2s;
        for (int i = 0; i < 5; ++i) {
            seat.started(now);
            now = now + 31s;
            CHECK(seat.ended(now));
            CHECK(seat.tick(now, false) == SeatAct::start);
        }
    }

    TEST_CASE("a recorder that says nothing for 30 seconds is killed") {
        auto seat = seat_with(kA);
        seat.started(kStart);
        CHECK(seat.hello(false, {}, kStart + 1s) == SeatAct::send_settings);
        seat.heard(kStart + 6s);
        CHECK(seat.tick(kStart + 35s, true) == SeatAct::nothing);
        CHECK(seat.tick(kStart + 36s, true) == SeatAct::kill);
    }

    TEST_CASE("a program that cannot be started is not tried in a loop") {
        auto seat = seat_with(kA);
        CHECK(seat.tick(kStart + 2s, false) == SeatAct::start);
        seat.start_failed(kStart + 2s);
        CHECK(seat.tick(kStart + 2s + 499ms, false) == SeatAct::nothing);
        CHECK(seat.tick(kStart + 2s + 500ms, false) == SeatAct::start);
    }

    TEST_CASE("a start that was put off for another reason costs no back-off") {
        auto seat = seat_with(kA);
        CHECK(seat.tick(kStart + 2s, false) == SeatAct::start);
        seat.put_off(kStart + 3s);
        CHECK(seat.tick(kStart + 3s - 1us, false) == SeatAct::nothing);
        CHECK(seat.tick(kStart + 3s, false) == SeatAct::start);
        seat.started(kStart + 3s);
        CHECK(seat.ended(kStart + 4s));
        CHECK(seat.tick(kStart + 4s, false) == SeatAct::start);
    }

    TEST_CASE("a camera that is disabled and enabled again waits for its old recorder to end") {
        auto seat = seat_with(kA);
        seat.started(kStart);
        CHECK(seat.hello(true, kA, kStart) == SeatAct::nothing);
        CHECK(seat.want(std::nullopt, kStart + 1s) == SeatAct::ask_stop);
        CHECK(seat.want(kA, kStart + 2s) == SeatAct::nothing);
        CHECK_FALSE(seat.ended(kStart + 3s));
        CHECK(seat.tick(kStart + 3s, false) == SeatAct::start);
    }
}

TEST_SUITE("gateway/daemon/start_gate") {
    TEST_CASE("four recorders connect at once, and nobody waits long for the others") {
        StartGate gate;
        const auto camera = [](int i) { return CameraId{{static_cast<std::uint8_t>(i)}}; };
        BootTime now = kStart;
        int started = 0;
        const auto start_all = [&] {
            for (; started < 16 && gate.may_start(now); ++started)
                gate.started(camera(started), now);
        };
        start_all();
        CHECK(started == 4);
        gate.settled(camera(2));
        gate.settled(camera(2));
        start_all();
        CHECK(started == 5);
        // Cameras that never answer.
        for (; started < 16 && now < kStart + 60s; now = now + 100ms) start_all();
        CHECK(started == 16);
        CHECK(now - kStart <= 6100ms);
    }
}

TEST_SUITE("gateway/daemon/drive_watch") {
    TEST_CASE("a hub that starts itself anew waits ever longer, and forgets after a long life") {
        CHECK(daemon::restart_wait(0) == 0s);
        CHECK(daemon::restart_wait(1) == 5s);
        CHECK(daemon::restart_wait(2) == 10s);
        CHECK(daemon::restart_wait(1000) == 60s);
        CHECK(daemon::next_restarts(0, 1s) == 1);
        CHECK(daemon::next_restarts(4, 1s) == 5);
        CHECK(daemon::next_restarts(4, 10min) == 1);
    }
}
