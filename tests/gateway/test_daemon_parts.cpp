#include <cstdlib>
#include <cstring>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/daemon/ballast.hpp"
#include "gateway/daemon/bounded_queue.hpp"
#include "gateway/daemon/camera_plan.hpp"
#include "gateway/daemon/child.hpp"
#include "gateway/daemon/clock_keeper.hpp"
#include "gateway/daemon/journal_keeper.hpp"
#include "gateway/daemon/lock_file.hpp"
#include "gateway/daemon/recorder_user.hpp"
#include "gateway/daemon/sd_notify.hpp"
#include "gateway/daemon/status_board.hpp"
#include "gateway/daemon/walls.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::daemon;
using namespace std::chrono_literals;

namespace {

std::vector<journal::CameraRecord> records_of(const std::string& path) {
    std::vector<journal::CameraRecord> out;
    auto read = journal::read(real_file_system(), path, "camera", 0,
                              [&](const journal::Record& record, std::uint64_t) {
                                  out.push_back(journal::decode_camera_record(record).value());
                              });
    REQUIRE(read.ok());
    return out;
}

std::size_t clock_records(const std::string& path) {
    std::size_t count = 0;
    auto read = journal::read(real_file_system(), path, "clock", 0,
                              [&](const journal::Record&, std::uint64_t) { ++count; });
    REQUIRE(read.ok());
    return count;
}

}  // namespace

TEST_SUITE("gateway/daemon/bounded_queue") {
    TEST_CASE("a full queue refuses, counts, and keeps what it has") {
        BoundedQueue<int> queue(2);
        CHECK(queue.try_push(1));
        CHECK(queue.try_push(2));
        CHECK_FALSE(queue.try_push(3));
        CHECK(queue.refused() == 1);
        CHECK(queue.pop(0ms) == 1);
        CHECK(queue.try_push(4));
        CHECK(queue.pop(0ms) == 2);
        CHECK(queue.pop(0ms) == 4);
        CHECK_FALSE(queue.pop(0ms).has_value());
    }

    TEST_CASE("closing wakes the waiting thread; what is inside still comes out") {
        BoundedQueue<int> queue(2);
        std::optional<int> got = 5;
        std::thread waiter([&] { got = queue.pop(20s); });
        queue.close();
        waiter.join();
        CHECK_FALSE(got.has_value());
        BoundedQueue<int> filled(2);
        CHECK(filled.try_push(7));
        filled.close();
        CHECK_FALSE(filled.try_push(8));
        CHECK(filled.pop(0ms) == 7);
    }
}

