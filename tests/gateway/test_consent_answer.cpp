#include <algorithm>
#include <random>

#include <doctest/doctest.h>

#include "gateway/consent/answer.hpp"
#include "tests/gateway/household.hpp"

using namespace hd;
using namespace hd::consent;
using hd::test::at;
using hd::test::clip_id_of;
using hd::test::Household;

namespace {

using std::chrono::seconds;

struct Case {
    Household home;
    MadeRequest made = home.ask();
    std::vector<ClipSpan> clips;

    Case() {
        for (std::uint8_t i = 0; i < 30; ++i)
            clips.push_back(
                {i % 2 == 0 ? home.front : home.yard,
                 clip_id_of(i),
                 {home.window.begin + seconds(60 * i), home.window.begin + seconds(60 * i + 60)}});
    }
    Answer decide(Level level) {
        home.policy.requesters.front().level = level;
        return decide_with(&home.policy.requesters.front());
    }
    Answer decide_with(const PolicyRequester* who) const {
        return decide_answer({.policy = home.policy,
                              .who = who,
                              .request = made.request.request,
                              .request_hash = made.request.hash,
                              .received = home.now,
                              .clips = clips,
                              .hub_secret = home.hub_seed.view()});
    }
    std::string bytes(Level level) { return sign_answer(decide(level), home.hub); }
};

}  // namespace

