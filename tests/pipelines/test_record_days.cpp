// A camera that comes and goes, and processes that do. Gaps, liveness, adoption.
#include <random>

#include <doctest/doctest.h>

#include "tests/pipelines/camera_days.hpp"
#include "tests/pipelines/camera_fate.hpp"

using namespace hd;
using namespace hd::test;
using namespace std::chrono_literals;
using journal::GapCause;

namespace {

std::vector<GapCause> causes_of(CameraDays& days) {
    std::vector<GapCause> out;
    for (const Tile& t : days.tiles())
        if (t.cause) out.push_back(*t.cause);
    return out;
}

const Error kIoError{ErrorCode::unavailable, "I/O error"};

template <typename T>
std::size_t count_of(const std::vector<journal::CameraRecord>& records) {
    return static_cast<std::size_t>(
        std::ranges::count_if(records, [](const auto& r) { return std::holds_alternative<T>(r); }));
}

std::uint64_t frames_of(CameraDays& days) {
    std::uint64_t n = 0;
    for (const auto& c : days.clips()) n += c.frames;
    return n;
}

// When video was durable again that had not been: the last tile is that gap, while its clip is
// open.
BootTime gap_ended_at(CameraDays& days) {
    const Tile last = days.tiles().back();
    REQUIRE(last.cause.has_value());
    REQUIRE(last.end.has_value());
    return last.end->at;
}

// The power fails at each operation of the disk in turn, in `time` after `before`.
void fail_everywhere(Micros time, const std::function<void(CameraDays&)>& before) {
    bool failed = true;
    for (std::uint64_t i = 0; failed; ++i) {
        CameraDays days;
        days.settings.clip_target = 10s;
        days.daemon_starts();
        days.live(25s);
        before(days);
        const std::uint64_t at = days.fs.operations() + i;
        days.fs.cut_power_at(at);
        days.live(time);
        failed = days.fs.operations() > at;
        days.crash(Cut::keep_all);
        days.daemon_starts();
        days.live(20s);
        days.stop();
        CAPTURE(i);
        CHECK(days.untiled() == "");
    }
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/days");

TEST_CASE("pictures without parameter sets are waited for, and the state says so") {
    CameraDays days;
    days.settings.first_frame_timeout = 10s;
    days.set_mood(Mood::silent);
    days.daemon_starts();
    for (int i = 0; i < 40; ++i) {
        days.unusable += 25;
        days.live(1s);
    }
    CHECK(days.connects == 1);
    const auto state_words = [&] {
        std::string words;
        for (const auto& message : days.heard)
            if (const auto* m = std::get_if<link::StateChanged>(&message)) words = m->detail;
        return words;
    };
    CHECK(state_words().find("no parameter sets (SPS, PPS)") != std::string::npos);
    days.set_mood(Mood::well);
    days.live(20s);
    CHECK(days.connects == 1);
    CHECK(state_words().empty());

    // Not for ever.
    CameraDays never;
    never.set_mood(Mood::silent);
    never.daemon_starts();
    for (int i = 0; i < 100; ++i) {
        never.unusable += 25;
        never.live(1s);
    }
    CHECK(never.connects == 2);
}

TEST_CASE("every cause has its gap, and clips and gaps tile the time to the microsecond") {
    CameraDays days;
    days.daemon_starts();
    days.live(70s);
    days.set_mood(Mood::off);
    days.hang_up();
    days.live(90s);
    days.set_mood(Mood::refuses);
    days.live(90s);
    days.set_mood(Mood::well);
    days.live(90s);
    days.set_mood(Mood::silent);
    days.live(8s);
    days.set_mood(Mood::well);
    days.live(40s);
    days.fs.set_capacity(0);
    days.live(30s);
    days.fs.set_capacity(std::nullopt);
    days.live(30s);
    days.enable(false);
    days.live(50s);
    days.enable(true);
    days.live(30s);
    days.recorder_dies();
    days.live(30s);
    days.stop();
    CHECK(days.untiled() == "");
    const auto causes = causes_of(days);
    for (const GapCause cause : {GapCause::restart, GapCause::unreachable, GapCause::refused,
                                 GapCause::stalled, GapCause::disk_full, GapCause::disabled})
        CHECK_MESSAGE(std::ranges::find(causes, cause) != causes.end(),
                      std::string(journal::to_string(cause)));
    for (const auto& c : days.clips()) CHECK(c.frames > 0);
}

TEST_CASE("wherever the power fails, the first clip of a boot is found by the next boot") {
    fail_everywhere(8s, [](CameraDays& days) {
        days.crash(Cut::keep_all);
        days.daemon_starts();
    });
}

TEST_CASE("wherever the power fails, a clip is found whose name the clock has set back") {
    fail_everywhere(22s, [](CameraDays& days) {
        days.clock.step_wall(-1800s);
        days.live(12s);
    });
}

TEST_CASE("a clip with a name in the past, and again no power before the next frame is durable") {
    for (std::uint64_t point = 0; point < 30; ++point) {
        CameraDays days;
        days.daemon_starts();
        days.live(15s);
        days.clock.step_wall(-1800s);
        days.live(14s);
        days.crash(point % 2 ? std::optional(Cut::lose_all) : std::nullopt);
        days.daemon_starts();
        days.fs.cut_power_at(days.fs.operations() + point);
        days.live(5s);
        days.crash(Cut::lose_all);
        days.daemon_starts();
        days.live(15s);
        days.stop();
        CAPTURE(point);
        CHECK(days.untiled() == "");
    }
}

TEST_CASE("a key frame that came while the machine slept ends the wait for it where it came") {
    for (int asleep = 1; asleep < 30; ++asleep) {
        CameraDays days;
        days.begins_with_key = false;
        days.key_every = 30;
        days.daemon_starts();
        days.live(6s);
        days.crash(Cut::keep_all);
        days.daemon_starts();
        days.live(3s);
        days.recorder_sleeps(true);
        days.live(Micros(std::chrono::seconds(asleep)));
        days.recorder_sleeps(false);
        days.live(60s);
        days.stop();
        CAPTURE(asleep);
        CHECK(days.untiled() == "");
        CHECK(frames_of(days) >= 30);
    }
}

TEST_CASE("a clip that the disk broke, and had no room to finish, loses no second in silence") {
    for (const Cut cut : {Cut::lose_all, Cut::keep_half})
        for (std::uint64_t broken = 0; broken < 8; ++broken)
            for (int full_after = 0; full_after < 6; ++full_after) {
                CameraDays days;
                days.key_every = 4;
                days.daemon_starts();
                days.live(25s);
                days.fs.fail_at(days.fs.operations() + broken, kIoError);
                days.live(Micros(std::chrono::seconds(full_after)));
                days.fs.set_capacity(0);
                days.live(2s);
                days.fs.set_capacity(std::nullopt);
                days.live(7s);
                days.crash(cut);
                days.daemon_starts();
                days.live(20s);
                days.stop();
                CAPTURE(broken);
                CAPTURE(full_after);
                CHECK(days.untiled() == "");
            }
}

TEST_CASE("a disk that fails, and again when it is to go on, then the power: nothing in silence") {
    for (const std::uint64_t count : {1, 6})
        for (std::uint64_t first = 0; first < 8; ++first)
            for (std::uint64_t second = 0; second < 12; ++second) {
                CameraDays days;
                days.key_every = 4;
                days.daemon_starts();
                days.live(25s);
                days.fs.fail_at(days.fs.operations() + first, kIoError, count);
                days.live(4s);
                days.fs.fail_at(days.fs.operations() + second, kIoError);
                days.live(9s);
                days.crash(second % 2 ? Cut::lose_all : Cut::keep_half);
                days.daemon_starts();
                days.live(20s);
                days.stop();
                CAPTURE(count);
                CAPTURE(first);
                CAPTURE(second);
                CHECK(days.untiled() == "");
            }
}

TEST_CASE("a recorder that dies on a full disk: the next one goes on in no silence") {
    for (int death = 0; death < 3; ++death)
        for (int full_after = 1; full_after < 8; ++full_after) {
            CameraDays days;
            days.daemon_starts();
            days.live(25s);
            days.fs.set_capacity(0);
            days.live(4s);
            if (death == 0) days.recorder_dies();
            if (death == 1) days.lose_dialer();
            if (death == 2) days.daemon_is_of_another_release();
            days.live(Micros(std::chrono::seconds(full_after)));
            days.fs.set_capacity(std::nullopt);
            days.live(40s);
            days.stop();
            CAPTURE(death);
            CAPTURE(full_after);
            CHECK(days.untiled() == "");
            CHECK(frames_of(days) >= 45);
        }
}

TEST_CASE("random histories tile: camera, disk, clock, processes and power come and go") {
    const auto [first, count] = seeds_to_live(25);
    std::uint64_t bad = 0;
    for (std::uint64_t seed = first; seed < first + count && bad < 5; ++seed) {
        CameraDays days;
        live_through(days, {.seed = seed});
        const std::string what = days.untiled();
        if (what.empty()) continue;
        ++bad;
        FAIL_CHECK("seed " << seed << ": " << what);
    }
    MESSAGE("seeds " << first << " to " << first + count - 1);
}

TEST_CASE("a camera that is off is asked about once a second, one that refuses ever more rarely") {
    CameraDays days;
    days.set_mood(Mood::off);
    days.daemon_starts();
    days.live(600s, 100ms);
    CHECK(days.connects >= 500);
    CHECK(days.connects <= 800);
    days.connects = 0;
    days.set_mood(Mood::refuses);
    days.live(600s, 100ms);
    CHECK(days.connects >= 20);
    CHECK(days.connects <= 45);
    // One gap, its cause once a minute at most.
    CHECK(days.journal().size() < 10);
}

TEST_CASE("a camera that comes back is recorded within two seconds, however long it was away") {
    CameraDays days;
    days.frame_step = 40ms;
    days.key_every = 25;
    days.daemon_starts();
    std::mt19937_64 random(1);
    for (int i = 0; i < 20; ++i) {
        days.live(10s, 20ms);
        days.set_mood(Mood::off);
        days.hang_up();
        days.live(Micros(static_cast<std::int64_t>(random() % 100'000'000)), 50ms);
        const BootTime back = days.clock.boot();
        days.set_mood(Mood::well);
        days.live(3s, 20ms);
        REQUIRE(days.first_frame.has_value());
        CHECK(*days.first_frame - back <= 1100ms);
        CHECK(gap_ended_at(days) - back <= 2s);
    }
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_CASE("a camera is recorded again within two seconds after its recorder's dialer is gone") {
    CameraDays days;
    days.frame_step = 40ms;
    days.key_every = 25;
    days.daemon_starts();
    for (int i = 0; i < 5; ++i) {
        days.live(31s, 20ms);
        const BootTime lost = days.clock.boot();
        days.ended.reset();
        days.lose_dialer();
        days.live(3s, 20ms);
        REQUIRE(days.ended.has_value());
        CHECK(*days.ended == record::Ended::no_dialer);
        CHECK(days.recorder_lives());
        CHECK(gap_ended_at(days) - lost <= 2s);
    }
    days.stop();
    CHECK(days.untiled() == "");
    CHECK(count_of<journal::RunBegan>(days.journal()) == 6);
}

TEST_CASE("two watchdogs: ten seconds for the first frame, three between frames") {
    CameraDays days;
    days.set_mood(Mood::silent);
    days.daemon_starts();
    days.live(9s, 100ms);
    CHECK(days.connects == 1);
    days.live(3s, 100ms);
    CHECK(days.connects == 2);
    days.set_mood(Mood::well);
    days.live(30s, 100ms);
    const unsigned before = days.connects;
    days.set_mood(Mood::silent);
    days.live(1900ms, 100ms);  // the last frame is up to a second old
    CHECK(days.connects == before);
    days.live(2s, 100ms);
    CHECK(days.connects == before + 1);
    days.stop();
    CHECK(days.untiled() == "");
    CHECK(causes_of(days).back() == GapCause::restart);
}

TEST_CASE("a teardown that hangs ends the process, with everything on the disk") {
    CameraDays days;
    days.daemon_starts();
    days.live(30s);
    days.set_mood(Mood::hangs);
    days.live(5s);
    REQUIRE(days.ended.has_value());
    CHECK(*days.ended == record::Ended::hung);
    CHECK(frames_of(days) == days.frames);
    days.set_mood(Mood::well);
    days.live(30s);
    days.stop();
    CHECK(days.untiled() == "");
    CHECK(frames_of(days) == days.frames);
}

TEST_CASE("a daemon that goes and comes again finds the same run, and every frame") {
    CameraDays days;
    days.daemon_starts();
    days.live(100s);
    for (int i = 0; i < 3; ++i) {
        days.daemon_dies();
        days.live(95s);
        days.daemon_starts();
        days.live(20s);
    }
    days.stop();
    CHECK(days.untiled() == "");
    CHECK(count_of<journal::RunBegan>(days.journal()) == 1);
    CHECK(frames_of(days) == days.frames);
    CHECK(causes_of(days) == std::vector{GapCause::restart, GapCause::restart});
}

TEST_CASE("a recorder left alone for five minutes closes its clip and ends") {
    CameraDays days;
    days.daemon_starts();
    days.live(30s);
    days.daemon_dies();
    days.live(299s);
    CHECK(days.recorder_lives());
    days.live(3s);
    CHECK_FALSE(days.recorder_lives());
    REQUIRE(days.ended.has_value());
    CHECK(*days.ended == record::Ended::orphaned);
    CHECK(days.clips().back().reason == clip::EndReason::shutdown);
    // The next daemon hours later: the time between is a gap, from the last frame on.
    days.live(7200s, 60s);
    days.daemon_starts();
    days.live(30s);
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_CASE("a daemon of another release: the recorder ends at the next key frame, not before") {
    CameraDays days;
    days.daemon_starts();
    days.live(35s);  // the last key frame is some seconds old
    REQUIRE_FALSE(days.ended.has_value());
    days.daemon_is_of_another_release();
    days.live(2s);
    CHECK_FALSE(days.ended.has_value());
    const std::uint64_t sent = days.frames;
    for (int i = 0; i < 12 && !days.ended; ++i) days.live(1s);
    REQUIRE(days.ended.has_value());
    CHECK(days.frames > sent);
    days.live(30s);  // with its own release again
    days.stop();
    CHECK(days.untiled() == "");
    CHECK(count_of<journal::RunBegan>(days.journal()) == 2);
}
