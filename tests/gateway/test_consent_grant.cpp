#include <algorithm>

#include <doctest/doctest.h>

#include "index/seal/piece_stanza.hpp"
#include "tests/gateway/grant_scene.hpp"

using namespace hd;
using namespace hd::consent;
using hd::test::camera_of;
using hd::test::clip_id_of;
using hd::test::GrantScene;
using hd::test::Household;
using hd::test::replaced;

namespace {

using std::chrono::hours;
using std::chrono::seconds;

}  // namespace

TEST_SUITE("gateway/consent/grant") {
    TEST_CASE("a grant comes back as it was signed, and the hub accepts it") {
        GrantScene s;
        const auto approval = s.approve_all().value();
        const auto parsed = parse_grant(approval.grant.bytes);
        REQUIRE(parsed.ok());
        CHECK(parsed->grant == approval.grant.grant);
        CHECK(parsed->hash == approval.grant.hash);
        const auto request = check_grant(s.context(), *parsed);
        REQUIRE(request.ok());
        CHECK(request->window == s.home.window);
        CHECK(check_grant_signer(*parsed, s.home.owner.key(), s.home.policy).value() == "owner");
    }

    TEST_CASE("an approver may sign, a stranger and the requester may not") {
        GrantScene s;
        const Grant g = s.approve_all().value().grant.grant;
        CHECK(check_grant_signer(sign_grant(g, s.home.approver), s.home.owner.key(), s.home.policy)
                  .value() == "Ben");
        CHECK(check_grant(s.context(), sign_grant(g, s.home.approver)).ok());
        for (const std::uint8_t who : {std::uint8_t{2}, std::uint8_t{4}}) {
            const auto signer =
                ledger::person_signer(test::secret_of(who), ledger::CardKind::owner);
            CHECK(check_grant(s.context(), sign_grant(g, signer)).error().code ==
                  ErrorCode::refused);
        }
    }

    TEST_CASE("the hub refuses a grant that breaks any rule") {
        GrantScene s;
        CHECK(check_grant(s.context(), s.changed([](Grant&) {})).ok());
        const auto refused = [&](auto change) {
            const auto r = check_grant(s.context(), s.changed(change));
            return r ? "accepted" : r.error().what;
        };
        CHECK(refused([](Grant& g) { g.hub.bytes[0] ^= 1; }).find("hub") != std::string::npos);
        CHECK(refused([](Grant& g) { g.request[0] ^= 1; }).find("no such request") !=
              std::string::npos);
        CHECK(refused([](Grant& g) { g.recipient[0] ^= 1; }).find("recipient") !=
              std::string::npos);
        CHECK(refused([&](Grant& g) { g.not_after = s.home.now; }).find("not-after") !=
              std::string::npos);
        CHECK(refused([&](Grant& g) {
                  g.not_after = s.home.now + hours(24 * 30) + seconds(1);
              }).find("not-after") != std::string::npos);
        CHECK(refused([&](Grant& g) { g.not_after = s.home.now + hours(24 * 30); }) == "accepted");
        CHECK(refused([&](Grant& g) { g.ranges[0].camera = s.home.nursery; }).find("camera") !=
              std::string::npos);
        GrantContext late = s.context();
        late.now = late.now + hours(24 * 7);
        CHECK(check_grant(late, s.changed([&](Grant& g) { g.not_after = late.now + hours(1); }))
                  .error()
                  .what.find("has expired") != std::string::npos);
        Policy without = s.home.policy;
        without.requesters.clear();
        const GrantContext revoked{without, s.home.owner.key(), s.taken.book, s.home.now};
        CHECK_FALSE(check_grant(revoked, s.changed([](Grant&) {})).ok());
    }

    TEST_CASE("the same grant serves once") {
        GrantScene s;
        const SignedGrant grant = s.approve_all().value().grant;
        REQUIRE(check_grant(s.context(), grant).ok());
        REQUIRE(s.taken.book
                    .apply(ledger::encode_event({ledger::RequestEntry::granted, grant.grant.request,
                                                 s.home.now, grant.hash}))
                    .ok());
        CHECK(check_grant(s.context(), grant).error().what.find("used before") !=
              std::string::npos);
        // Another approval of the same request is another grant.
        CHECK(check_grant(s.context(), s.approve_all().value().grant).ok());
    }

    TEST_CASE("grammar: each broken line is refused with its number") {
        GrantScene s;
        const std::string text = to_text(s.approve_all().value().grant.grant);
        const std::string front = "camera " + to_string(s.home.front) + "\n";
        const std::string clip = to_string(clip_id_of(1));
        const struct {
            std::string from, to, error;
        } cases[] = {
            {"halfdoor-grant/v1", "halfdoor-grant/v2", "line 1"},
            {"hub ", "hub x", "line 2: hub"},
            {"request ", "request 0", "line 3: request"},
            {"recipient age1", "recipient agx1", "line 4: recipient"},
            {"not-after 2026", "not-after 26", "line 5: not-after"},
            {front, "", "grants nothing"},
            {front, front + front, "line 6: camera: a `range` line must follow"},
            {"range " + clip + " 7 20", "range " + clip + " 0 20", "1 <= first <= last"},
            {"range " + clip + " 7 20", "range " + clip + " 8 7", "1 <= first <= last"},
            {"range " + clip + " 7 20", "range " + clip + " 7 4097", "must be a whole number"},
            {"range " + clip + " 7 20", "range " + clip + " 7", "must be clip, first and last"},
            {to_string(clip_id_of(2)), clip, "each clip once"},
            {"camera " + to_string(s.home.yard), "camera " + to_string(s.home.front),
             "each camera once"},
            {"headers 26 ", "headers 26", "line 10: headers"},
            {"headers 26", "headers 026", "line 10: headers"},
        };
        for (const auto& c : cases) {
            CAPTURE(c.to);
            const auto parsed =
                parse_grant(ledger::sign_note(replaced(text, c.from, c.to), s.home.owner));
            REQUIRE_FALSE(parsed.ok());
            CHECK(parsed.error().what.find(c.error) != std::string::npos);
        }
        Grant none = s.approve_all().value().grant.grant;
        none.ranges.clear();
        CHECK(
            parse_grant(sign_grant(none, s.home.owner).bytes).error().what.find("grants nothing") !=
            std::string::npos);
    }

    TEST_CASE("twelve hours of eight cameras fit") {
        Grant g;
        for (int camera = 0; camera < 8; ++camera)
            for (int i = 0; i < 720; ++i) {
                ClipId clip;
                clip.bytes = {static_cast<std::uint8_t>(camera), static_cast<std::uint8_t>(i),
                              static_cast<std::uint8_t>(i >> 8)};
                g.ranges.push_back({camera_of(static_cast<std::uint8_t>(camera + 1)), clip, 1, 60});
            }
        g.hub.bytes[0] = 1;
        g.headers = 8 * 720 * 61;
        const Household home;
        const auto parsed = parse_grant(sign_grant(g, home.owner).bytes);
        REQUIRE(parsed.ok());
        CHECK(parsed->grant == g);
    }

    TEST_CASE("the new headers file is exactly what the grant signs") {
        GrantScene s;
        const auto approval = s.approve_all().value();
        const Grant& g = approval.grant.grant;
        REQUIRE(split_headers(approval.headers, g).ok());
        Bytes bad = approval.headers;
        bad[100] ^= 1;
        CHECK_FALSE(split_headers(bad, g).ok());
        Grant fewer = g;
        --fewer.headers;
        CHECK_FALSE(split_headers(approval.headers, fewer).ok());
        ++(++fewer.headers);
        fewer.headers = g.headers + 1;
        CHECK_FALSE(split_headers(approval.headers, fewer).ok());
        Grant junk = g;
        const Bytes text{'x', '\n'};
        junk.headers_sha256 = sha256(text);
        CHECK_FALSE(split_headers(text, junk).ok());
    }

    TEST_CASE("a new header keeps the identity stanza and has one X25519 stanza") {
        GrantScene s;
        const auto approval = s.approve_all().value();
        const auto headers = split_headers(approval.headers, approval.grant.grant).value();
        const auto& originals = s.bundles.front().pieces;
        CHECK(check_new_header(headers[0], originals[0].original_header).ok());
        CHECK_FALSE(check_new_header(headers[0], originals[1].original_header).ok());
        const auto key = open_piece_key(s.front.header_bytes, originals[0], s.owner_keys);
        REQUIRE(key.ok());
        const std::vector<seal::Recipient> two{test::identity_of(2).recipient,
                                               test::identity_of(4).recipient};
        const Bytes wide = seal::replace_header(originals[0].original_header, *key, two).value();
        CHECK_FALSE(check_new_header(wide, originals[0].original_header).ok());
    }
}
