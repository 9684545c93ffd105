#include <filesystem>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include "gateway/consent/approval.hpp"
#include "gateway/consent/release.hpp"
#include "gateway/wire/header_pack.hpp"
#include "index/base/clock.hpp"
#include "index/base/encoding.hpp"
#include "index/clip/clip_format.hpp"
#include "tests/gateway/daemon_hub.hpp"

using namespace hd;
using test::camera;
using test::TestHub;

namespace {

Bytes bytes_of(std::string_view text) {
    const ByteView view = as_bytes(text);
    return {view.begin(), view.end()};
}

std::string user(const TestHub& hub) { return to_hex(ByteView(hub.requester_card.hash).first(16)); }

WallTime whole_second(WallTime t) { return {t.us / 1'000'000 * 1'000'000}; }

consent::MadeRequest make(const TestHub& hub, std::string case_number) {
    const WallTime now = system_clock().wall();
    const WallTime to = whole_second(now);
    auto made = consent::make_request({.hub = hub.hub_id,
                                       .offence = consent::Offence::burglary,
                                       .window = {to - std::chrono::seconds(900), to},
                                       .area = consent::square_around(40.71, -74.01, 500),
                                       .now = now,
                                       .case_number = std::move(case_number),
                                       .contact = "tel:+15550100",
                                       .text = "a bicycle"},
                                      hub.requester_secret);
    REQUIRE(made.ok());
    return std::move(*made);
}

wire::Reply ask_gate(TestHub& hub, const consent::MadeRequest& made) {
    return hub.ask("gate.ask", fmt::format(R"({{"user":"{}"}})", user(hub)),
                   {bytes_of(made.request.bytes), bytes_of(made.private_body)}, "gate");
}

std::string id_of(const consent::MadeRequest& made) {
    return to_string(ledger::request_id(made.request.hash));
}

wire::Reply fetch(TestHub& hub, const std::string& id, int part = 0) {
    return hub.ask("gate.fetch",
                   fmt::format(R"({{"user":"{}","request":"{}","part":{}}})", user(hub), id, part),
                   {}, "gate");
}

// What the owner's tool does: all header packs of the request's window.
std::vector<consent::ClipBundle> headers_of(TestHub& hub, const std::string& id) {
    std::vector<consent::ClipBundle> out;
    std::string cursor;
    std::string last_path;
    do {
        const auto reply = hub.ask(
            "headers", cursor.empty()
                           ? fmt::format(R"({{"request":"{}"}})", id)
                           : fmt::format(R"({{"request":"{}","cursor":"{}"}})", id, cursor));
        REQUIRE_FALSE(reply.error.has_value());
        REQUIRE(reply.binary.size() == 1);
        auto pack = wire::decode_header_pack(reply.binary[0]);
        REQUIRE(pack.ok());
        for (const wire::PackedClip& clip : *pack) {
            if (clip.path != last_path) out.push_back({clip.header, {}});
            last_path = clip.path;
            for (const wire::PackedPiece& piece : clip.pieces) {
                out.back().pieces.push_back({piece.identity, piece.age_header});
            }
        }
        cursor = reply.body.text_or("cursor", "");
    } while (!cursor.empty());
    return out;
}

consent::Approval approve(TestHub& hub, const consent::MadeRequest& made,
                          const std::vector<consent::ClipBundle>& clips) {
    auto trusted = consent::trust_request(made.request.bytes, hub.policy);
    REQUIRE(trusted.ok());
    const std::vector<CameraId> cameras{hub.cameras[0].id};
    std::vector<consent::ClipBundle> mine;
    for (const consent::ClipBundle& bundle : clips) {
        std::size_t size = 0;
        auto header = clip::decode_header(bundle.clip_header, size);
        REQUIRE(header.ok());
        if (header->camera == cameras[0]) mine.push_back(bundle);
    }
    std::vector<seal::Identity> identities;
    identities.push_back(seal::identity_from_secret(hub.owner_secret.clone()));
    auto approval =
        consent::approve({.request = *trusted,
                          .policy = hub.policy,
                          .cameras = cameras,
                          .window = made.request.request.window,
                          .clips = mine,
                          .identities = identities,
                          .not_after = whole_second(system_clock().wall()) + std::chrono::hours(1)},
                         hub.owner);
    if (!approval) MESSAGE(approval.error().what);
    REQUIRE(approval.ok());
    return std::move(*approval);
}

wire::Reply upload(TestHub& hub, const std::string& id, const consent::Approval& approval) {
    auto begun = hub.ask(
        "grant.begin",
        fmt::format(R"({{"request":"{}","headers_bytes":{}}})", id, approval.headers.size()),
        {bytes_of(approval.grant.bytes)});
    REQUIRE_FALSE(begun.error.has_value());
    const std::string name = begun.body.text_or("upload", "");
    std::size_t at = 0;
    while (at < approval.headers.size()) {
        const std::size_t size = std::min<std::size_t>(1000, approval.headers.size() - at);
        const auto first = approval.headers.begin() + static_cast<std::ptrdiff_t>(at);
        const auto put =
            hub.ask("grant.put", fmt::format(R"({{"upload":"{}","offset":{}}})", name, at),
                    {Bytes(first, first + static_cast<std::ptrdiff_t>(size))});
        REQUIRE_FALSE(put.error.has_value());
        at += size;
    }
    return hub.ask("grant.commit", fmt::format(R"({{"upload":"{}"}})", name));
}

std::string state_of(TestHub& hub, const std::string& id) {
    return hub.ask("request", fmt::format(R"({{"request":"{}"}})", id)).body.text_or("state", "");
}

}  // namespace

