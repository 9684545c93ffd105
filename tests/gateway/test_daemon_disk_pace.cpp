#include <doctest/doctest.h>

#include "gateway/daemon/disk_pace.hpp"

using namespace hd;
using namespace hd::daemon;
using namespace std::chrono_literals;

TEST_SUITE("gateway/daemon/disk_pace") {
    TEST_CASE("a disk that makes nothing durable for five seconds is slow, until it does") {
        DiskPace pace;
        BootTime now{100'000'000};
        CameraPace door{.camera = {{1}}, .name = "door", .recording = true, .durable = now};
        for (int s = 0; s <= 5; ++s, now = now + 1s) CHECK_FALSE(pace.look({door}, now));
        const auto words = pace.look({door}, now);
        REQUIRE(words);
        CHECK(words->find("nothing of door became durable for 6 s") != std::string::npos);
        door.durable = now - 1s;
        CHECK_FALSE(pace.look({door}, now));
    }

    TEST_CASE("nothing durable at all counts from when recording was said, and not without it") {
        DiskPace pace;
        BootTime now{100'000'000};
        CameraPace door{.camera = {{1}}, .name = "door"};
        for (int s = 0; s < 20; ++s, now = now + 1s) CHECK_FALSE(pace.look({door}, now));
        door.recording = true;
        for (int s = 0; s <= 5; ++s, now = now + 1s) CHECK_FALSE(pace.look({door}, now));
        CHECK(pace.look({door}, now));
    }

    TEST_CASE("a camera that was away between two looks counts from its return") {
        DiskPace pace;
        BootTime now{100'000'000};
        CameraPace door{.camera = {{1}}, .name = "door", .recording = true};
        for (int s = 0; s < 20; ++s, now = now + 1s) {
            door.durable = now;
            CHECK_FALSE(pace.look({door}, now));
        }
        door.durable.reset();  // it recorded at each look, and nothing of the new stretch is safe
        for (int s = 0; s <= 5; ++s, now = now + 1s) CHECK_FALSE(pace.look({door}, now));
        CHECK(pace.look({door}, now));
    }

    TEST_CASE("a camera of few pictures may be as old as its settings make it") {
        DiskPace pace;
        const BootTime now{100'000'000};
        CameraPace door{
            .camera = {{1}}, .name = "door", .recording = true, .durable = now, .usual = 31s};
        CHECK_FALSE(pace.look({door}, now));
        CHECK_FALSE(pace.look({door}, now + 31s));
        CHECK(pace.look({door}, now + 32s));
    }

    TEST_CASE("frames that are dropped are said while it lasts, not those of the past") {
        DiskPace pace;
        BootTime now{100'000'000};
        CameraPace door{.camera = {{1}}, .name = "door", .dropped_frames = 70};
        CHECK_FALSE(pace.look({door}, now));
        door.dropped_frames = 90;
        const auto words = pace.look({door}, now);
        REQUIRE(words);
        CHECK(words->find("Frames of door are dropped") == 0);
        CHECK(pace.look({door}, now + 5s));
        CHECK_FALSE(pace.look({door}, now + 12s));
        door.dropped_frames = 0;  // another recorder
        CHECK_FALSE(pace.look({door}, now + 13s));
        door.dropped_frames = 1;
        CHECK(pace.look({door}, now + 14s));
    }
}
