#include <set>
#include <thread>

#include <doctest/doctest.h>

#include "index/clip/clip_check.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/clip/recover.hpp"
#include "pipelines/record/clip_disk.hpp"
#include "pipelines/record/disk_thread.hpp"
#include "tests/pipelines/record_tools.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;
using namespace hd::record;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

constexpr BootTime kStart{1'000'000'000};

// A session that writes through a ClipDisk into a file system in memory.
struct Bench {
    MemoryFileSystem fs;
    FakeClock clock{WallTime{1'795'183'200'000'000}, kStart};
    seal::Identity owner = seal::generate_identity();
    ClipDisk disk{fs, clock, "/data", CameraId{{1, 2, 3}}};
    struct Sink final : DiskSink {
        explicit Sink(ClipDisk& to) : disk(to) {}
        bool offer(DiskJob job) override {
            disk.apply(std::move(job));
            return true;
        }
        ClipDisk& disk;
    } sink{disk};
    std::uint8_t next_clip = 1;
    ClipSession session{some_plan(owner),
                        {.disk = sink,
                         .new_clip_id = [this] { return ClipId{{next_clip++}}; },
                         .time_base = [] { return some_time(); }}};
    BootTime now = kStart;
    std::vector<DiskEvent> events;

    Bench() {
        session.begin_run(RunId{5});
        session.set_format(some_format());
    }
    void feed(int frames, int key_every) {
        for (int i = 0; i < frames; ++i, now = now + 40ms) {
            REQUIRE(session.add(some_frame(now, i % key_every == 0)).ok());
            look();
        }
    }
    void look() {
        for (DiskEvent& e : disk.take_events()) events.push_back(std::move(e));
    }
    template <typename T>
    std::vector<T> all() {
        look();
        std::vector<T> out;
        for (const auto& e : events)
            if (const T* t = std::get_if<T>(&e)) out.push_back(*t);
        return out;
    }
    std::vector<journal::CameraRecord> journal() {
        std::vector<journal::CameraRecord> out;
        const auto done =
            journal::read(fs, "/data/journal/" + to_string(CameraId{{1, 2, 3}}) + ".log", "camera",
                          0, [&](const journal::Record& r, std::uint64_t) {
                              auto decoded = journal::decode_camera_record(r);
                              REQUIRE(decoded.ok());
                              out.push_back(std::move(*decoded));
                          });
        CHECK(done.ok());
        return out;
    }
};

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/clip_disk");

TEST_CASE("all recorders of a hub sync at the same instant of each period") {
    const BootTime tick{5'000'000}, before{4'990'000};
    CHECK(next_sync(tick, before, 1s) == tick + 300ms);
    CHECK(next_sync(tick + 300ms, before, 1s) == tick + 300ms);
    // A key frame closed it within the period: it waits for the next tick's.
    CHECK(next_sync(tick + 301ms, tick, 1s) == tick + 1300ms);
    CHECK(next_sync(tick + 599ms, tick + 200ms, 1s) == tick + 1300ms);
    // The tick closed it, and it came too late: a second instant is shared by those.
    CHECK(next_sync(tick + 301ms, before, 1s) == tick + 600ms);
    CHECK(next_sync(tick + 601ms, before, 1s) == tick + 1300ms);
    // A longer period has its instants behind its own ticks.
    CHECK(next_sync(BootTime{12'000'000}, BootTime{11'000'000}, 5s) == BootTime{15'300'000});
    CHECK(next_sync(BootTime{15'400'000}, BootTime{14'000'000}, 5s) == BootTime{15'600'000});
}

TEST_CASE("what the tick closed waits for one of two instants, all else for a period at most") {
    for (std::int64_t us = 2'000'000; us < 5'000'000; us += 7'919) {
        const BootTime now{us}, tick{us / 1'000'000 * 1'000'000};
        const Micros late = next_sync(now, tick - 40ms, 1s) - now,
                     keyed = next_sync(now, tick, 1s) - now;
        CHECK(late >= 0us);
        CHECK(keyed >= 0us);
        CHECK(late <= (now <= tick + 600ms ? 300ms : 700ms));
        CHECK(keyed <= 1000ms);
        CHECK(next_sync(now, tick - 40ms, 100ms) - now <= 70ms);
    }
}

TEST_CASE("eight cameras whose key frames lie anywhere sync at one instant a second") {
    std::set<std::int64_t> instants;
    for (std::int64_t phase = 0; phase < 1'000'000; phase += 125'000) {
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
        // A frame is handled 200 ms after its time; the disk's thread wakes each millisecond.
        std::size_t syncs = 0;
        BootTime frame = kStart + Micros(phase);
        for (int ms = 0, n = 0; ms < 6000; ++ms) {
            clock.advance(1ms);
            for (; frame + 200ms <= clock.boot(); frame = frame + 40ms, ++n)
                REQUIRE(session.add(some_frame(frame, n % 25 == 0)).ok());
            queue.step();
            for (const DiskEvent& event : queue.take_events()) {
                if (!std::holds_alternative<PieceSynced>(event)) continue;
                ++syncs;
                instants.insert(clock.boot().us % 1'000'000);
            }
        }
        CHECK(syncs >= 5);
        CHECK(syncs <= 6);
    }
    CHECK(instants == std::set<std::int64_t>{300'000});
}

TEST_CASE("a finished clip is on the disk under its name, and the journal has its digest") {
    Bench b;
    b.feed(100, 50);
    REQUIRE(b.session.end(clip::EndReason::shutdown, "test").ok());
    const auto ended = b.all<ClipEnded>();
    REQUIRE(ended.size() == 1);
    const auto summary = clip::read_summary(b.fs, "/data/clips/" + ended[0].path);
    REQUIRE(summary.ok());
    CHECK(summary->frames == 100);
    CHECK(*summary == ended[0].summary);
    const auto footer = clip::read_footer(b.fs, "/data/clips/" + ended[0].path);
    REQUIRE(footer.ok());
    Sha256 hash;
    for (const auto& e : footer->table) hash.update(e.age_sha256);
    const auto records = b.journal();
    REQUIRE(records.size() == 1);
    CHECK(std::get<journal::ClipClosed>(records[0]).pieces_sha256 == hash.finish());
}

TEST_CASE("what is reported durable is there after a power cut, whatever else is lost") {
    Bench b;
    b.feed(60, 50);
    b.disk.sync();
    b.feed(20, 50);  // not synced
    const auto synced = b.all<PieceSynced>();
    REQUIRE(synced.size() == 1);
    b.fs.power_cut(hd::test::Cut::lose_all);
    const auto walked = clip::walk(b.fs, "/data/clips/" + synced[0].path, clip::WalkDepth::hashes);
    REQUIRE(walked.ok());
    std::uint32_t frames = 0;
    for (const auto& e : walked->table) frames += e.identity.frames;
    CHECK(frames == synced[0].frames);
    CHECK(walked->table.back().identity == synced[0].identity);
}

TEST_CASE("a sync without news does nothing") {
    Bench b;
    b.feed(60, 50);
    CHECK(b.disk.unsynced());
    b.disk.sync();
    CHECK_FALSE(b.disk.unsynced());
    const auto operations = b.fs.operations();
    b.disk.sync();
    CHECK(b.fs.operations() == operations);
}

TEST_CASE("a full disk is reported once per clip, and the next clip is tried afresh") {
    Bench b;
    b.feed(60, 50);
    b.disk.sync();
    b.fs.set_capacity(0);
    b.feed(40, 100);
    const auto failed = b.all<DiskFailed>();
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].clip == ClipId{{1}});
    CHECK(failed[0].error.code == ErrorCode::exhausted);
    b.session.abandon(failed[0].clip);
    b.fs.set_capacity(std::nullopt);
    b.feed(60, 50);
    b.disk.sync();
    CHECK(b.all<PieceSynced>().back().identity.clip == ClipId{{2}});
    CHECK(b.all<DiskFailed>().size() == 1);
    // The first clip was finished up to its last whole piece as soon as the disk worked again.
    const auto ended = b.all<ClipEnded>();
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].summary.clip == ClipId{{1}});
    CHECK(ended[0].summary.reason == clip::EndReason::recovered);
    CHECK(clip::read_summary(b.fs, "/data/clips/" + ended[0].path).ok());
    const auto parts = clip::find_parts(b.fs, "/data/clips", CameraId{{1, 2, 3}});
    REQUIRE(parts.ok());
    CHECK(parts->size() == 1);  // the open one
}

TEST_CASE("a failed sync ends the clip: its data may be gone although a later sync succeeds") {
    Bench b;
    b.feed(60, 50);
    b.fs.fail_at(b.fs.operations(), Error{ErrorCode::unavailable, "I/O error"});
    b.disk.sync();
    REQUIRE(b.all<DiskFailed>().size() == 1);
    CHECK(b.all<PieceSynced>().empty());
    b.feed(30, 100);
    b.disk.sync();
    CHECK(b.all<PieceSynced>().empty());
}

TEST_CASE("what a failed sync was for is cut off: the clip and the gap behind it meet before it") {
    Bench b;
    b.feed(60, 50);
    b.disk.sync();
    REQUIRE(b.all<PieceSynced>().size() == 1);
    const BootTime durable = b.all<PieceSynced>()[0].identity.boot_end;
    b.feed(60, 50);
    b.fs.fail_at(b.fs.operations(), Error{ErrorCode::unavailable, "I/O error"});
    b.disk.sync();
    const auto ended = b.all<ClipEnded>();
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].summary.reason == clip::EndReason::disk_error);
    CHECK(ended[0].summary.boot_end == durable);
    const auto records = b.journal();
    CHECK(std::get<journal::GapBegan>(records.back()).when.at == durable);
    b.fs.power_cut(hd::test::Cut::lose_all);
    CHECK(clip::check_clip(b.fs, "/data/clips/" + ended[0].path, clip::CheckLevel::hash).good());
}