TEST_SUITE("gateway/daemon/requests") {
    TEST_CASE("a request is taken in, granted, fetched and opened; the neighbours stay shut") {
        TestHub hub(
            {camera(1, "door", "piece_ms=60/pieces=8"), camera(2, "yard", "piece_ms=60/pieces=8")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 4; }));
        // The window ends at a whole second that is past: wait until clips lie wholly inside.
        const WallTime seen = system_clock().wall();
        CHECK(hub.wait_for(
            [&] { return system_clock().wall() - seen > std::chrono::milliseconds(2200); }));
        const consent::MadeRequest made = make(hub, "2026-1");
        const std::string id = id_of(made);
        CHECK(fetch(hub, id).json == R"({"released":false})");

        const wire::Reply asked = ask_gate(hub, made);
        REQUIRE_FALSE(asked.error.has_value());
        REQUIRE(asked.binary.size() == 1);
        auto answer = consent::parse_answer(as_text(asked.binary[0]), hub.hub.key());
        REQUIRE(answer.ok());
        CHECK(answer->clips.size() >= 4);
        CHECK(answer->request == made.request.hash);
        // On the disk before it was answered.
        CHECK(std::filesystem::exists(hub.data() + "/requests/" + id + ".private"));
        CHECK((std::filesystem::status(hub.data() + "/requests/" + id + ".private").permissions() &
               std::filesystem::perms(077)) == std::filesystem::perms::none);
        CHECK(state_of(hub, id) == "waiting");
        CHECK(fetch(hub, id).json == R"({"released":false})");

        const auto bundles = headers_of(hub, id);
        const consent::Approval approval = approve(hub, made, bundles);
        const wire::Reply committed = upload(hub, id, approval);
        if (committed.error) MESSAGE(committed.error->what);
        REQUIRE_FALSE(committed.error.has_value());
        CHECK(committed.body.int_or("pieces", 0) ==
              static_cast<std::int64_t>(approval.grant.grant.headers));
        CHECK(state_of(hub, id) == "granted");
        // The same grant a second time is refused.
        CHECK(upload(hub, id, approval).error.has_value());

        // kill -9 here: grant and release are files.
        CHECK(hub.end(SIGKILL) == "signal 9 (Killed)");
        hub.start();
        std::vector<seal::Identity> identities;
        identities.push_back(seal::identity_from_secret(hub.requester_secret.clone()));
        std::size_t opened = 0;
        consent::ReleaseReader reader(
            {.granters = {hub.owner.key()},
             .hub = hub.hub.key(),
             .request_note = made.request.bytes,
             .identities = identities},
            [](std::string_view, std::string_view, std::string_view) { return Result<void>(); },
            [&](const consent::VerifiedPiece& piece) {
                CHECK(as_text(piece.plain).starts_with("fake "));
                ++opened;
                return Result<void>();
            });
        std::int64_t parts = 1;
        for (int part = 0; part < parts; ++part) {
            const wire::Reply reply = fetch(hub, id, part);
            CHECK(reply.body.bool_or("released", false));
            parts = reply.body.int_or("parts", 0);
            REQUIRE(reply.binary.size() == 1);
            auto fed = reader.feed(reply.binary[0]);
            if (!fed) MESSAGE(fed.error().what);
            REQUIRE(fed.ok());
        }
        auto summary = reader.finish();
        if (!summary) MESSAGE(summary.error().what);
        REQUIRE(summary.ok());
        CHECK(opened == approval.grant.grant.headers);
        // Every header of the other camera stays shut for the requester.
        std::size_t shut = 0;
        for (const consent::ClipBundle& bundle : bundles) {
            for (const consent::PieceBundle& piece : bundle.pieces) {
                if (!seal::open_header(piece.original_header, identities)) ++shut;
            }
        }
        CHECK(shut > approval.grant.grant.headers);
        CHECK(state_of(hub, id) == "fetched");
        for (const auto& [camera_id, span] : summary->spans) CHECK(camera_id == hub.cameras[0].id);
        // Another user gets what everybody gets.
        const auto stranger = hub.ask(
            "gate.fetch", fmt::format(R"({{"user":"{:032}","request":"{}","part":0}})", 0, id), {},
            "gate");
        CHECK(stranger.json == R"({"released":false})");
    }

    TEST_CASE("the same note gets the same answer, before and after a restart") {
        TestHub hub({camera(1, "door", "piece_ms=50/pieces=5")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 2; }));
        const consent::MadeRequest made = make(hub, "2026-2");
        const wire::Reply first = ask_gate(hub, made);
        REQUIRE(first.binary.size() == 1);
        CHECK(first.binary[0].size() == consent::kAnswerBytes);
        CHECK(ask_gate(hub, made).binary == first.binary);
        CHECK(hub.end(SIGTERM) == "exit code 0");
        hub.start();
        CHECK(ask_gate(hub, made).binary == first.binary);
        CHECK(hub.ask("requests").body.array_or_empty("requests").size() == 1);
    }

    TEST_CASE("a note that breaks a rule is told which, and is not taken in") {
        TestHub hub({camera(1, "door", "piece_ms=50/pieces=5")});
        hub.start();
        consent::MadeRequest made = make(hub, "2026-3");
        made.request.bytes[made.request.bytes.size() - 5] ^= 1;  // in the signature
        const wire::Reply reply = ask_gate(hub, made);
        REQUIRE(reply.error.has_value());
        CHECK(reply.binary.empty());
        const auto unknown = hub.ask("gate.ask", fmt::format(R"({{"user":"{:032}"}})", 1),
                                     {bytes_of("x"), {}}, "gate");
        REQUIRE(unknown.error.has_value());
        CHECK(unknown.error->code == ErrorCode::unavailable);
        CHECK(hub.ask("requests").body.array_or_empty("requests").empty());
    }

    TEST_CASE("a dismissal writes nothing and shows nowhere but to the owner") {
        TestHub hub({camera(1, "door", "piece_ms=50/pieces=5")});
        hub.start();
        const consent::MadeRequest made = make(hub, "2026-4");
        REQUIRE_FALSE(ask_gate(hub, made).error.has_value());
        const auto size = std::filesystem::file_size(hub.data() + "/requests/requests.log");
        (void)hub.ask("dismiss", fmt::format(R"({{"request":"{}"}})", id_of(made)));
        CHECK(state_of(hub, id_of(made)) == "dismissed");
        CHECK(fetch(hub, id_of(made)).json == R"({"released":false})");
        CHECK(std::filesystem::file_size(hub.data() + "/requests/requests.log") == size);
        CHECK(hub.log_text().find("dismiss") == std::string::npos);
    }

    TEST_CASE("a dashboard sees metadata and nothing that belongs to the owner") {
        TestHub hub({camera(1, "door", "piece_ms=50/pieces=5")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 1; }));
        const auto hello = hub.ask("hello", "{}", {}, "dashboard");
        CHECK(hello.body.text_or("role", "") == "dashboard");
        CHECK_FALSE(hub.ask("status", "{}", {}, "dashboard").error.has_value());
        for (const char* verb : {"requests", "request", "dismiss", "headers", "grant.begin",
                                 "grant.put", "grant.commit", "grant.abort", "policy",
                                 "policy.apply", "hub.card", "clip.read", "check", "reindex"}) {
            CAPTURE(verb);
            const auto reply = hub.ask(verb, "{}", {}, "dashboard");
            REQUIRE(reply.error.has_value());
            CHECK(reply.error->code == ErrorCode::refused);
        }
        const auto gate_verb = hub.ask("gate.ask", "{}", {}, "owner");
        CHECK(gate_verb.error.has_value());
        const auto owner_verb = hub.ask("policy", "{}", {}, "gate");
        CHECK(owner_verb.error.has_value());
    }

    TEST_CASE("clip.read gives a clip file byte for byte and no other file") {
        TestHub hub({camera(1, "door", "piece_ms=50/pieces=5")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 1; }));
        const WallTime now = system_clock().wall();
        const auto clips = hub.ask(
            "clips", fmt::format(R"({{"from":"{}","to":"{}","cameras":["door"],"open":true}})",
                                 to_rfc3339(now - std::chrono::hours(1)), to_rfc3339(now)));
        const wire::Json& first = clips.body.array_or_empty("clips").at(0);
        const std::string path = first.text_or("clip", "");
        const auto read =
            hub.ask("clip.read", fmt::format(R"({{"clip":"{}","offset":0,"size":1048576}})", path));
        REQUIRE(read.binary.size() == 1);
        CHECK(read.body.text_or("state", "") == "closed");
        auto file = real_file_system().read(hub.data() + "/clips/" + path, 1 << 24);
        REQUIRE(file.ok());
        CHECK(*file == read.binary[0]);
        CHECK(static_cast<std::int64_t>(file->size()) == first.int_or("bytes", 0));
        for (const char* other : {"../hub/hub.key", "/etc/passwd", "x/../../hub/hub.key"}) {
            const auto refused =
                hub.ask("clip.read", fmt::format(R"({{"clip":"{}","offset":0,"size":10}})", other));
            REQUIRE(refused.error.has_value());
            CHECK(refused.binary.empty());
        }
    }

    TEST_CASE("events are numbered without a hole and can be asked for again") {
        TestHub hub({camera(1, "door", "piece_ms=50/pieces=5")});
        hub.start();
        auto subscriber = wire::Subscriber::open(
            {.address = "ipc://" + hub.data() + "/run/events.sock"}, {"clip."});
        REQUIRE(subscriber.ok());
        std::optional<wire::Event> closed;
        CHECK(hub.wait_for([&] {
            auto event = subscriber->next(std::chrono::milliseconds(500));
            if (event && *event && (*event)->topic == "clip.closed") closed = std::move(**event);
            return closed.has_value();
        }));
        REQUIRE(closed.has_value());
        // The row was durable before the event.
        const std::string path = closed->body.text_or("clip", "");
        CHECK(std::filesystem::exists(hub.data() + "/clips/" + path));
        const auto since = hub.ask("events.since", R"({"n":0,"limit":1000})");
        std::int64_t expected = since.body.int_or("oldest", -1);
        CHECK(expected == 1);
        for (const wire::Json& event : since.body.array_or_empty("events")) {
            CHECK(event.int_or("n", 0) == expected);
            ++expected;
        }
        CHECK(closed->number < expected);
    }

    TEST_CASE("malformed questions get an error that names the field") {
        TestHub hub({camera(1, "door", "piece_ms=50/pieces=5")});
        hub.start();
        const auto backwards =
            hub.ask("clips", R"({"from":"2026-11-22T14:00:00Z","to":"2026-11-22T13:00:00Z"})");
        REQUIRE(backwards.error.has_value());
        CHECK(backwards.error_field == "to");
        const auto unknown = hub.ask("status", R"({"surprise":1})");
        REQUIRE(unknown.error.has_value());
        CHECK(unknown.error_field == "surprise");
        const auto no_verb = hub.ask("open.video");
        REQUIRE(no_verb.error.has_value());
        CHECK(no_verb.error_field == "verb");
        const auto cursor = hub.ask(
            "clips",
            R"({"from":"2026-11-22T13:00:00Z","to":"2026-11-22T14:00:00Z","cursor":"abc.def"})");
        CHECK(cursor.error.has_value());
        CHECK_FALSE(hub.ask("hello").error.has_value());
    }
}
