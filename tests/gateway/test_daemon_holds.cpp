#include <doctest/doctest.h>

#include "gateway/daemon/hold_desk.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_fs.hpp"

using namespace hd;
using namespace hd::daemon;
using namespace std::chrono_literals;

namespace {

const CameraId kDoor{{1}}, kYard{{2}};
constexpr WallTime kNow{1'795'183'200'000'000};

struct Desk {
    explicit Desk(test::MemoryFileSystem& fs, test::FakeClock& clock)
        : desk(
              {.fs = fs, .clock = clock, .board = health, .holds = board, .data_folder = "/data"}) {
    }
    VerbResult ask(VerbResult (HoldDesk::*verb)(const wire::Request&), const std::string& json) {
        return (desk.*verb)({.body = wire::parse_json(json).value()});
    }
    std::string hold(const std::string& more) {
        auto reply = ask(&HoldDesk::hold, R"({"from":"2026-11-20T10:00:00Z",)"
                                          R"("to":"2026-11-20T11:00:00Z")" +
                                              more + "}");
        REQUIRE(reply.ok());
        return wire::parse_json(reply->json)->text_or("hold", "");
    }
    std::size_t count() {
        const auto reply = desk.holds({.body = wire::parse_json("{}").value()});
        return wire::parse_json(reply->json)->array_or_empty("holds").size();
    }
    bool held(CameraId camera, std::string_view begin, std::string_view end) const {
        store::ClipRow row;
        row.camera = camera;
        row.begin = parse_rfc3339(begin).value();
        row.end = parse_rfc3339(end).value();
        return board.held(row);
    }
    bool held_at(CameraId camera) const {
        return held(camera, "2026-11-20T10:30:00Z", "2026-11-20T10:31:00Z");
    }
    StatusBoard health;
    HoldBoard board;
    HoldDesk desk;
};

struct Hub {
    Hub() { REQUIRE(fs.make_folders("/data", 0700).ok()); }
    test::MemoryFileSystem fs;
    test::FakeClock clock{kNow};
};

}  // namespace

TEST_SUITE_BEGIN("gateway/daemon/hold_desk");

TEST_CASE("a hold keeps what overlaps its window, of its camera, and nothing else") {
    Hub hub;
    Desk desk(hub.fs, hub.clock);
    desk.hold(R"(,"camera":"01000000000000000000000000000000")");
    CHECK(desk.held_at(kDoor));
    CHECK_FALSE(desk.held_at(kYard));
    CHECK(desk.held(kDoor, "2026-11-20T09:59:00Z", "2026-11-20T10:00:00.000001Z"));
    CHECK_FALSE(desk.held(kDoor, "2026-11-20T09:59:00Z", "2026-11-20T10:00:00Z"));
    CHECK_FALSE(desk.held(kDoor, "2026-11-20T11:00:00Z", "2026-11-20T11:01:00Z"));
    desk.hold("");
    CHECK(desk.held_at(kYard));
}

TEST_CASE("a hold is durable when the reply comes, and so is its end") {
    Hub hub;
    std::string id;
    {
        Desk desk(hub.fs, hub.clock);
        id = desk.hold(R"(,"why":"insurance")");
    }
    hub.fs.power_cut(test::Cut::lose_all);
    {
        Desk desk(hub.fs, hub.clock);
        CHECK(desk.count() == 1);
        CHECK(desk.held_at(kDoor));
        REQUIRE(desk.ask(&HoldDesk::unhold, R"({"hold":")" + id + "\"}").ok());
        CHECK_FALSE(desk.held_at(kDoor));
        CHECK_FALSE(desk.ask(&HoldDesk::unhold, R"({"hold":")" + id + "\"}").ok());
    }
    hub.fs.power_cut(test::Cut::lose_all);
    Desk desk(hub.fs, hub.clock);
    CHECK(desk.count() == 0);
    CHECK_FALSE(desk.held_at(kDoor));
}

TEST_CASE("a hold ends by itself, but not by a clock that nobody set") {
    Hub hub;
    Desk desk(hub.fs, hub.clock);
    desk.hold(R"(,"until":")" + to_rfc3339(kNow + 1h) + "\"");
    hub.clock.set_quality(ClockQuality::unsynchronised);
    hub.clock.advance(2h);
    desk.desk.tidy();
    CHECK(desk.held_at(kDoor));
    hub.clock.set_quality(ClockQuality::synchronised);
    desk.desk.tidy();
    CHECK_FALSE(desk.held_at(kDoor));
    CHECK_FALSE(desk.ask(&HoldDesk::hold,
                         R"({"from":"2026-11-20T10:00:00Z","to":)"
                         R"("2026-11-20T11:00:00Z","until":"2026-11-20T12:00:00Z"})")
                    .ok());
}

TEST_CASE("a hold that cannot be written is not claimed to stand") {
    Hub hub;
    Desk desk(hub.fs, hub.clock);
    hub.fs.set_capacity(10);
    const auto reply =
        desk.ask(&HoldDesk::hold, R"({"from":"2026-11-20T10:00:00Z","to":"2026-11-20T11:00:00Z"})");
    CHECK_FALSE(reply.ok());
    CHECK(desk.count() == 0);
    hub.fs.set_capacity(std::nullopt);
    desk.hold("");
    CHECK(desk.held_at(kDoor));
}

TEST_CASE("while the holds cannot be read nothing is deleted, and the owner is told") {
    Hub hub;
    auto writer = journal::Writer::open(hub.fs, "/data/holds.log", "camera");
    REQUIRE(writer.ok());
    Desk desk(hub.fs, hub.clock);
    CHECK(desk.held_at(kDoor));
    CHECK(desk.health.health().contains("holds"));

    Hub torn;
    {
        Desk before(torn.fs, torn.clock);
        before.hold("");
        before.hold("");
    }
    torn.fs.flip_bit("/data/holds.log", 60);  // in the first hold
    Desk after(torn.fs, torn.clock);
    CHECK(after.count() == 1);
    CHECK(after.held_at(kDoor));
    CHECK(after.health.health().contains("holds"));
}

TEST_SUITE_END();