TEST_CASE("a gap stands in the journal once, whoever wrote it, and ends with durable video") {
    Bench b;
    const journal::Stamp t1 = some_time().stamp(kStart), t2 = some_time().stamp(kStart + 5s);
    b.disk.apply(OpenGap{t1, journal::GapCause::stalled, "quiet"});
    b.disk.apply(OpenGap{t2, journal::GapCause::unreachable, "again"});
    CHECK(b.journal().size() == 1);
    b.now = kStart + 10s;
    b.feed(60, 50);
    CHECK(b.journal().size() == 1);  // nothing is durable yet
    b.disk.sync();
    REQUIRE(b.journal().size() == 2);
    CHECK(std::get<journal::GapEnded>(b.journal()[1]).when == some_time().stamp(kStart + 10s));
    REQUIRE(b.all<GapStands>().size() == 2);
    CHECK(b.all<GapStands>()[1].cause == journal::GapCause::stalled);
    REQUIRE(b.session.end(clip::EndReason::stream_lost, "").ok());
    const journal::Stamp end = some_time().stamp(b.now);
    {
        // The daemon notes that a recorder died.
        auto daemon = journal::Writer::open(
            b.fs, "/data/journal/" + to_string(CameraId{{1, 2, 3}}) + ".log", "camera");
        REQUIRE(daemon.ok());
        REQUIRE(daemon
                    ->append(journal::encode(journal::CameraRecord{
                        journal::GapBegan{end, journal::GapCause::restart, "crashed"}}))
                    .ok());
    }
    const std::size_t before = b.journal().size();
    b.disk.apply(OpenGap{end, journal::GapCause::closed, ""});
    CHECK(b.journal().size() == before);
    // What the camera does instead says more than that the hub was away.
    b.disk.apply(OpenGap{some_time().stamp(b.now + 1s), journal::GapCause::unreachable, ""});
    CHECK(b.journal().size() == before + 1);
}