TEST_SUITE("gateway/consent/answer") {
    TEST_CASE("every answer has one size, verifies, and is the same each time") {
        Case c;
        for (const Level level : {Level::silent, Level::coverage, Level::clips}) {
            CAPTURE(to_string(level));
            const std::string one = c.bytes(level);
            CHECK(one.size() == kAnswerBytes);
            CHECK(one == c.bytes(level));
            const auto parsed = parse_answer(one, c.home.hub.key());
            REQUIRE(parsed.ok());
            CHECK(*parsed == c.decide(level));
        }
    }

    TEST_CASE("class A: every private reason for nothing gives the very same bytes") {
        Case c;
        const std::string silent = c.bytes(Level::silent);
        for (const Level level : {Level::coverage, Level::clips}) {
            CAPTURE(to_string(level));
            CHECK(c.bytes(level) != silent);
            const auto with = [&](auto change) {
                Case other;
                other.made = c.made;
                change(other);
                return other.bytes(level);
            };
            CHECK(with([](Case& o) { o.clips.clear(); }) == silent);                // no footage
            CHECK(with([](Case& o) { o.home.policy.cameras.clear(); }) == silent);  // opted out
            CHECK(with([](Case& o) { o.home.policy.cell = Cell{4090, -7401}; }) == silent);
            CHECK(with([](Case& o) { o.home.policy.cell.reset(); }) == silent);
            CHECK(with([](Case& o) {
                      for (ClipSpan& s : o.clips) s.camera = o.home.nursery;
                  }) == silent);
            CHECK(with([](Case& o) {
                      for (ClipSpan& s : o.clips) s.span = {{0}, {1'000'000}};
                  }) == silent);
        }
        CHECK(sign_answer(c.decide_with(nullptr), c.home.hub) == silent);  // no longer named
    }

    TEST_CASE("silent never changes, whatever was recorded") {
        Case c;
        const std::string silent = c.bytes(Level::silent);
        std::mt19937 rng(3);
        for (int round = 0; round < 20; ++round) {
            c.clips.clear();
            for (std::uint8_t i = 0; i < rng() % 40; ++i) {
                const WallTime begin = c.home.window.begin + seconds(rng() % 7200) - seconds(1800);
                c.clips.push_back({rng() % 2 == 0 ? c.home.front : c.home.nursery,
                                   clip_id_of(i),
                                   {begin, begin + seconds(rng() % 120)}});
            }
            CHECK(c.bytes(Level::silent) == silent);
        }
    }

    TEST_CASE("coverage says which quarters of an hour had video, and no more") {
        Case c;
        const WallTime from = c.home.window.begin;
        c.clips = {{c.home.front, clip_id_of(1), {from + seconds(100), from + seconds(160)}},
                   {c.home.yard, clip_id_of(2), {from + seconds(2690), from + seconds(2701)}}};
        const Answer a = c.decide(Level::coverage);
        CHECK(a.coverage_from == from);
        CHECK(a.coverage == std::vector<bool>{true, false, true, true});
        CHECK(a.clips.empty());
        // Merging, splitting or moving clips inside a quarter changes nothing.
        const std::string before = c.bytes(Level::coverage);
        c.clips[0].span = {from, from + seconds(900)};
        c.clips.push_back({c.home.yard, clip_id_of(3), {from + seconds(5), from + seconds(9)}});
        CHECK(c.bytes(Level::coverage) == before);
        c.clips[0].span.end = from + seconds(901);
        CHECK(c.bytes(Level::coverage) != before);
    }

    TEST_CASE("coverage counts only video inside the window, in quarters of UTC hours") {
        Case c;
        Asking asking = c.home.asking();
        asking.window = {at("2026-11-22T11:50:00Z"), at("2026-11-22T12:20:00Z")};
        c.made = make_request(asking, c.home.requester_secret).value();
        c.clips = {
            {c.home.front, clip_id_of(1), {at("2026-11-22T11:45:00Z"), at("2026-11-22T11:50:00Z")}},
            {c.home.front,
             clip_id_of(2),
             {at("2026-11-22T12:19:59Z"), at("2026-11-22T12:40:00Z")}}};
        const Answer a = c.decide(Level::coverage);
        CHECK(a.coverage_from == at("2026-11-22T11:45:00Z"));
        CHECK(a.coverage == std::vector<bool>{false, false, true});
    }

    TEST_CASE("a list of clips is cut to the window and to whole seconds, in order of time") {
        Case c;
        const WallTime from = c.home.window.begin;
        c.clips = {{c.home.yard, clip_id_of(2), {from + Micros(5'700'000), from + seconds(65)}},
                   {c.home.front, clip_id_of(1), {from - seconds(30), from + Micros(30'100'000)}},
                   {c.home.nursery, clip_id_of(3), {from, from + seconds(60)}}};
        const Answer a = c.decide(Level::clips);
        REQUIRE(a.clips.size() == 2);
        CHECK(a.coverage.empty());
        CHECK(a.clips[0].span == TimeSpan{from, from + seconds(31)});
        CHECK(a.clips[1].span == TimeSpan{from + seconds(5), from + seconds(65)});
    }

    TEST_CASE("labels differ between requests and do not hold the clip id") {
        Case c;
        const Answer one = c.decide(Level::clips);
        c.made = c.home.ask();
        const Answer two = c.decide(Level::clips);
        REQUIRE(one.clips.size() == two.clips.size());
        for (std::size_t i = 0; i < one.clips.size(); ++i)
            CHECK(one.clips[i].label != two.clips[i].label);
    }

    TEST_CASE("no camera, clip id or hub secret is in an answer") {
        Case c;
        const std::string bytes = c.bytes(Level::clips);
        CHECK(bytes.find(to_string(c.home.front)) == std::string::npos);
        CHECK(bytes.find(to_string(c.clips[3].clip)) == std::string::npos);
        CHECK(bytes.find("clips") == std::string::npos);
    }

    TEST_CASE("a list that does not fit is cut and says so, and the size stays") {
        Case c;
        c.clips.clear();
        Asking asking = c.home.asking();
        asking.window = {at("2026-11-22T00:00:00Z"), at("2026-11-22T12:00:00Z")};
        c.made = make_request(asking, c.home.requester_secret).value();
        for (std::size_t i = 0; i < kMaxAnswerClips + 1; ++i) {
            ClipId id;
            id.bytes[0] = static_cast<std::uint8_t>(i);
            id.bytes[1] = static_cast<std::uint8_t>(i >> 8);
            const WallTime begin = asking.window.begin + seconds(i * 20);
            c.clips.push_back({c.home.front, id, {begin, begin + seconds(119)}});
        }
        const Answer a = c.decide(Level::clips);
        CHECK(a.cut);
        CHECK(a.clips.size() == kMaxAnswerClips);
        CHECK(c.bytes(Level::clips).size() == kAnswerBytes);
        CHECK(parse_answer(c.bytes(Level::clips), c.home.hub.key()).value() == a);
        c.clips.pop_back();
        CHECK_FALSE(c.decide(Level::clips).cut);
    }

    TEST_CASE("a changed or shortened answer, or one of another hub, is refused") {
        Case c;
        const std::string good = c.bytes(Level::coverage);
        REQUIRE(parse_answer(good, c.home.hub.key()).ok());
        CHECK_FALSE(parse_answer(good.substr(1), c.home.hub.key()).ok());
        CHECK_FALSE(parse_answer(good, c.home.owner.key()).ok());
        std::string bad = good;
        const std::size_t bit = bad.find("coverage ") + 30;
        bad[bit] = bad[bit] == '1' ? '0' : '1';
        CHECK(parse_answer(bad, c.home.hub.key()).error().code == ErrorCode::refused);
    }
}