TEST_SUITE("gateway/daemon/clock_keeper") {
    TEST_CASE("each boot and each step is a record, and steady time is none") {
        test::TempFolder folder;
        test::FakeClock clock;
        const std::string path = folder.path("journal/clock.log");
        {
            auto keeper = ClockKeeper::open(real_file_system(), clock, path);
            REQUIRE(keeper.ok());
            CHECK(clock_records(path) == 1);
            clock.advance(10s);
            CHECK_FALSE(keeper->look().value().has_value());
            clock.step_wall(-3600s);
            const auto change = keeper->look().value();
            REQUIRE(change.has_value());
            CHECK(change->stepped_us == -3'600'000'000);
            CHECK_FALSE(keeper->look().value().has_value());
            clock.step_wall(99ms);
            CHECK_FALSE(keeper->look().value().has_value());
            clock.step_wall(1ms);
            CHECK(keeper->look().value().has_value());
        }
        // The same boot again: nothing new to say.
        CHECK(ClockKeeper::open(real_file_system(), clock, path).ok());
        CHECK(clock_records(path) == 3);
        clock.reboot(BootTime{5'000'000});
        CHECK(ClockKeeper::open(real_file_system(), clock, path).ok());
        CHECK(clock_records(path) == 4);
    }

    TEST_CASE("that the clock became good is a record even if it did not move") {
        test::FakeClock clock;
        clock.set_quality(ClockQuality::unsynchronised);
        const auto first = journal::clock_change(std::nullopt, journal::read_clocks(clock));
        REQUIRE(first.has_value());
        CHECK_FALSE(journal::clock_change(first, journal::read_clocks(clock)).has_value());
        clock.set_quality(ClockQuality::synchronised);
        const auto good = journal::clock_change(first, journal::read_clocks(clock));
        REQUIRE(good.has_value());
        CHECK(good->stepped_us == 0);
        // Noise below a step moves nothing: the offset stays to the microsecond.
        clock.step_wall(3ms);
        const auto noisy = journal::clock_change(first, journal::read_clocks(clock));
        REQUIRE(noisy.has_value());
        CHECK(journal::offset_of(noisy->when) == journal::offset_of(first->when));
    }
}

TEST_SUITE("gateway/daemon/journal_keeper") {
    using journal::GapCause;

    TEST_CASE("a gap is opened once, and again only after somebody ended it") {
        test::TempFolder folder;
        test::FakeClock clock;
        const std::string path = folder.path("journal/x.log");
        auto keeper = JournalKeeper::open(real_file_system(), path, random_id<CameraId>());
        REQUIRE(keeper.ok());
        CHECK(keeper->video_ended(std::nullopt, GapCause::restart, "never configured").ok());
        CHECK(records_of(path).empty());
        CHECK(keeper->configured(journal::read_clocks(clock), "door").ok());
        CHECK(records_of(path).size() == 2);  // and no video yet
        CHECK(keeper->video_ended(std::nullopt, GapCause::restart, "two").ok());
        CHECK(records_of(path).size() == 2);
        // The recorder ends it, with a descriptor of its own.
        clock.advance(5s);
        const journal::Stamp back = journal::read_clocks(clock);
        auto recorder = journal::Writer::open(real_file_system(), path, "camera");
        REQUIRE(recorder.ok());
        CHECK(recorder->append(journal::encode(journal::GapEnded{.when = back})).ok());
        CHECK(keeper->video_ended(std::nullopt, GapCause::restart, "three").ok());
        const auto records = records_of(path);
        REQUIRE(records.size() == 4);
        CHECK(std::get<journal::GapBegan>(records[3]).detail == "three");
        CHECK(std::get<journal::GapBegan>(records[3]).when == back);
        // And a gap that the recorder opened is not opened again, by a new keeper neither.
        auto next = JournalKeeper::open(real_file_system(), path, random_id<CameraId>());
        REQUIRE(next.ok());
        CHECK(next->gap_open());
        CHECK(next->video_ended(std::nullopt, GapCause::restart, "four").ok());
        CHECK(records_of(path).size() == 4);
    }

    TEST_CASE("video inside of the open gap, and an end that was lost, are put right") {
        test::TempFolder folder;
        test::FakeClock clock;
        const std::string path = folder.path("journal/x.log");
        auto keeper = JournalKeeper::open(real_file_system(), path, random_id<CameraId>());
        REQUIRE(keeper.ok());
        CHECK(keeper->configured(journal::read_clocks(clock), "door").ok());
        VideoSpan video;
        clock.advance(5s);
        video.begin = journal::read_clocks(clock);
        clock.advance(5s);
        video.end = journal::read_clocks(clock);
        for (int i = 0; i < 2; ++i)
            CHECK(keeper->video_ended(video, GapCause::restart, "killed").ok());
        auto records = records_of(path);
        REQUIRE(records.size() == 4);
        CHECK(std::get<journal::GapEnded>(records[2]).when == video.begin);
        CHECK(std::get<journal::GapBegan>(records[3]).when == video.end);
        video.end.at = video.end.at - 1s;
        video.end.utc = video.end.utc - 1s;
        for (int i = 0; i < 2; ++i)
            CHECK(keeper->video_ended(video, GapCause::restart, "power").ok());
        records = records_of(path);
        REQUIRE(records.size() == 5);
        CHECK(std::get<journal::GapBegan>(records[4]).when == video.end);
        CHECK(keeper->take_marks().size() == 4);
    }

    TEST_CASE("a name is written when it changes, disabling once") {
        test::TempFolder folder;
        test::FakeClock clock;
        const std::string path = folder.path("journal/x.log");
        auto keeper = JournalKeeper::open(real_file_system(), path, random_id<CameraId>());
        REQUIRE(keeper.ok());
        const auto now = [&] {
            clock.advance(1s);
            return journal::read_clocks(clock);
        };
        for (int i = 0; i < 2; ++i) CHECK(keeper->configured(now(), "door").ok());
        CHECK(records_of(path).size() == 2);  // Configured, GapBegan
        CHECK(keeper->configured(now(), "front door").ok());
        CHECK(records_of(path).size() == 3);
        for (int i = 0; i < 2; ++i) CHECK(keeper->disabled(now()).ok());
        CHECK(records_of(path).size() == 5);  // Disabled, GapBegan
        CHECK(keeper->configured(now(), "front door").ok());
        const auto records = records_of(path);
        REQUIRE(records.size() == 7);  // Configured, and the gap is not the owner's any more
        CHECK(std::get<journal::GapBegan>(records[6]).cause == GapCause::restart);
    }
}

TEST_SUITE("gateway/daemon/parts") {
    TEST_CASE("a lock file keeps the second one out and lets go when its holder is gone") {
        test::TempFolder folder;
        const std::string path = folder.path("lock");
        CHECK_FALSE(LockFile::is_held(path));
        {
            auto first = LockFile::take(path);
            REQUIRE(first.ok());
            CHECK(LockFile::is_held(path));
            auto second = LockFile::take(path);
            REQUIRE_FALSE(second.ok());
            CHECK(second.error().code == ErrorCode::refused);
            CHECK(second.error().what.find(std::to_string(::getpid())) != std::string::npos);
        }
        CHECK_FALSE(LockFile::is_held(path));
        CHECK(LockFile::take(path).ok());
    }

    TEST_CASE("no camera gets settings before a policy rules, and a disabled one never") {
        config::Config config;
        config.hub.data_folder = "/data";
        config.retention.camera_max_bytes = 7;
        config::CameraSettings on;
        on.recorder.camera.bytes.fill(1);
        on.recorder.name = "on";
        config::CameraSettings off = on;
        off.recorder.camera.bytes.fill(2);
        off.enabled = false;
        off.max_bytes = 9;
        config.cameras = {on, off};
        auto waiting = plan_cameras(config, nullptr);
        REQUIRE(waiting.size() == 2);
        CHECK_FALSE(waiting[0].settings.has_value());
        Ruling ruling;
        ruling.policy.emplace();
        ruling.policy->policy.number = 4;
        ruling.policy->policy.recipients = {{.age = {3}, .label = "owner"}};
        const auto plans = plan_cameras(config, &ruling);
        REQUIRE(plans[0].settings.has_value());
        CHECK(plans[0].settings->policy_number == 4);
        CHECK(plans[0].settings->data_folder == "/data");
        CHECK(plans[0].settings->recipients.size() == 1);
        CHECK(plans[0].limits.max_bytes == 7u);
        CHECK_FALSE(plans[1].settings.has_value());
        CHECK(plans[1].limits.max_bytes == 9u);
    }

    TEST_CASE("systemd hears what it is told, and children do not inherit its socket") {
        test::TempFolder folder;
        const std::string path = folder.path("notify");
        const Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                0);
        ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
        ::setenv("WATCHDOG_USEC", "60000000", 1);
        SdNotify notify = SdNotify::from_environment();
        CHECK(std::getenv("NOTIFY_SOCKET") == nullptr);
        CHECK(notify.watchdog_period() == Micros(30s));
        notify.send("READY=1");
        char text[64] = {};
        CHECK(::recv(socket.get(), text, sizeof text - 1, 0) == 7);
        CHECK(std::string(text) == "READY=1");
        SdNotify nobody = SdNotify::from_environment();
        nobody.send("READY=1");  // Nobody listens: nothing happens.
        CHECK_FALSE(nobody.watchdog_period().has_value());
    }

    TEST_CASE("a child's end is told in words, and its environment is clean") {
        ::setenv("HALFDOOR_TEST_SECRET", "x", 1);
        auto pid = start_child({.program = "/bin/sh",
                                .args = {"-c", "test -z \"$HALFDOOR_TEST_SECRET\" && exit 3"},
                                .extra_environment = {}});
        ::unsetenv("HALFDOOR_TEST_SECRET");
        REQUIRE(pid.ok());
        auto process = ProcessHandle::of(*pid);
        REQUIRE(process.ok());
        for (int i = 0; i < 200 && !process->ended(); ++i) std::this_thread::sleep_for(10ms);
        CHECK(process->reap() == "exit code 3");
        CHECK_FALSE(
            start_child({.program = "/nonexistent", .args = {}, .extra_environment = {}}).ok());
        auto missing = find_program("halfdoor-nothing", "/nonexistent");
        CHECK(missing.error().code == ErrorCode::not_found);
    }

    TEST_CASE("a condition is news once, until it is gone") {
        StatusBoard board;
        CHECK(board.raise("disk_low", "warning", "x"));
        CHECK_FALSE(board.raise("disk_low", "warning", "y"));
        CHECK(board.health().at("disk_low").text == "y");
        CHECK(board.clear("disk_low"));
        CHECK_FALSE(board.clear("disk_low"));
    }
}

