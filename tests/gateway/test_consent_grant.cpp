#include <algorithm>

#include <doctest/doctest.h>

#include "index/seal/piece_stanza.hpp"
#include "tests/gateway/household.hpp"

using namespace hd;
using namespace hd::consent;
using hd::test::camera_of;
using hd::test::clip_id_of;
using hd::test::Household;
using hd::test::RecordedClip;
using hd::test::replaced;

namespace {

using std::chrono::hours;
using std::chrono::seconds;

// A household with one request and one minute of each camera around the window's begin.
struct Scene {
    Household home;
    test::TakenRequest taken = test::take_request(home);
    RecordedClip front = home.record(home.front, clip_id_of(1), home.window.begin - seconds(5), 20);
    RecordedClip yard = home.record(home.yard, clip_id_of(2), home.window.begin + seconds(60), 10);
    TrustedRequest trusted = trust_request(taken.made.request.bytes, home.signed_policy).value();
    std::vector<seal::Identity> owner_keys;
    std::vector<CameraId> cameras{home.front, home.yard};
    std::vector<ClipBundle> bundles{front.bundle(), yard.bundle()};

    Scene() { owner_keys.push_back(test::identity_of(1)); }

    Result<Approval> approve_with(TimeSpan window) {
        return approve({.request = trusted,
                        .policy = home.signed_policy,
                        .cameras = cameras,
                        .window = window,
                        .clips = bundles,
                        .identities = owner_keys,
                        .not_after = home.now + hours(24)},
                       home.owner);
    }
    Result<Approval> approve_all() { return approve_with(home.window); }
    GrantContext context() const {
        return {
            .policy = home.policy, .owner = home.owner.key(), .book = taken.book, .now = home.now};
    }
    // A grant with one field set otherwise, signed by the owner.
    template <typename F>
    SignedGrant changed(F&& change) {
        Grant g = approve_all().value().grant.grant;
        change(g);
        return sign_grant(g, home.owner);
    }
};

std::string refusal(const Result<Approval>& result) {
    return result ? "approved" : result.error().what;
}

}  // namespace