TEST_CASE("what a full disk refuses of the journal comes before the next clip") {
    Bench b;
    b.feed(60, 50);
    b.disk.sync();
    b.fs.set_capacity(0);
    b.feed(40, 100);
    REQUIRE(b.all<DiskFailed>().size() == 1);
    b.session.abandon(ClipId{{1}});
    CHECK(b.journal().empty());
    b.fs.set_capacity(std::nullopt);
    b.feed(60, 50);
    b.disk.sync();
    const auto records = b.journal();
    REQUIRE(records.size() == 2);
    CHECK(std::get<journal::GapBegan>(records[0]).cause == journal::GapCause::disk_full);
    CHECK(std::get<journal::GapBegan>(records[0]).when.at ==
          b.all<ClipEnded>()[0].summary.boot_end);
    CHECK(std::get<journal::GapEnded>(records[1]).when.at ==
          b.all<ClipBegun>()[1].header.boot_begin);
}

TEST_CASE("the thread does what it was offered, refuses after close, and says when it is full") {
    Bench b;
    JobList jobs;
    ClipSession recorded{some_plan(b.owner),
                         {.disk = jobs,
                          .new_clip_id = [] { return ClipId{{1}}; },
                          .time_base = [] { return some_time(); }}};
    recorded.begin_run(RunId{1});
    recorded.set_format(some_format());
    for (int i = 0; i < 100; ++i)
        REQUIRE(recorded.add(some_frame(kStart + i * Micros(40'000), i % 50 == 0, 2000)).ok());
    REQUIRE(recorded.end(clip::EndReason::shutdown, "").ok());

    DiskThread queue(b.disk, b.clock, {.queue_bytes = 20'000, .sync_pieces = false}, {});
    CHECK(queue.has_room());
    bool refused = false;
    std::size_t taken = 0;
    for (const DiskJob& job : jobs.jobs) {
        if (!queue.offer(job)) refused = true;
        taken += refused ? 0 : 1;
    }
    CHECK(refused);  // at four times the limit
    CHECK_FALSE(queue.has_room());
    CHECK_FALSE(queue.wait_for_room(Micros(1000)));
    std::thread thread([&] { queue.run(); });
    for (std::size_t i = taken; i < jobs.jobs.size(); ++i) {
        CHECK(queue.wait_for_room(10s));
        CHECK(queue.offer(jobs.jobs[i]));
    }
    queue.close();
    thread.join();
    CHECK_FALSE(queue.offer(jobs.jobs[0]));
    bool ended = false;
    for (const DiskEvent& e : queue.take_events())
        if (const auto* clip = std::get_if<ClipEnded>(&e)) {
            ended = true;
            CHECK(clip->summary.frames == 100);
        }
    CHECK(ended);
}

TEST_SUITE_END();
