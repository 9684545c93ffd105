#include <string>
#include <thread>

#include <doctest/doctest.h>

#include "index/clip/clip_reader.hpp"
#include "pipelines/record/disk_thread.hpp"
#include "tests/pipelines/record_tools.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_fs.hpp"
#include "tests/support/stalling_fs.hpp"

using namespace hd;
using namespace hd::record;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

constexpr BootTime kStart{1'000'000'000};
constexpr std::uint64_t kQueue = 400'000;

// A camera's jobs, a disk thread that works on a disk which can stall, and a clock that it syncs
// by.
struct SlowDisk {
    MemoryFileSystem memory;
    StallingFileSystem fs{memory};
    FakeClock clock{WallTime{1'795'183'200'000'000}, kStart};
    seal::Identity owner = seal::generate_identity();
    ClipDisk disk{fs, clock, "/data", CameraId{{1, 2, 3}}};
    DiskThread queue{disk, clock, {.queue_bytes = kQueue}, {}};
    JobList jobs;
    ClipSession session{some_plan(owner),
                        {.disk = jobs,
                         .new_clip_id = [] { return ClipId{{1}}; },
                         .time_base = [] { return some_time(); }}};
    BootTime now = kStart;
    std::size_t offered = 0;
    std::vector<DiskEvent> events;
    std::thread runner{[this] { queue.run(); }};

    SlowDisk() {
        session.begin_run(RunId{5});
        session.set_format(some_format());
    }
    ~SlowDisk() {
        fs.go_on();
        queue.close();
        if (runner.joinable()) runner.join();
    }
    // A second of video; gives whether the queue took it without being full.
    bool second() {
        for (int i = 0; i < 25; ++i, now = now + 40ms)
            REQUIRE(session.add(some_frame(now, i == 0, 2000)).ok());
        clock.advance(1s);
        return offer();
    }
    bool offer() {
        bool room = true;
        for (; offered < jobs.jobs.size() && room; ++offered) {
            REQUIRE(queue.offer(jobs.jobs[offered]));
            room = queue.has_room();
        }
        return room;
    }
    template <typename T>
    std::vector<T> all() {
        for (DiskEvent& e : queue.take_events()) events.push_back(std::move(e));
        std::vector<T> out;
        for (const auto& e : events)
            if (const T* t = std::get_if<T>(&e)) out.push_back(*t);
        return out;
    }
};

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/disk_thread");

TEST_CASE("a disk that stalls for seconds costs no frame, promises nothing and fills no memory") {
    SlowDisk b;
    b.fs.stall();
    int seconds = 0;
    bool room = b.second() && b.second();  // the first piece is closed by a frame of the second one
    // The thread may have seen its jobs only after both seconds: its tick is then still to come.
    for (int i = 0; i < 1000 && !b.fs.wait_for_victim(10ms); ++i) b.clock.advance(100ms);
    REQUIRE(b.fs.wait_for_victim(0ms));
    for (; room && seconds < 100; ++seconds) room = b.second();
    // 50 KB a second, sealed: the buffer is full after so many seconds, not before and not never.
    CHECK(seconds >= 4);
    CHECK(seconds <= 9);
    CHECK_FALSE(b.queue.has_room());
    CHECK_FALSE(b.queue.wait_for_room(1ms));
    CHECK(b.all<PieceSynced>().empty());

    b.fs.go_on();
    CHECK(b.queue.wait_for_room(10s));
    while (!b.offer()) CHECK(b.queue.wait_for_room(10s));
    REQUIRE(b.session.end(clip::EndReason::shutdown, "test").ok());
    while (!b.offer()) CHECK(b.queue.wait_for_room(10s));
    b.queue.close();
    b.runner.join();
    CHECK_FALSE(b.all<PieceSynced>().empty());
    const auto ended = b.all<ClipEnded>();
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].summary.frames == static_cast<std::uint32_t>(25 * (seconds + 2)));
    CHECK(clip::walk(b.memory, "/data/clips/" + ended[0].path, clip::WalkDepth::hashes).ok());
}

TEST_CASE("what a slow sync kept from its instant is synced right after it") {
    // A frame is handled 400 ms after its time: what the tick closes is for the second instant.
    const auto syncs_while = [](Micros busy_from, Micros busy_until) {
        MemoryFileSystem fs;
        FakeClock clock{WallTime{1'795'183'200'000'000}, kStart};
        const seal::Identity owner = seal::generate_identity();
        ClipDisk disk{fs, clock, "/data", CameraId{{1, 2, 3}}};
        DiskThread queue{disk, clock, {}, {}};
        ClipSession session{some_plan(owner),
                            {.disk = queue,
                             .new_clip_id = [] { return ClipId{{1}}; },
                             .time_base = [] { return some_time(); }}};
        session.begin_run(RunId{5});
        session.set_format(some_format());
        std::string out;
        BootTime frame = kStart + 20ms;
        for (int ms = 0, n = 0; ms < 4500; ++ms) {
            clock.advance(1ms);
            for (; frame + 400ms <= clock.boot(); frame = frame + 40ms, ++n)
                REQUIRE(session.add(some_frame(frame, n % 25 == 0)).ok());
            const Micros now = clock.boot() - kStart;
            if (now >= busy_from && now < busy_until) continue;  // the disk's thread is in a sync
            queue.step();
            for (const DiskEvent& event : queue.take_events())
                if (std::holds_alternative<PieceSynced>(event))
                    out += std::to_string(now.count() / 1000) + ' ';
        }
        return out;
    };
    // The clip's head, then three seconds.
    CHECK(syncs_while(0ms, 0ms) == "1300 1600 2600 3600 ");
    CHECK(syncs_while(2301ms, 2700ms) == "1300 1600 2700 3600 ");
    CHECK(syncs_while(2301ms, 3350ms) == "1300 1600 3350 3600 ");
    // It was not the disk that made it late: no flush of its own.
    CHECK(syncs_while(2301ms, 2550ms) == "1300 1600 2600 3600 ");
}

TEST_SUITE_END();