TEST_SUITE("gateway/consent/selection") {
    TEST_CASE("only pieces wholly inside the window go out, from where a decoder can begin") {
        const Household home;
        const WallTime begin = home.window.begin;
        const auto clip = home.record(home.front, clip_id_of(1), begin, 20);
        const auto ids = clip.identities();
        const auto range = [&](TimeSpan w) { return select_pieces(ids, w); };
        // Piece n covers [n-1, n) seconds; odd ones begin with an IDR.
        CHECK(range({begin, begin + seconds(20)}) == PieceRange{home.front, clip_id_of(1), 1, 20});
        CHECK(range({begin + Micros(1), begin + seconds(20)})->first == 3);
        CHECK(range({begin + seconds(1), begin + seconds(20)})->first == 3);
        CHECK(range({begin + seconds(2), begin + seconds(20)})->first == 3);
        CHECK(range({begin, begin + seconds(20) - Micros(1)})->last == 19);
        CHECK(range({begin + seconds(4), begin + seconds(5)}) ==
              PieceRange{home.front, clip_id_of(1), 5, 5});
        CHECK_FALSE(range({begin + seconds(4), begin + seconds(5) - Micros(1)}).has_value());
        CHECK_FALSE(range({begin + seconds(1), begin + seconds(2)}).has_value());  // no IDR
        CHECK_FALSE(range({begin - seconds(10), begin}).has_value());
        CHECK_FALSE(range({begin + seconds(20), begin + seconds(30)}).has_value());
    }

    TEST_CASE(
        "a missing piece ends the stretch, audio and activity do not, and are not in it; a missing "
        "init gives nothing") {
        const Household home;
        auto ids = home.record(home.front, clip_id_of(1), home.window.begin, 10).identities();
        ids[5].kind = clip::PieceKind::audio;
        ids[8].kind = clip::PieceKind::activity;
        CHECK(select_pieces(ids, home.window)->last == 10);
        const auto range = *select_pieces(ids, home.window);
        CHECK(pieces_of_range(ids, range).value() ==
              std::vector<std::size_t>{0, 1, 2, 3, 4, 6, 7, 9, 10});
        ids.erase(ids.begin() + 7);
        CHECK(select_pieces(ids, home.window)->last == 6);
        CHECK_FALSE(pieces_of_range(ids, range).ok());
        ids.erase(ids.begin());
        CHECK_FALSE(select_pieces(ids, home.window).has_value());
        CHECK_FALSE(select_pieces({}, home.window).has_value());
    }

    TEST_CASE("a CRA begins a stretch as an IDR does") {
        const Household home;
        auto ids = home.record(home.front, clip_id_of(1), home.window.begin, 4).identities();
        ids[1].start = clip::PieceStart::none;
        ids[2].start = clip::PieceStart::cra;
        CHECK(select_pieces(ids, home.window)->first == 2);
    }

    TEST_CASE("what is selected passes the check, and one piece more does not") {
        const Household home;
        const WallTime begin = home.window.begin;
        const auto ids =
            home.record(home.front, clip_id_of(1), begin - seconds(5), 20).identities();
        const TimeSpan window{begin, begin + seconds(10)};
        const PieceRange range = *select_pieces(ids, window);
        CHECK(range.first == 7);
        CHECK(range.last == 15);
        CHECK(check_range(ids, range, window).ok());
        const auto with = [&](auto change) {
            PieceRange r = range;
            change(r);
            return check_range(ids, r, window).ok();
        };
        CHECK_FALSE(with([](PieceRange& r) { ++r.last; }));
        CHECK_FALSE(with([](PieceRange& r) { ++r.first; }));  // not an IDR
        CHECK_FALSE(with([](PieceRange& r) { r.first = 5; }));
        CHECK_FALSE(with([](PieceRange& r) { r.first = 0; }));
        CHECK_FALSE(with([](PieceRange& r) { r.last = 99; }));
        CHECK_FALSE(with([](PieceRange& r) { r.last = r.first - 1; }));
        CHECK_FALSE(with([](PieceRange& r) { r.camera.bytes[0] ^= 1; }));
        CHECK_FALSE(with([](PieceRange& r) { r.clip.bytes[0] ^= 1; }));
        CHECK(with([](PieceRange& r) { --r.last; }));
    }
}

