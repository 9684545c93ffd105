// The clock's bad days, and what the index makes of them.
#include <cstdlib>
#include <numeric>
#include <set>

#include <doctest/doctest.h>

#include "index/store/rebuild.hpp"
#include "tests/pipelines/camera_days.hpp"

using namespace hd;
using namespace hd::test;
using namespace std::chrono_literals;
using clip::EndReason;

namespace {

constexpr WallTime kBootOf1970{5'000'000};
constexpr Micros kTo2026(1'795'183'200'000'000);

std::uint64_t frames_of(const std::vector<clip::ClipSummary>& clips) {
    return std::accumulate(clips.begin(), clips.end(), std::uint64_t{0},
                           [](std::uint64_t n, const auto& c) { return n + c.frames; });
}

std::size_t count_reason(const std::vector<clip::ClipSummary>& clips, EndReason reason) {
    return static_cast<std::size_t>(
        std::ranges::count_if(clips, [&](const auto& c) { return c.reason == reason; }));
}

void check_durations(CameraDays& days) {
    for (const clip::ClipSummary& c : days.clips()) {
        CHECK(c.boot_end > c.boot_begin);
        CHECK(c.boot_end - c.boot_begin <= clip::kMaxClipLength);
        CHECK(c.utc_end - c.utc_begin == c.boot_end - c.boot_begin);
    }
    for (const Tile& t : days.tiles())
        if (t.end && t.begin.boot == t.end->boot) CHECK(t.end->at >= t.begin.at);
}

std::set<std::string> clip_files(CameraDays& days) {
    std::set<std::string> out;
    for (const std::string& path : days.fs.paths())
        if (path.ends_with(".clip")) out.insert(path);
    return out;
}

// An index over what the camera's days left, as the daemon keeps it.
struct Index {
    TempFolder folder;
    std::unique_ptr<store::Store> rows;
    Index() {
        store::OpenReport report;
        auto opened = store::Store::open(folder.path("index"), {}, WallTime{0}, report);
        REQUIRE(opened.ok());
        rows = std::move(*opened);
    }
    void look(CameraDays& days) {
        const auto report = store::reconcile(
            *rows, days.fs, {.clips = days.data() + "/clips", .journal = days.data() + "/journal"});
        REQUIRE(report.ok());
        CHECK(report->findings.empty());
    }
    store::WindowAnswer window(WallTime from, WallTime to, std::uint32_t limit = 1000,
                               std::string cursor = "") {
        auto answer = rows->window({.window = {from, to},
                                    .cameras = {},
                                    .limit = limit,
                                    .with_gaps = true,
                                    .cursor = std::move(cursor)});
        REQUIRE(answer.ok());
        return *answer;
    }
    store::WindowAnswer all() { return window(WallTime{0}, WallTime{4'000'000'000'000'000}); }
};

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/time");

TEST_CASE("a boot in 1970: clips wait for their time, then are found under it, unmoved") {
    CameraDays days(ClockQuality::unsynchronised, kBootOf1970);
    Index index;
    days.daemon_starts();
    days.live(200s);
    index.look(days);
    CHECK(index.rows->pending(10)->size() == days.clips().size());
    CHECK(index.all().clips.empty());
    const auto before = clip_files(days);
    REQUIRE(before.size() >= 2);
    const BootTime known = days.clock.boot();
    days.clock.step_wall(kTo2026);
    days.clock.set_quality(ClockQuality::synchronised);
    days.live(200s);
    days.stop();
    index.look(days);
    CHECK(index.rows->pending(10)->empty());
    for (const std::string& file : before) CHECK(clip_files(days).contains(file));
    const auto log = days.clock_log();
    REQUIRE(log.size() == 2);
    CHECK(log[0].when.quality == ClockQuality::unsynchronised);
    CHECK(log[1].stepped_us == kTo2026.count());
    CHECK(days.untiled() == "");
    check_durations(days);
    CHECK(frames_of(days.clips()) == days.frames);
    // One time line, without a seam where the clock was set.
    const auto answer = index.all();
    REQUIRE(answer.clips.size() == days.clips().size());
    std::size_t restamped = 0;
    for (std::size_t i = 0; i < answer.clips.size(); ++i) {
        restamped += answer.clips[i].restamped ? 1 : 0;
        if (i > 0) CHECK(answer.clips[i].begin == answer.clips[i - 1].end);
    }
    CHECK(restamped >= before.size());
    CHECK(answer.clips[0].begin.us ==
          days.clips()[0].boot_begin.us + journal::offset_of(log[1].when).count());
    CHECK(known > days.clips()[0].boot_end);
}

TEST_CASE("an hour forward: the hour that never was is a gap of the clock, and nothing is lost") {
    CameraDays days;
    Index index;
    days.daemon_starts();
    days.live(150s);
    days.clock.step_wall(3600s);
    days.live(150s);
    days.stop();
    CHECK(days.untiled() == "");
    check_durations(days);
    CHECK(frames_of(days.clips()) == days.frames);
    CHECK(count_reason(days.clips(), EndReason::clock_step) == 1);
    REQUIRE(days.clock_log().size() == 2);
    CHECK(days.clock_log()[1].stepped_us == 3'600'000'000);
    index.look(days);
    std::vector<store::GapRow> steps;
    for (const store::GapRow& gap : index.all().gaps)
        if (gap.cause == journal::GapCause::clock) steps.push_back(gap);
    REQUIRE(steps.size() == 1);
    CHECK(*steps[0].end - steps[0].begin == 3600s);
}

TEST_CASE("back by exactly a clip's length: both clips stay, both are found, in a stable order") {
    CameraDays days;
    Index index;
    days.daemon_starts();
    days.live(135s);
    days.clock.step_wall(-60s);
    days.live(200s);
    days.stop();
    CHECK(days.untiled() == "");
    check_durations(days);
    const auto clips = days.clips();
    CHECK(frames_of(clips) == days.frames);
    CHECK(clip_files(days).size() == clips.size());
    CHECK(count_reason(clips, EndReason::clock_step) == 1);
    index.look(days);
    const auto answer = index.all();
    CHECK(answer.clips.size() == clips.size());
    // The minute that was twice.
    std::size_t at = 0;
    while (clips[at].reason != EndReason::clock_step) ++at;
    const WallTime twice = clips[at].utc_end - Micros(5'000'000);
    REQUIRE(clips[at + 1].utc_begin < twice);
    const auto both = index.window(twice, twice + Micros(1'000'000));
    CHECK(both.clips.size() >= 2);
    for (std::size_t i = 1; i < answer.clips.size(); ++i)
        CHECK(store::answer_order(answer.clips[i - 1], answer.clips[i]));
    // The same in pages of one, each once.
    std::vector<store::ClipRow> paged;
    for (std::string cursor;;) {
        const auto page = index.window(WallTime{0}, WallTime{4'000'000'000'000'000}, 1, cursor);
        paged.insert(paged.end(), page.clips.begin(), page.clips.end());
        cursor = page.next_cursor;
        if (cursor.empty()) break;
    }
    CHECK(paged == answer.clips);
}

TEST_CASE("an hour back and, later, forward again") {
    CameraDays days;
    days.daemon_starts();
    days.live(90s);
    days.clock.step_wall(-3600s);
    days.live(90s);
    days.clock.step_wall(3600s);
    days.live(90s);
    days.stop();
    CHECK(days.untiled() == "");
    check_durations(days);
    CHECK(frames_of(days.clips()) == days.frames);
    CHECK(days.clock_log().size() == 3);
}

TEST_CASE("a leap second is a step of one second back; a time zone is nothing at all") {
    ::setenv("TZ", "Europe/Berlin", 1);
    ::tzset();
    // Two minutes before summer time ends there (2026-10-25T01:00:00Z).
    CameraDays days(ClockQuality::synchronised, WallTime{1'792'889'880'000'000});
    days.daemon_starts();
    days.live(300s);
    CHECK(days.clock_log().size() == 1);
    days.clock.step_wall(-1s);
    days.live(100s);
    days.stop();
    ::unsetenv("TZ");
    ::tzset();
    CHECK(days.untiled() == "");
    check_durations(days);
    CHECK(frames_of(days.clips()) == days.frames);
    REQUIRE(days.clock_log().size() == 2);
    CHECK(days.clock_log()[1].stepped_us == -1'000'000);
    for (const std::string& file : clip_files(days))
        CHECK(file.find("/2026-10-25/0") != std::string::npos);
}

TEST_CASE("of two boots without a clock each keeps its own: what is never known stays pending") {
    CameraDays days;
    Index index;
    days.daemon_starts();
    days.live(100s);
    const auto first = days.clips().size();
    days.crash(Cut::keep_half, ClockQuality::unsynchronised);
    days.clock.step_wall(-kTo2026);
    days.daemon_starts();
    days.live(100s);
    days.crash(Cut::keep_half, ClockQuality::unsynchronised);
    days.daemon_starts();
    days.live(100s);
    index.look(days);
    CHECK(index.rows->pending(100)->size() >= 3);
    days.clock.step_wall(kTo2026);
    days.clock.set_quality(ClockQuality::synchronised);
    days.live(100s);
    days.stop();
    CHECK(days.untiled() == "");
    check_durations(days);
    index.look(days);
    const auto log = days.clock_log();
    REQUIRE(log.size() == 4);
    CHECK(log[1].when.boot != log[2].when.boot);
    const auto pending = *index.rows->pending(100);
    CHECK(pending.size() == 2);
    for (const store::PendingClip& clip : pending) CHECK(clip.boot == log[1].when.boot);
    CHECK(index.all().clips.size() == days.clips().size() - 2);
    CHECK(first >= 1);
}

TEST_CASE("500 ppm of drift for a day: BOOTTIME counts, UTC follows in recorded steps") {
    CameraDays days;
    days.settings.sync_period = 10s;
    days.frame_step = 2s;
    days.daemon_starts();
    for (int i = 0; i < 24 * 60; ++i) {
        days.live(60s, 2s);
        days.clock.step_wall(30ms);
    }
    days.stop();
    CHECK(days.untiled() == "");
    check_durations(days);
    const auto clips = days.clips();
    CHECK(frames_of(clips) == days.frames);
    CHECK(days.frames >= 43'190);
    // A step a record: 43.2 s of drift, each record 0.1 s or one turn's drift more.
    const std::size_t records = days.clock_log().size();
    CHECK(records >= 330);
    CHECK(records <= 434);
    CHECK(clips.back().boot_end - clips.front().boot_begin >= 86'380s);
    const Micros off = days.clock.wall() - clips.back().utc_end;
    CHECK(std::chrono::abs(off) < 2s + journal::kClockStep + 30ms);
}

TEST_CASE("a camera whose clock jumps orders nothing: it is a note of its run") {
    CameraDays days;
    days.daemon_starts();
    days.camera_clock =
        ingest::CameraClock{.offset = 3600s, .spread = 2ms, .reports = 12, .jumps = 0};
    days.live(70s);
    days.hang_up();
    days.live(5s);
    days.camera_clock =
        ingest::CameraClock{.offset = -86'400s, .spread = 9ms, .reports = 7, .jumps = 3};
    days.live(70s);
    days.stop();
    CHECK(days.untiled() == "");
    check_durations(days);
    std::vector<journal::RunEnded> runs;
    for (const auto& record : days.journal())
        if (const auto* run = std::get_if<journal::RunEnded>(&record)) runs.push_back(*run);
    REQUIRE(runs.size() == 2);
    REQUIRE(runs[0].camera_clock.has_value());
    CHECK(runs[0].camera_clock->offset == 3600s);
    CHECK(runs[1].camera_clock->offset == -86'400s);
    CHECK(runs[1].camera_clock->jumps == 3);
    const auto clips = days.clips();
    for (std::size_t i = 1; i < clips.size(); ++i)
        CHECK(clips[i].utc_begin >= clips[i - 1].utc_end);
}
