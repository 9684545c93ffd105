#include <doctest/doctest.h>

#include "gateway/wire/event_log.hpp"
#include "gateway/wire/header_pack.hpp"
#include "gateway/wire/message.hpp"

using namespace hd;
using namespace hd::wire;

namespace {

Bytes frame(std::string_view text) {
    const ByteView v = as_bytes(text);
    return {v.begin(), v.end()};
}
Frames frames(std::initializer_list<std::string_view> texts) {
    Frames out;
    for (const auto t : texts) out.push_back(frame(t));
    return out;
}

}  // namespace

TEST_SUITE("gateway/wire/message") {
    TEST_CASE("a request goes through its frames unchanged") {
        const Frames sent =
            encode_request("clip.read", "id\x01\xFF", R"({"size":5})", {frame("a"), Bytes{}});
        std::string correlation;
        const auto got = decode_request(sent, kOwnerLimits, correlation);
        REQUIRE(got);
        CHECK(got->verb == "clip.read");
        CHECK(got->correlation == "id\x01\xFF");
        CHECK(correlation == got->correlation);
        CHECK(got->body.int_or("size", 0) == 5);
        REQUIRE(got->binary.size() == 2);
        CHECK(got->binary[0] == frame("a"));
        CHECK(got->binary[1].empty());
    }

    TEST_CASE("malformed frames: the error names what is wrong, under the id if there is one") {
        struct Case {
            Frames in;
            std::string error, correlation;
        };
        const Case cases[] = {
            {{}, "tag: ", ""},
            {frames({"HD2", "hello", "1", "{}"}), "tag: ", ""},
            {frames({"HD1"}), "frames: ", ""},
            {frames({"HD1", "hello", "1"}), "frames: ", ""},
            {frames({"HD1", "hello", "", "{}"}), "correlation: ", ""},
            {frames({"HD1", "hello", std::string(65, 'x'), "{}"}), "correlation: ", ""},
            {frames({"HD1", "", "1", "{}"}), "verb: ", "1"},
            {frames({"HD1", "Hello", "1", "{}"}), "verb: ", "1"},
            {frames({"HD1", std::string(33, 'a'), "1", "{}"}), "verb: ", "1"},
            {frames({"HD1", "hello", "1", "[]"}), "json: must be an object", "1"},
            {frames({"HD1", "hello", "1", ""}), "json: ", "1"},
            {frames({"HD1", "hello", "1", "{\"a\":1,\"a\":1}"}), "a: stands twice", "1"},
            {frames({"HD1", "hello", "1", "{}", "", "", ""}), "frames: 7 frames", ""},
            {{frame("HD1"), frame("hello"), frame("1"), Bytes(64 * 1024 + 1)},
             "frames: a frame",
             ""},
            {{frame("HD1"), frame("hello"), frame("1"), frame("{}"), Bytes(65536), Bytes(65536)},
             "frames: 131083 bytes in all",
             ""},
        };
        for (const Case& c : cases) {
            CAPTURE(c.error);
            std::string correlation = "old";
            const auto got = decode_request(c.in, kDashboardLimits, correlation);
            REQUIRE(!got);
            CHECK(got.error().code == ErrorCode::invalid);
            CHECK(got.error().what.starts_with(c.error));
            CHECK(correlation == c.correlation);
        }
    }

    TEST_CASE("an error reply says code, field and rule") {
        const auto reply = decode_reply(
            encode_error("7", {ErrorCode::invalid, "from: must be RFC 3339: see docs"}));
        REQUIRE(reply);
        REQUIRE(reply->error);
        CHECK(reply->error->code == ErrorCode::invalid);
        CHECK(reply->error_field == "from");
        CHECK(reply->error->what == "from: must be RFC 3339: see docs");
        CHECK(reply->json ==
              R"({"error":{"code":"invalid","field":"from","rule":"must be RFC 3339: see docs"}})");
        // A phrase that only looks like one has no field.
        CHECK(error_json({ErrorCode::not_found, "No clip: gone"}) ==
              R"({"error":{"code":"not_found","field":"","rule":"No clip: gone"}})");
        for (const ErrorCode code :
             {ErrorCode::not_found, ErrorCode::corrupt, ErrorCode::unavailable,
              ErrorCode::exhausted, ErrorCode::invalid, ErrorCode::refused})
            CHECK(decode_reply(encode_error("1", {code, "x"}))->error->code == code);
    }

    TEST_CASE("a reply with an unknown status or a broken body is not a reply") {
        CHECK(decode_reply(encode_reply("1", "{}", {frame("x")})).ok());
        CHECK(!decode_reply(frames({"HD1", "1", "fine", "{}"})));
        CHECK(!decode_reply(frames({"HD1", "1", "ok", "[]"})));
        CHECK(!decode_reply(frames({"HD1", "1", "ok"})));
        CHECK(!decode_reply(frames({"XX1", "1", "ok", "{}"})));
    }

    TEST_CASE("events are numbered without holes and can be asked for again") {
        EventLog log("0badcafe", 3);
        const Frames first = log.append("gap", WallTime{1'000'000}, R"({"open":true})");
        const auto event = decode_event(first);
        REQUIRE(event);
        CHECK(event->topic == "gap");
        CHECK(event->run == "0badcafe");
        CHECK(event->number == 1);
        CHECK(event->json ==
              R"({"run":"0badcafe","n":1,"time":"1970-01-01T00:00:01.000000Z","open":true})");
        for (int i = 0; i < 4; ++i) log.append("health", WallTime{}, "{}");
        CHECK(log.last() == 5);

        const auto since = [&](std::string_view run, std::int64_t n, std::size_t limit) {
            const auto body = parse_json(log.since(run, n, limit));
            REQUIRE(body);
            CHECK(body->int_or("oldest", 0) == 3);
            CHECK(body->int_or("last", 0) == 5);
            std::vector<std::int64_t> numbers;
            for (const Json& e : body->array_or_empty("events")) {
                CHECK(e.text_or("topic", "") == "health");
                numbers.push_back(e.int_or("n", 0));
            }
            return numbers;
        };
        using Numbers = std::vector<std::int64_t>;
        CHECK(since("0badcafe", 3, 100) == Numbers{4, 5});
        CHECK(since("", 3, 1) == Numbers{4});
        CHECK(since("0badcafe", 0, 100) == Numbers{3, 4, 5});
        CHECK(since("0badcafe", 5, 100).empty());
        CHECK(since("0badcafe", INT64_MAX - 1, 100).empty());
        CHECK(since("00000000", 5, 100) == Numbers{3, 4, 5});
        CHECK(!decode_event(frames({"gap"})));
        CHECK(!decode_event(frames({"gap", "{"})));
    }

    TEST_CASE("a header pack goes through its bytes unchanged, and a cut one is refused") {
        HeaderPackWriter out;
        out.clip("cam/day/a.clip", as_bytes("header a"));
        out.piece(as_bytes("identity"), 77, Digest{1, 2, 3}, as_bytes("age header"));
        out.piece(as_bytes("second"), 1ull << 33, Digest{9}, as_bytes("h"));
        out.clip("cam/day/b.clip", as_bytes("header b"));
        const Bytes pack = std::move(out).take();
        const auto clips = decode_header_pack(pack);
        REQUIRE(clips);
        REQUIRE(clips->size() == 2);
        CHECK((*clips)[0].path == "cam/day/a.clip");
        REQUIRE((*clips)[0].pieces.size() == 2);
        CHECK((*clips)[0].pieces[1].age_size == 1ull << 33);
        CHECK((*clips)[0].pieces[0].age_sha256 == Digest{1, 2, 3});
        CHECK((*clips)[0].pieces[0].age_header == frame("age header"));
        CHECK((*clips)[1].pieces.empty());
        std::size_t whole = 0;
        for (std::size_t n = 1; n < pack.size(); ++n)
            if (decode_header_pack(ByteView(pack).first(n))) ++whole;
        CHECK(whole == 3);  // after each record but the last
        CHECK(!decode_header_pack(as_bytes("\x02")));
        CHECK(!decode_header_pack(as_bytes("\x07")));
    }
}