TEST_SUITE("gateway/consent/approval") {
    TEST_CASE("the requester opens exactly the granted pieces, the neighbours stay shut") {
        Scene s;
        const auto approval = s.approve_all();
        REQUIRE(approval.ok());
        const Grant& g = approval->grant.grant;
        REQUIRE(g.ranges.size() == 2);
        // The front clip begins 5 s before the window; its piece 6 is the first inside, 7 an IDR.
        CHECK(g.ranges[0] == PieceRange{s.home.front, clip_id_of(1), 7, 20});
        CHECK(g.ranges[1] == PieceRange{s.home.yard, clip_id_of(2), 1, 10});
        CHECK(g.headers == 15 + 11);
        CHECK(approval->pieces == 26);
        CHECK(approval->length == seconds(24));
        const auto headers = split_headers(approval->headers, g);
        REQUIRE(headers.ok());
        const std::vector<seal::Identity> requester = [] {
            std::vector<seal::Identity> v;
            v.push_back(test::identity_of(2));
            return v;
        }();
        std::size_t next = 0;
        for (const RecordedClip* clip : {&s.front, &s.yard}) {
            const PieceRange& r = clip == &s.front ? g.ranges[0] : g.ranges[1];
            for (const auto& p : clip->pieces) {
                // The original never opens for the requester.
                CHECK_FALSE(seal::open(p.age, requester).ok());
                const bool granted = p.identity.sequence == 0 || (p.identity.sequence >= r.first &&
                                                                  p.identity.sequence <= r.last);
                const auto payload = ByteView(p.age).subspan(p.age_header_size);
                std::size_t opened = 0;
                for (const ByteView header : *headers) {
                    Bytes file(header.begin(), header.end());
                    file.insert(file.end(), payload.begin(), payload.end());
                    const auto plain = seal::open(file, requester);
                    if (plain && *plain == p.plain) ++opened;
                }
                CHECK(opened == (granted ? 1 : 0));
                next += granted ? 1u : 0u;
            }
        }
        CHECK(next == headers->size());
    }

    TEST_CASE("a header of another camera under a false name is refused") {
        Scene s;
        const auto nursery = s.home.record(s.home.nursery, clip_id_of(3), s.home.window.begin, 20);
        // The hub puts the nursery's sealed headers under the front camera's names.
        auto lie = s.front.bundle();
        for (std::size_t i = 0; i < lie.pieces.size(); ++i)
            lie.pieces[i].original_header = nursery.bundle().pieces[i].original_header;
        s.bundles = {lie};
        CHECK(refusal(s.approve_all()).find("piece 0") != std::string::npos);
        // Only one of them.
        lie = s.front.bundle();
        lie.pieces[9].original_header = nursery.bundle().pieces[9].original_header;
        s.bundles = {lie};
        CHECK(refusal(s.approve_all()).find("piece 9") != std::string::npos);
        // Truly the nursery: not approved, even under its own name.
        s.bundles = {nursery.bundle()};
        CHECK(refusal(s.approve_all()).find("was not approved") != std::string::npos);
        // And it cannot be approved while the policy does not name it.
        s.cameras.push_back(s.home.nursery);
        CHECK(refusal(s.approve_all()).find("not one that may be asked about") !=
              std::string::npos);
    }

    TEST_CASE("a header of another time under a false name is refused") {
        Scene s;
        // Pieces from before the window, with identities moved inside it.
        const auto early =
            s.home.record(s.home.front, clip_id_of(1), s.home.window.begin - hours(3), 20);
        auto lie = s.front.bundle();
        for (std::size_t i = 0; i < lie.pieces.size(); ++i)
            lie.pieces[i].original_header = early.bundle().pieces[i].original_header;
        s.bundles = {lie};
        CHECK_FALSE(s.approve_all().ok());
        // The whole clip moved: header and identities changed, stanzas not.
        auto moved = s.front;
        moved.header.utc_begin = moved.header.utc_begin + hours(1);
        moved.header_bytes = clip::encode_header(moved.header);
        s.bundles = {moved.bundle()};
        CHECK_FALSE(s.approve_all().ok());
        // Truly early: nothing lies inside, nothing is opened.
        s.bundles = {early.bundle()};
        CHECK(s.approve_all().error().code == ErrorCode::not_found);
    }

    TEST_CASE("two pieces swapped, repeated, or with any identity byte changed are refused") {
        Scene s;
        auto lie = s.front.bundle();
        std::swap(lie.pieces[8].original_header, lie.pieces[9].original_header);
        s.bundles = {lie};
        CHECK_FALSE(s.approve_all().ok());
        lie = s.front.bundle();
        std::swap(lie.pieces[8], lie.pieces[9]);
        s.bundles = {lie};
        CHECK(refusal(s.approve_all()).find("out of order") != std::string::npos);
        s.bundles = {s.front.bundle(), s.front.bundle()};
        CHECK(refusal(s.approve_all()).find("came twice") != std::string::npos);
        for (std::size_t i = 0; i < s.front.pieces[8].identity_bytes.size(); ++i) {
            lie = s.front.bundle();
            lie.pieces[8].identity[i] ^= 0x40;
            s.bundles = {lie};
            const auto approval = s.approve_all();
            // Either refused, or the piece fell out of the selection; never granted as it is.
            if (!approval) continue;
            CHECK(approval->grant.grant.ranges.front().last < 8);
        }
    }

    TEST_CASE("a header with a wrong MAC, without its stanza or with bytes after it is refused") {
        Scene s;
        auto lie = s.front.bundle();
        lie.pieces[8].original_header.push_back('x');
        s.bundles = {lie};
        CHECK_FALSE(s.approve_all().ok());
        lie = s.front.bundle();
        auto& mac = lie.pieces[8].original_header;
        mac[mac.size() - 10] = mac[mac.size() - 10] == 'A' ? 'B' : 'A';
        s.bundles = {lie};
        CHECK_FALSE(s.approve_all().ok());
        // Sealed to the owner by anybody, without a stanza.
        lie = s.front.bundle();
        const auto recipients = s.home.policy.recipient_keys();
        const Bytes naked = seal::seal(as_bytes("x"), recipients).value();
        const std::size_t size = seal::parse_header(naked).value().size;
        lie.pieces[8].original_header.assign(naked.begin(),
                                             naked.begin() + static_cast<std::ptrdiff_t>(size));
        s.bundles = {lie};
        CHECK_FALSE(s.approve_all().ok());
    }

    TEST_CASE("a clip of another hub, and keys that do not open, are refused") {
        Scene s;
        auto other = s.front;
        other.header.hub.bytes[0] ^= 1;
        other.header_bytes = clip::encode_header(other.header);
        s.bundles = {other.bundle()};
        CHECK(refusal(s.approve_all()).find("another hub") != std::string::npos);
        s.bundles = {s.front.bundle()};
        s.owner_keys.clear();
        s.owner_keys.push_back(test::identity_of(4));
        CHECK_FALSE(s.approve_all().ok());
    }

    TEST_CASE("the approved window lies inside the one that was asked for") {
        Scene s;
        const TimeSpan asked = s.home.window;
        CHECK(s.approve_with({asked.begin + seconds(60), asked.end}).ok());
        CHECK_FALSE(s.approve_with({asked.begin - Micros(1), asked.end}).ok());
        CHECK_FALSE(s.approve_with({asked.begin, asked.end + Micros(1)}).ok());
        CHECK_FALSE(s.approve_with({asked.end, asked.begin}).ok());
        s.cameras = {s.home.yard};
        s.bundles = {s.yard.bundle()};
        CHECK(s.approve_all()->grant.grant.ranges.size() == 1);
        s.cameras.clear();
        CHECK_FALSE(s.approve_all().ok());
    }

    TEST_CASE("the owner's tool trusts only requests of requesters that the policy names") {
        const Household home;
        const MadeRequest made = home.ask();
        const auto trusted = trust_request(made.request.bytes, home.signed_policy);
        REQUIRE(trusted.ok());
        CHECK(trusted->who.name == "county police");
        CHECK_FALSE(trust_request(made.request.bytes + "x", home.signed_policy).ok());
        const auto stranger = make_request(home.asking(), home.stranger_secret).value();
        CHECK(trust_request(stranger.request.bytes, home.signed_policy).error().code ==
              ErrorCode::refused);
        const auto signer =
            ledger::person_signer(home.requester_secret, ledger::CardKind::requester);
        const auto refused = [&](auto change) {
            Request r = made.request.request;
            change(r);
            return !trust_request(sign_request(r, signer).bytes, home.signed_policy).ok();
        };
        CHECK_FALSE(refused([](Request&) {}));
        CHECK(refused([](Request& r) { r.recipient[0] ^= 1; }));
        CHECK(refused([](Request& r) { r.hub.bytes[0] ^= 1; }));
        CHECK(refused([](Request& r) { r.window.end = r.window.begin + hours(13); }));
        CHECK(refused([](Request& r) { r.area = square_around(40.71, -74.01, 5000); }));
    }
}

TEST_SUITE("gateway/consent/grant") {
    TEST_CASE("a grant comes back as it was signed, and the hub accepts it") {
        Scene s;
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
        Scene s;
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
        Scene s;
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
        Scene s;
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
        Scene s;
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
        Scene s;
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
        Scene s;
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
