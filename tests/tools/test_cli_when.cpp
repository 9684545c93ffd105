// Times as people write them, and what rows look like. In-process.
#include <cstdlib>
#include <sstream>

#include <doctest/doctest.h>

#include "tools/cli/output.hpp"
#include "tools/cli/when.hpp"

namespace hd::cli {
namespace {

// Sunday 2026-11-22, 15:30:00.5 UTC.
constexpr WallTime kNow{1'795'361'400'500'000};

std::string utc(std::string_view text) {
    const auto t = parse_when(text, kNow);
    return t ? to_rfc3339(*t) : t.error().what;
}

struct Zone {
    explicit Zone(const char* name) {
        ::setenv("TZ", name, 1);
        ::tzset();
    }
    ~Zone() {
        ::setenv("TZ", "UTC", 1);
        ::tzset();
    }
};

}  // namespace

TEST_SUITE("tools/cli/when") {
    TEST_CASE("RFC 3339 is read as it stands, with or without a fraction, Z or an offset") {
        CHECK(utc("2026-11-22T14:00:00Z") == "2026-11-22T14:00:00.000000Z");
        CHECK(utc("2026-11-22T14:00:00.25Z") == "2026-11-22T14:00:00.250000Z");
        CHECK(utc("2026-11-22T14:00:00+01:00") == "2026-11-22T13:00:00.000000Z");
        CHECK(utc("2026-11-22T00:30:00-0530") == "2026-11-22T06:00:00.000000Z");
    }

    TEST_CASE("a time of day is local and today; yesterday is a day before") {
        const Zone zone("CET-1CEST,M3.5.0,M10.5.0/3");
        CHECK(utc("14:00") == "2026-11-22T13:00:00.000000Z");
        CHECK(utc("14:00:05") == "2026-11-22T13:00:05.000000Z");
        CHECK(utc("yesterday 22:15") == "2026-11-21T21:15:00.000000Z");
        CHECK(utc("today") == "2026-11-21T23:00:00.000000Z");
        CHECK(utc("2026-07-01") == "2026-06-30T22:00:00.000000Z");
        CHECK(utc("2026-07-01 14:00") == "2026-07-01T12:00:00.000000Z");
        CHECK(local_text(kNow) == "2026-11-22 16:30:00 +0100");
    }

    TEST_CASE("a signed length counts from now") {
        CHECK(utc("now") == "2026-11-22T15:30:00.500000Z");
        CHECK(utc("-1h30m") == "2026-11-22T14:00:00.500000Z");
        CHECK(utc("+2d") == "2026-11-24T15:30:00.500000Z");
    }

    TEST_CASE("what is no time is refused with the rule and examples") {
        for (const char* text :
             {"", "noon", "25:00", "14:60", "2026-13-01", "2026-02-29", "2026-11-22T14:00:00X",
              "-1", "-h", "+5y", "-99999d", "1969-01-01T00:00:00Z", "14:00 tomorrow", "24:01"}) {
            CAPTURE(text);
            const auto t = parse_when(text, kNow);
            REQUIRE(!t);
            CHECK(t.error().code == ErrorCode::invalid);
            CHECK(t.error().what.find("next:") != std::string::npos);
        }
    }

    TEST_CASE("24:00 is the midnight that ends today") {
        CHECK(utc("24:00") == "2026-11-23T00:00:00.000000Z");
    }

    TEST_CASE("lengths add up, and refuse a sign or a unit that is missing") {
        CHECK(parse_length("1h30m")->count() == 5'400'000'000);
        CHECK(parse_length("45s")->count() == 45'000'000);
        for (const char* text : {"", "5", "-5m", "h", "1h30"}) {
            CAPTURE(text);
            CHECK(!parse_length(text));
        }
    }
}

TEST_SUITE("tools/cli/output") {
    TEST_CASE("the same rows: aligned for people, objects for scripts, tabs for tables") {
        const auto printed = [](Format format) {
            std::ostringstream text;
            Output out(text, format);
            out.row({{"name", "front door"}, {"bytes", 12'300'000, "12.3 MB"}});
            out.row({{"name", "yard"}, {"bytes", Json()}});
            out.end_list("nothing");
            return text.str();
        };
        CHECK(printed(Format::text) ==
              "name        bytes\n"
              "front door  12.3 MB\n"
              "yard        -\n");
        CHECK(printed(Format::json) ==
              "{\"name\":\"front door\",\"bytes\":12300000}\n"
              "{\"name\":\"yard\",\"bytes\":null}\n");
        CHECK(printed(Format::tsv) == "name\tbytes\nfront door\t12300000\nyard\t\n");
    }

    TEST_CASE("a name from outside cannot steer the terminal or break the table") {
        std::ostringstream text;
        Output out(text, Format::text);
        out.row({{"name", "a\x1b[2Jb"}});
        out.end_list("");
        CHECK(text.str() == "name\na\\x1b[2Jb\n");
        std::ostringstream table;
        Output tsv(table, Format::tsv);
        tsv.row({{"name", "a\tb\nc"}});
        CHECK(table.str() == "name\na b c\n");
    }

    TEST_CASE("an empty list says so to people and nothing to scripts") {
        std::ostringstream text, json;
        Output people(text, Format::text), scripts(json, Format::json);
        people.end_list("No clip.");
        scripts.end_list("No clip.");
        CHECK(text.str() == "No clip.\n");
        CHECK(json.str().empty());
    }

    TEST_CASE("lengths and sizes read like a person would say them") {
        CHECK(short_duration(std::chrono::milliseconds(59'840)) == "59.8 s");
        CHECK(short_duration(std::chrono::minutes(62)) == "1 h 02 min");
        CHECK(short_bytes(999) == "999 B");
        CHECK(short_bytes(12'300'000) == "12.3 MB");
    }
}

}  // namespace hd::cli
