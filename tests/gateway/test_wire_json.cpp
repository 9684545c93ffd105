#include <doctest/doctest.h>

#include "gateway/wire/fields.hpp"
#include "gateway/wire/json.hpp"
#include "gateway/wire/message.hpp"
#include "gateway/wire/utf8.hpp"

using namespace hd;
using namespace hd::wire;

TEST_SUITE("gateway/wire/json") {
    TEST_CASE("what strict reading refuses, and the rule that it names") {
        struct Case {
            std::string text, error;
        };
        const Case cases[] = {
            {"", "json: is not JSON"},
            {"{", "json: is not JSON"},
            {"{}x", "json: is not JSON"},
            {"{} {}", "json: is not JSON"},
            {"{\"a\":1,}", "json: is not JSON"},
            {"{'a':1}", "json: is not JSON"},
            {"{\"a\":01}", "json: is not JSON"},
            {"{\"a\":NaN}", "json: is not JSON"},
            {"{\"a\":1e999}", "json: is not JSON"},
            {"// no\n{}", "json: is not JSON"},
            {"{\"a\":\"\t\"}", "json: is not JSON"},
            {"{\"a\":\"\\ud800\"}", "json: is not JSON"},
            {"\xEF\xBB\xBF{}", "json: begins with a byte-order mark"},
            {"{\"a\":\"\xC0\xAF\"}", "json: is not UTF-8 at byte 6"},
            {"{\"a\":\"\xED\xA0\x80\"}", "json: is not UTF-8 at byte 6"},
            {"{\"from\":1,\"from\":2}", "from: stands twice in one object"},
            {"{\"a b\":1,\"a b\":2}", "json: stands twice in one object"},
            {"{\"a\":{\"x\":1,\"x\":1}}", "x: stands twice in one object"},
        };
        for (const Case& c : cases) {
            CAPTURE(c.text);
            const auto parsed = parse_json(c.text);
            REQUIRE(!parsed);
            CHECK(parsed.error().code == ErrorCode::invalid);
            CHECK(parsed.error().what.starts_with(c.error));
        }
    }

    TEST_CASE("depth 8 is read and depth 9 is refused") {
        const auto nest = [](int n) {
            return std::string(static_cast<std::size_t>(n), '[') +
                   std::string(static_cast<std::size_t>(n), ']');
        };
        CHECK(parse_json(nest(8)).ok());
        const auto deep = parse_json(nest(9));
        REQUIRE(!deep);
        CHECK(deep.error().what == "json: is nested deeper than 8");
        CHECK(!parse_json(nest(20000)));
    }

    TEST_CASE("bytes, values and members have limits") {
        CHECK(!parse_json("[1,2,3]", {.max_bytes = 6}));
        CHECK(parse_json("[1,2,3]", {.max_bytes = 7}));
        CHECK(parse_json("[1,2,3]", {.max_values = 4}));
        CHECK(!parse_json("[1,2,3]", {.max_values = 3}));
        std::string many = "{";
        for (int i = 0; i < 257; ++i) many += (i ? ",\"" : "\"") + std::to_string(i) + "\":1";
        CHECK(!parse_json(many + "}"));
    }

    TEST_CASE("a number is an integer only if it is written as one and fits") {
        const auto kind = [](const std::string& text) {
            const auto v = parse_json("[" + text + "]");
            REQUIRE(v);
            const Json& item = v->as_array()->front();
            return item.as_int() ? 'i' : item.as_double() ? 'd' : '?';
        };
        CHECK(kind("0") == 'i');
        CHECK(kind("-9223372036854775808") == 'i');
        CHECK(kind("9223372036854775807") == 'i');
        CHECK(kind("9223372036854775808") == 'd');
        CHECK(kind("1.0") == 'd');
        CHECK(kind("1e3") == 'd');
    }

    TEST_CASE("fields: the first broken rule is reported with its field") {
        struct Case {
            std::string text, error;
        };
        const Case cases[] = {
            {R"({"to":"2026-11-22T14:00:00Z"})", "from: is missing"},
            {R"({"from":5,"to":"2026-11-22T14:00:00Z"})", "from: must be text"},
            {R"({"from":"now","to":"2026-11-22T14:00:00Z"})", "from: must be RFC 3339"},
            {R"({"from":"2026-11-22T14:00:00+01:00","to":"2026-11-22T14:00:00Z"})",
             "from: must be RFC 3339"},
            {R"({"from":"2026-11-22T14:00:00Z","to":"2026-11-22T14:00:00Z"})",
             "to: must be later than from"},
            {R"({"from":"2026-11-22T14:00:00Z","to":"2026-11-22T13:00:00Z"})",
             "to: must be later than from"},
            {R"({"from":"2025-01-01T00:00:00Z","to":"2026-01-02T00:00:00.000001Z"})",
             "to: must be at most 366 days after from"},
            {R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00Z","limit":0})",
             "limit: must be 1 to 5000"},
            {R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00Z","limit":1.0})",
             "limit: must be an integer"},
            {R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00Z","cameras":["a","a"]})",
             "cameras: names the same thing twice"},
            {R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00Z","cursor":"a b"})",
             "cursor: is not one"},
            {R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00Z","fron":1})",
             "fron: is not a key of this message"},
            {R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00Z","gaps":1})",
             "gaps: must be true or false"},
            {R"([])", "json: must be an object"},
        };
        for (const Case& c : cases) {
            CAPTURE(c.text);
            const auto body = parse_json(c.text);
            REQUIRE(body);
            JsonFields in(*body);
            read_window(in);
            in.integer_or("limit", 500, {1, 5000});
            in.texts_or_empty("cameras", 64, 128);
            in.boolean_or("gaps", false);
            read_cursor(in);
            const auto done = in.finish();
            REQUIRE(!done);
            CHECK(done.error().what.starts_with(c.error));
        }
    }

    TEST_CASE("fields: a whole message is read") {
        const auto body = parse_json(
            R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00.5Z","limit":7,)"
            R"("cameras":["front door"],"gaps":true,"request":"000102030405060708090a0b0c0d0e0f"})");
        REQUIRE(body);
        JsonFields in(*body);
        const TimeSpan window = read_window(in);
        CHECK(window.length() == std::chrono::milliseconds(3'600'500));
        CHECK(in.integer_or("limit", 500, {1, 5000}) == 7);
        CHECK(in.texts_or_empty("cameras", 64, 128) == std::vector<std::string>{"front door"});
        CHECK(in.boolean_or("gaps", false));
        CHECK(in.id<RequestId>("request").bytes[15] == 15);
        CHECK(read_cursor(in).empty());
        CHECK(in.finish().ok());
    }

    TEST_CASE("the writer's text is read back as what was written") {
        const std::string awkward = "a\"b\\c\n\t\x01\x7F \xC3\xA9 \xF0\x9F\x9A\xAA";
        JsonWriter out;
        out.begin_object().field("text", awkward).field("yes", true).field("n", -5);
        out.field("big", std::uint64_t{18'446'744'073'709'551'615u}).field("half", 0.5);
        out.field("time", WallTime{1'795'356'000'123'456});
        out.field("id", CameraId{{1, 2, 255}});
        out.key("list").begin_array().value("x").value(1).begin_object().end_object().end_array();
        out.key("none").null().key("empty").begin_array().end_array().end_object();
        const std::string text = std::move(out).take();
        const auto back = parse_json(text);
        REQUIRE(back);
        CHECK(back->text_or("text", "") == awkward);
        CHECK(back->bool_or("yes", false));
        CHECK(back->int_or("n", 0) == -5);
        CHECK(back->text_or("time", "") == to_rfc3339(WallTime{1'795'356'000'123'456}));
        CHECK(back->text_or("id", "") == "0102ff00000000000000000000000000");
        CHECK(back->array_or_empty("list").size() == 3);
        CHECK(back->find("none")->is_null());
        JsonWriter again;
        write_json(again, *parse_json(R"({"a":[1,null,true,"x\"y"],"b":{"c":0.25}})"));
        CHECK(again.text() == R"({"a":[1,null,true,"x\"y"],"b":{"c":0.25}})");
    }

    TEST_CASE("text that is not UTF-8 is replaced, so the output is always valid") {
        JsonWriter out;
        out.begin_array()
            .value(std::string_view("a\xFF\xC3"
                                    "b"))
            .end_array();
        CHECK(out.text() ==
              "[\"a\xEF\xBF\xBD\xEF\xBF\xBD"
              "b\"]");
        CHECK(utf8_bad_byte(out.text()) == std::string_view::npos);
    }

    TEST_CASE("the writer's times equal those of the house over the centuries") {
        for (std::int64_t us = 0; us < 253'402'300'799'999'999; us += 7'654'321'987'654'321) {
            JsonWriter out;
            out.value(WallTime{us});
            CHECK(out.text() == "\"" + to_rfc3339(WallTime{us}) + "\"");
        }
    }

    TEST_CASE("a cursor opens only for the question that it was made for") {
        const std::string cursor = make_cursor("123-4", "clips|a|b");
        CHECK(*open_cursor(cursor, "clips|a|b") == "123-4");
        CHECK(!open_cursor(cursor, "clips|a|c"));
        CHECK(!open_cursor("", "clips|a|b"));
        CHECK(!open_cursor(".", "clips|a|b"));
    }
}
