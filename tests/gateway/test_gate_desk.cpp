#include <doctest/doctest.h>

#include "gateway/gate/desk.hpp"
#include "gateway/gate/gate.hpp"

using namespace hd;
using namespace hd::gate;
using namespace hd::wire;

namespace {

constexpr const char* kAlice = "00000000000000000000000000000001";
constexpr const char* kBob = "00000000000000000000000000000002";
const std::string kRequest(32, 'a');
constexpr BootTime kStart{1'000'000'100};  // 100 us after a tick

BootTime at_ms(std::int64_t ms) { return kStart + std::chrono::milliseconds(ms); }

Incoming message(const std::string& user, Frames frames, std::uint8_t connection = 1) {
    Incoming in;
    in.peer = {"requester", Bytes{0, connection}, false};
    in.role = Role::requester;
    in.user = user;
    in.frames = std::move(frames);
    return in;
}
Frames ask(std::string_view correlation = "c", Frames binary = {{'n'}, {'p'}}) {
    return encode_request("ask", correlation, "{}", std::move(binary));
}
Frames fetch(int part, const std::string& request = kRequest) {
    return encode_request(
        "fetch", "c", "{\"request\":\"" + request + "\",\"part\":" + std::to_string(part) + "}");
}
Reply from_hub(const ToHub& question, std::string_view json, Frames binary = {}) {
    return *decode_reply(encode_reply(question.correlation, json, std::move(binary)));
}
Reply error_from_hub(const ToHub& question, const Error& error) {
    return *decode_reply(encode_error(question.correlation, error));
}

// Everything that the desk sends within two seconds, with the moment in ms.
struct Left {
    std::int64_t ms;
    Frames frames;
};
std::vector<Left> run_out(Desk& desk, std::int64_t from_ms = 0) {
    std::vector<Left> out;
    for (std::int64_t ms = from_ms; ms < from_ms + 2000; ++ms)
        for (ToRequester& r : desk.due(at_ms(ms))) out.push_back({ms, std::move(r.frames)});
    return out;
}
std::string field_of(const Frames& frames) { return decode_reply(frames)->error_field; }

}  // namespace

TEST_SUITE("gateway/gate/desk") {
    TEST_CASE("an answer leaves on the tick after the work is done, padded to one size") {
        Frames first;
        for (const std::size_t size : {std::size_t{1}, std::size_t{500}, kPageBytes - 4}) {
            Desk desk;
            desk.take_message(message(kAlice, ask()), at_ms(0));
            const auto questions = desk.questions();
            REQUIRE(questions.size() == 1);
            CHECK(questions[0].verb == "gate.ask");
            CHECK(questions[0].json == std::string("{\"user\":\"") + kAlice + "\"}");
            CHECK(questions[0].binary == Frames{{'n'}, {'p'}});
            desk.take_reply(from_hub(questions[0], "{}", {Bytes(size, 'a')}), at_ms(300));
            CHECK(desk.next_due(at_ms(5000)) == BootTime{1'000'500'000});
            const auto left = run_out(desk);
            REQUIRE(left.size() == 1);
            CHECK(left[0].ms == 500);
            REQUIRE(left[0].frames.size() == 5);
            CHECK(left[0].frames[4].size() == kPageBytes);
            ByteReader page(left[0].frames[4]);
            CHECK(page.u32() == size);
            Frames head(left[0].frames.begin(), left[0].frames.begin() + 4);
            if (first.empty()) first = head;
            CHECK(head == first);
        }
    }

    TEST_CASE("the private body may be left out; the hub always gets two frames") {
        Desk desk;
        desk.take_message(message(kAlice, ask("c", {{'n'}})), at_ms(0));
        CHECK(desk.questions().at(0).binary == Frames{{'n'}, {}});
    }

    TEST_CASE("everything that is not a release is the same bytes at the same kind of moment") {
        const auto outcome = [](auto reply_with) {
            Desk desk;
            desk.take_message(message(kAlice, fetch(0)), at_ms(0));
            const auto questions = desk.questions();
            desk.take_reply(reply_with(questions.at(0)), at_ms(1));
            const auto left = run_out(desk);
            REQUIRE(left.size() == 1);
            CHECK(left[0].ms == 250);
            return left[0].frames;
        };
        const Frames waiting =
            outcome([](const ToHub& q) { return from_hub(q, R"({"released":false})"); });
        CHECK(decode_reply(waiting)->json == R"({"released":false})");
        // A hub that says more than it should is cut to the same bytes.
        CHECK(waiting == outcome([](const ToHub& q) {
                  return from_hub(q, R"({"released":false,"state":"dismissed"})");
              }));
        CHECK(waiting == outcome([](const ToHub& q) {
                  return from_hub(q, R"({"released":true,"parts":0})", {{'x'}});
              }));
        CHECK(waiting == outcome([](const ToHub& q) {
                  return from_hub(q, R"({"released":true,"parts":2})");
              }));
        for (const ErrorCode code :
             {ErrorCode::not_found, ErrorCode::unavailable, ErrorCode::refused, ErrorCode::corrupt})
            CHECK(waiting == outcome([&](const ToHub& q) {
                      return error_from_hub(q, {code, "request: dismissed by the owner"});
                  }));
    }

    TEST_CASE("a release: part 0 on the tick, the others at once") {
        Desk desk;
        for (const int part : {0, 1}) {
            const std::int64_t now = part * 1000;
            desk.take_message(message(kAlice, fetch(part)), at_ms(now));
            const auto questions = desk.questions();
            REQUIRE(questions.size() == 1);
            CHECK(questions[0].json == std::string("{\"user\":\"") + kAlice + "\",\"request\":\"" +
                                           kRequest + "\",\"part\":" + std::to_string(part) + "}");
            desk.take_reply(from_hub(questions[0], R"({"released":true,"parts":2})", {{'v'}}),
                            at_ms(now + 10));
            const auto left = run_out(desk, now);
            REQUIRE(left.size() == 1);
            CHECK(left[0].ms == (part == 0 ? 250 : now + 10));
            CHECK(decode_reply(left[0].frames)->json == R"({"released":true,"parts":2})");
        }
    }

    TEST_CASE("a public rule's breach is told on the tick; private trouble is silence") {
        const auto outcome = [](const Error& error) {
            Desk desk;
            desk.take_message(message(kAlice, ask()), at_ms(0));
            desk.take_reply(error_from_hub(desk.questions().at(0), error), at_ms(260));
            return run_out(desk);
        };
        for (const ErrorCode code :
             {ErrorCode::invalid, ErrorCode::refused, ErrorCode::exhausted}) {
            const auto told = outcome({code, "window: must be 900 to 43200 s"});
            REQUIRE(told.size() == 1);
            CHECK(told[0].ms == 500);
            CHECK(field_of(told[0].frames) == "window");
        }
        for (const ErrorCode code :
             {ErrorCode::not_found, ErrorCode::corrupt, ErrorCode::unavailable})
            CHECK(outcome({code, "disk: failed"}).empty());
    }

    TEST_CASE("broken questions get an error that names the field, on the tick") {
        struct Case {
            Frames frames;
            std::string field;
        };
        const Case cases[] = {
            {{{'x'}}, "tag"},
            {encode_request("ask", "c", "{"), "json"},
            {encode_request("ask", "c", "{}"), "frames"},
            {ask("c", {{'n'}, {'p'}, {'q'}}), "frames"},
            {ask("c", {{}, {'p'}}), "note"},
            {ask("c", {Bytes(kMaxNoteBytes + 1), {'p'}}), "note"},
            {ask("c", {{'n'}, Bytes(kMaxPrivateBytes + 1)}), "private"},
            {encode_request("ask", "c", "{\"level\":\"clips\"}", {{'n'}}), "level"},
            {encode_request("clips", "c", "{}"), "verb"},
            {encode_request("gate.policy", "c", "{}"), "verb"},
            {encode_request("clip.read", "c", "{}"), "verb"},
            {encode_request("fetch", "c", "{}"), "request"},
            {fetch(0, "xyz"), "request"},
            {fetch(-1), "part"},
            {encode_request("fetch", "c", "{\"request\":\"" + kRequest + "\",\"part\":0}", {{'x'}}),
             "frames"},
        };
        for (const Case& c : cases) {
            CAPTURE(c.field);
            Desk desk;
            desk.take_message(message(kAlice, c.frames), at_ms(100));
            CHECK(desk.questions().empty());
            const auto left = run_out(desk);
            REQUIRE(left.size() == 1);
            CHECK(left[0].ms == 250);
            CHECK(field_of(left[0].frames) == c.field);
        }
    }

    TEST_CASE(
        "one question at a time for a user, whatever the connection; another user is not "
        "hindered") {
        Desk desk;
        desk.take_message(message(kAlice, ask("one")), at_ms(0));
        desk.take_message(message(kAlice, ask("two"), 2), at_ms(1));
        desk.take_message(message(kBob, ask("three"), 3), at_ms(2));
        const auto questions = desk.questions();
        REQUIRE(questions.size() == 2);
        auto left = run_out(desk);
        REQUIRE(left.size() == 1);
        CHECK(decode_reply(left[0].frames)->correlation == "two");
        CHECK(decode_reply(left[0].frames)->error->code == ErrorCode::exhausted);
        CHECK(field_of(left[0].frames) == "request");
        // Still one at a time until the answer has left.
        desk.take_reply(from_hub(questions[0], "{}", {{'a'}}), at_ms(2001));
        desk.take_message(message(kAlice, ask("four")), at_ms(2002));
        CHECK(desk.questions().empty());
        left = run_out(desk, 2003);
        CHECK(left.size() == 2);
        desk.take_message(message(kAlice, ask("five")), at_ms(5000));
        CHECK(desk.questions().size() == 1);
    }

    TEST_CASE("a flood is bounded: four unsent errors for a user, sixteen questions at the hub") {
        Desk desk;
        for (int i = 0; i < 1000; ++i) desk.take_message(message(kAlice, {{'x'}}), at_ms(0));
        CHECK(desk.counters().dropped == 996);
        CHECK(run_out(desk).size() == 4);
        for (int i = 0; i < 40; ++i) {
            std::string user = kAlice;
            user[0] = static_cast<char>('a' + i % 6);
            user[1] = static_cast<char>('0' + i / 6);
            desk.take_message(message(user, ask()), at_ms(0));
        }
        const auto questions = desk.questions();
        CHECK(questions.size() == kMaxUnderWay);
        CHECK(desk.questions().empty());
        desk.take_reply(from_hub(questions[0], "{}", {{'a'}}), at_ms(1));
        CHECK(desk.questions().size() == 1);
    }

    TEST_CASE("a question that the hub does not answer is forgotten, and its late answer too") {
        Desk desk;
        desk.take_message(message(kAlice, ask()), at_ms(0));
        const auto questions = desk.questions();
        desk.expire(at_ms(29'000));
        CHECK(desk.counters().silences == 0);
        desk.expire(at_ms(31'000));
        CHECK(desk.counters().silences == 1);
        desk.take_reply(from_hub(questions[0], "{}", {{'a'}}), at_ms(31'001));
        CHECK(run_out(desk, 31'002).empty());
        desk.take_message(message(kAlice, ask()), at_ms(32'000));
        CHECK(desk.questions().size() == 1);
    }

    TEST_CASE("a revoked user gets nothing more, not even what was ready") {
        Desk desk;
        desk.take_message(message(kAlice, ask()), at_ms(0));
        desk.take_message(message(kBob, ask()), at_ms(0));
        for (const ToHub& question : desk.questions())
            desk.take_reply(from_hub(question, "{}", {{'a'}}), at_ms(1));
        desk.forget_users_except({kBob});
        CHECK(run_out(desk).size() == 1);
    }

    TEST_CASE("what the hub says about admission is checked") {
        const std::string key(40, '0');
        const auto read = [](std::string_view json, std::int64_t known) {
            return read_admission(*decode_reply(encode_reply("policy", json)), known);
        };
        const std::string one = std::string("{\"user\":\"") + kAlice +
                                "\",\"curve_key\":\"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"}";
        const auto some = read("{\"number\":3,\"requesters\":[" + one + "]}", 2);
        REQUIRE(some.ok());
        CHECK(some->changed);
        CHECK(some->number == 3);
        CHECK(some->requesters.at(0).user == kAlice);
        CHECK(!read("{\"number\":3}", 3)->changed);
        CHECK(!read("{\"number\":0}", 0)->changed);
        CHECK(read("{\"number\":0}", 3)->changed);
        CHECK(!read("{\"number\":4}", 3).ok());
        CHECK(!read("{}", 3).ok());
        CHECK(!read("{\"number\":3,\"requesters\":[" + one + "," + one + "]}", 2).ok());
        CHECK(
            !read("{\"number\":3,\"requesters\":[{\"user\":\"x\",\"curve_key\":\"y\"}]}", 2).ok());
        CHECK(!read("{\"number\":3,\"requesters\":5}", 2).ok());
    }
}
