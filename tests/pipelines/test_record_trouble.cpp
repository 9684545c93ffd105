// Pictures that come and cannot be recorded: without a key frame, behind a disk that failed, faster
// than they are written; and what a camera's journal says of a trouble that changes.
#include <algorithm>

#include <doctest/doctest.h>

#include "pipelines/record/gap_book.hpp"
#include "tests/pipelines/camera_days.hpp"

using namespace hd;
using namespace hd::test;
using namespace std::chrono_literals;
using journal::GapCause;

namespace {

constexpr int kNever = 1'000'000;

link::StateChanged last_state(const CameraDays& days) {
    link::StateChanged out{};
    for (const auto& message : days.heard)
        if (const auto* m = std::get_if<link::StateChanged>(&message)) out = *m;
    return out;
}

// Of the journal's gaps, in order.
std::vector<journal::GapBegan> gaps_of(CameraDays& days) {
    std::vector<journal::GapBegan> out;
    for (const auto& record : days.journal())
        if (const auto* gap = std::get_if<journal::GapBegan>(&record)) out.push_back(*gap);
    return out;
}

bool has_cause(CameraDays& days, GapCause cause) {
    return std::ranges::any_of(gaps_of(days), [&](const auto& gap) { return gap.cause == cause; });
}

// The newest clip has this camera's newest picture, but for what is not on the disk yet.
bool records_now(CameraDays& days) {
    const auto tiles = days.tiles();
    const bool gap_open = !tiles.empty() && tiles.back().cause && !tiles.back().end;
    return !gap_open && last_state(days).state == link::CameraState::recording;
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/trouble");

TEST_CASE("pictures without any key frame are waited for, state and journal say it") {
    CameraDays days;
    days.begins_with_key = false;
    days.key_every = kNever;
    days.set_mood(Mood::silent);
    days.daemon_starts();
    days.live(1s);
    days.set_mood(Mood::well);
    days.live(2s, 100ms);  // the camera's first picture would be a key frame
    days.hang_up();
    days.connects = 0;
    days.live(8s);
    CHECK(last_state(days).state == link::CameraState::connecting);
    CHECK(last_state(days).detail.find("no key frame yet") != std::string::npos);
    CHECK_FALSE(has_cause(days, GapCause::stalled));
    days.live(17s);
    REQUIRE(has_cause(days, GapCause::stalled));
    CHECK(gaps_of(days).back().detail.find("no key frame yet") != std::string::npos);
    CHECK(days.connects == 1);
    days.live(50s);  // Not for ever.
    CHECK(days.connects == 2);
    days.begins_with_key = true;
    days.live(60s);
    CHECK(days.connects == 3);
    CHECK(records_now(days));
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_CASE("while parameter sets are waited for, the gap says so too") {
    CameraDays days;
    days.set_mood(Mood::silent);
    days.daemon_starts();
    for (int i = 0; i < 30; ++i) {
        days.unusable += 25;
        days.live(1s);
    }
    REQUIRE(has_cause(days, GapCause::stalled));
    CHECK(gaps_of(days).back().detail.find("no parameter sets") != std::string::npos);
    days.set_mood(Mood::well);
    days.live(20s);
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_CASE("a disk that failed for seconds costs seconds, whenever the next key frame comes") {
    for (const int key_every : {100, kNever}) {
        CAPTURE(key_every);
        CameraDays days;
        days.key_every = key_every;
        days.daemon_starts();
        days.live(20s);
        REQUIRE(records_now(days));
        days.fs.set_capacity(0);
        days.live(6s);
        CHECK(last_state(days).state == link::CameraState::disk_problem);
        days.fs.set_capacity(std::nullopt);
        days.live(12s);
        CHECK(records_now(days));
        CHECK(days.connects <= 4);
        days.stop();
        CHECK(days.untiled() == "");
    }
}

TEST_CASE("a disk that is full for hours does not have its camera asked for a key frame all day") {
    CameraDays days;
    days.key_every = kNever;
    days.daemon_starts();
    days.live(20s);
    days.connects = 0;
    days.fs.set_capacity(0);
    days.live(3600s);
    CHECK(days.connects <= 125);
    days.fs.set_capacity(std::nullopt);
    days.live(40s);
    CHECK(records_now(days));
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_CASE("frames that find no room are an overload: never the camera's fault, and soon over") {
    for (const int key_every : {10, kNever}) {
        CAPTURE(key_every);
        CameraDays days;
        days.settings.buffer_bytes = 500;  // five of them
        days.key_every = key_every;
        days.daemon_starts();
        days.live(14s);
        days.recorder_sleeps(true);
        days.live(12s);
        const BootTime over = days.clock.boot();
        days.recorder_sleeps(false);
        days.live(3s);
        CHECK(last_state(days).state == link::CameraState::disk_problem);
        CHECK(last_state(days).detail.find("too slow") != std::string::npos);
        days.live(12s);
        CHECK(records_now(days));
        days.stop();
        CHECK(days.untiled() == "");
        // One gap, from the first picture that is missing to the next key frame.
        const auto gaps = gaps_of(days);
        REQUIRE(gaps.size() == 3);  // no recorder yet, this, the end
        CHECK(gaps[1].cause == GapCause::overload);
        const auto tiles = days.tiles();
        const auto tile = std::ranges::find_if(
            tiles, [](const Tile& t) { return t.cause == GapCause::overload; });
        REQUIRE(tile != tiles.end());
        CHECK(tile->begin.at <= over - 5s);
        CHECK(tile->end->at - over <= 10s);
        const auto clips = days.clips();
        CHECK(std::ranges::any_of(
            clips, [](const auto& c) { return c.reason == clip::EndReason::overload; }));
        // What had found room is recorded.
        std::uint64_t frames = 0;
        for (const auto& clip : clips) frames += clip.frames;
        CHECK(frames >= days.frames - 22);
    }
}

TEST_CASE("a camera that leaves during an overload has both in its journal") {
    CameraDays days;
    days.settings.buffer_bytes = 500;
    days.daemon_starts();
    days.live(14s);
    days.recorder_sleeps(true);
    days.live(8s);
    days.set_mood(Mood::off);
    days.hang_up();
    days.recorder_sleeps(false);
    days.live(30s);
    CHECK(has_cause(days, GapCause::overload));
    CHECK(has_cause(days, GapCause::unreachable));
    days.set_mood(Mood::well);
    days.live(20s);
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_CASE("a camera that was closed and then refuses is refused from its first no on") {
    CameraDays days;
    days.daemon_starts();
    days.live(30s);
    days.set_mood(Mood::refuses);
    days.hang_up();
    days.live(5s, 100ms);
    const auto gaps = gaps_of(days);
    REQUIRE(gaps.size() == 3);
    CHECK(gaps[1].cause == GapCause::closed);
    CHECK(gaps[2].cause == GapCause::refused);
    CHECK(gaps[2].when.at - gaps[1].when.at < 3s);
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_CASE("troubles that change with each attempt do not fill the journal") {
    MemoryFileSystem fs;
    REQUIRE(fs.make_folders("/data/journal", 0700).ok());
    record::GapBook book(fs, "/data/journal/a.log");
    journal::Stamp now{.boot = {{7}}, .at = {1'000'000}, .utc = {1'000'000}, .quality = {}};
    std::size_t said = 0;
    for (int i = 0; i < 3600; ++i) {
        now.at = now.at + 1s;
        book.open(std::nullopt, now, i / 2 % 2 ? GapCause::closed : GapCause::refused, "");
        said += book.take_events().size();
    }
    CHECK(said > 60);
    CHECK(said < 75);
}

TEST_CASE("a recorder of another release ends without a key frame too, once a clip could be over") {
    CameraDays days;
    days.key_every = kNever;
    days.daemon_starts();
    days.live(20s);
    days.daemon_is_of_another_release();
    for (int i = 0; i < 115 && !days.ended; ++i) {
        days.live(1s);
        days.daemon_is_of_another_release();  // each time that it connects again
    }
    CHECK_FALSE(days.ended.has_value());
    days.live(10s);
    REQUIRE(days.ended.has_value());
    days.live(30s);
    days.stop();
    CHECK(days.untiled() == "");
}

TEST_SUITE_END();
