#include <utility>

#include <doctest/doctest.h>

#include "tests/gateway/grant_scene.hpp"

using namespace hd;
using namespace hd::consent;
using hd::test::clip_id_of;
using hd::test::GrantScene;
using hd::test::Household;
using hd::test::RecordedClip;

namespace {

using std::chrono::hours;
using std::chrono::seconds;

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
        GrantScene s;
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
        GrantScene s;
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
        GrantScene s;
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

    TEST_CASE(
        "a window with video and no key frame is refused in words, one that begins so is told of") {
        GrantScene s;
        const auto without_keys = [&](std::size_t from, std::size_t to) {
            auto bundle = s.front.bundle();
            for (std::size_t i = from; i < to; ++i) {
                auto id = clip::decode_identity(bundle.pieces[i].identity).value();
                id.start = clip::PieceStart::none;
                bundle.pieces[i].identity = clip::encode_identity(id);
            }
            return bundle;
        };
        // The clip begins 5 s before the window: pieces 6 to 20 lie inside.
        s.bundles = {without_keys(1, 21)};
        const auto none = s.approve_all();
        REQUIRE_FALSE(none.ok());
        CHECK(none.error().code == ErrorCode::not_found);
        CHECK(refusal(none).find("15 s of video, but no key frame") != std::string::npos);
        // The first key frame inside is that of piece 11.
        s.bundles = {without_keys(1, 11)};
        const auto some = s.approve_all();
        REQUIRE(some.ok());
        CHECK(some->grant.grant.ranges.front().first == 11);
        CHECK(some->before_key == seconds(5));
        CHECK(some->length == seconds(10));
        // A window that a piece with a key frame begins in leaves nothing out.
        s.bundles = {s.yard.bundle()};
        CHECK(s.approve_all()->before_key == Micros(0));
    }

    TEST_CASE("two pieces swapped, repeated, or with any identity byte changed are refused") {
        GrantScene s;
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
        GrantScene s;
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
        GrantScene s;
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
        GrantScene s;
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