TEST_SUITE("gateway/daemon/ballast") {
    TEST_CASE(
        "ballast is laid down only beside the reserve, once, and room is no question while there "
        "is space") {
        hd::test::TempFolder folder;
        const std::string path = join(folder.path(), "ballast");
        keep_ballast(folder.path(), (100ull << 20) + kBallastBytes - 1, 100ull << 20);
        CHECK_FALSE(real_file_system().exists(path));
        keep_ballast(folder.path(), (100ull << 20) + kBallastBytes, 100ull << 20);
        REQUIRE(real_file_system().size(path).ok());
        CHECK(real_file_system().size(path).value() == kBallastBytes);
        keep_ballast(folder.path(), (100ull << 20) + kBallastBytes, 100ull << 20);
        CHECK(real_file_system().size(path).value() == kBallastBytes);
        CHECK(make_room(folder.path()).ok());
        CHECK(real_file_system().exists(path));
    }
}

TEST_SUITE("gateway/daemon/walls") {
    TEST_CASE("of several recorders the weakest speaks for all, by its camera's name") {
        std::map<CameraId, CameraStatus> cameras;
        for (const std::uint8_t n : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
            CameraStatus status;
            status.name = fmt::format("camera {}", n);
            status.walls = {{"recorder.files", WallState::enforced, "Landlock ABI 7"},
                            {"recorder.ports", WallState::enforced, "TCP to port 554"}};
            if (n == 2) status.walls[1] = {"recorder.ports", WallState::partial, "UDP"};
            CameraId id;
            id.bytes.fill(n);
            cameras[id] = status;
        }
        const std::vector<Wall> walls = recorder_walls(cameras);
        REQUIRE(walls.size() == 2);
        CHECK(walls[0] == Wall{"recorder.files", WallState::enforced, "Landlock ABI 7"});
        CHECK(walls[1] == Wall{"recorder.ports", WallState::partial, "camera 2: UDP"});
        CHECK(recorder_walls({}).empty());
    }

    TEST_CASE("a user that is named must be there; one that is not named may be missing") {
        const auto named = find_recorder_user("no-such-user-here");
        REQUIRE_FALSE(named.ok());
        CHECK(named.error().what.find("no-such-user-here") != std::string::npos);
        CHECK(find_recorder_user("").ok());
    }

    TEST_CASE("a program that is started as another user is that user, with nothing of ours open") {
        if (::geteuid() != 0) {
            MESSAGE("skipped: only root may start programs as another user");
            return;
        }
        const test::TempFolder folder;
        REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
        const std::string out = join(folder.path(), "out");
        const Fd ours(::open("/etc/hostname", O_RDONLY));  // Not close-on-exec.
        const auto pid =
            start_child({.program = "/bin/sh",
                         .args = {"-c", "(id -u; id -g; umask; ls /proc/self/fd | wc -l) > " + out +
                                            ".part; mv " + out + ".part " + out},
                         .extra_environment = {},
                         .user = ChildUser{.uid = 65534, .gid = 65534, .groups = {65534}}});
        REQUIRE(pid.ok());
        for (int i = 0; i < 100 && ::access(out.c_str(), F_OK) != 0; ++i) ::usleep(20'000);
        const auto text = real_file_system().read(out, 4096);
        REQUIRE(text.ok());
        // 0, 1, 2 and ls's own.
        CHECK(std::string(text->begin(), text->end()) == "65534\n65534\n0007\n4\n");
        ProcessHandle::of(*pid).value().reap();
    }

    TEST_CASE("a program that cannot be started says why") {
        const auto pid =
            start_child({.program = "/no/such/program", .args = {}, .extra_environment = {}});
        REQUIRE_FALSE(pid.ok());
        CHECK(pid.error().code == ErrorCode::not_found);
    }
}
