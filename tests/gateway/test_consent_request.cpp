#include <doctest/doctest.h>

#include "index/base/encoding.hpp"
#include "tests/gateway/household.hpp"

using namespace hd;
using namespace hd::consent;
using hd::test::at;
using hd::test::Household;
using hd::test::replaced;

namespace {

using std::chrono::hours;
using std::chrono::seconds;

// Signs a changed text with the requester's own key, so that only the rules can refuse it.
std::string resigned(const std::string& text) {
    return ledger::sign_note(
        text, ledger::person_signer(test::secret_of(2), ledger::CardKind::requester));
}

Intake judge(const Household& home, const ledger::RequestBook& book, const MadeRequest& made) {
    return judge_request(home.intake(book), made.request.bytes, made.private_body);
}

// The field of the breach, or "taken".
std::string verdict(const Household& home, const MadeRequest& made,
                    const ledger::RequestBook& book = {}) {
    const Intake i = judge(home, book, made);
    return i.kind == Intake::Kind::take ? "taken" : i.breach.field;
}

// A request with one field set otherwise, signed by the requester.
template <typename F>
MadeRequest changed(const Household& home, F&& change) {
    MadeRequest made = home.ask();
    change(made.request.request);
    made.request =
        sign_request(made.request.request,
                     ledger::person_signer(home.requester_secret, ledger::CardKind::requester));
    return made;
}

}  // namespace

TEST_SUITE("gateway/consent/request") {
    TEST_CASE("a request comes back as it was signed and is taken in") {
        const Household home;
        const MadeRequest made = home.ask();
        const auto parsed = parse_request(made.request.bytes);
        REQUIRE(parsed.ok());
        CHECK(parsed->request == made.request.request);
        CHECK(parsed->hash == made.request.hash);
        const Intake i = judge(home, {}, made);
        REQUIRE(i.kind == Intake::Kind::take);
        CHECK(i.entry.note == made.request.bytes);
        CHECK(i.entry.card == home.requester_card.hash);
        CHECK(i.entry.received == home.now);
        CHECK(i.entry.window == home.window);
        CHECK(i.entry.policy_number == 1);
    }

    TEST_CASE("windows are judged exactly at their edges") {
        const WallTime now = at("2026-11-22T14:00:00Z");
        const WallTime end = now - hours(1);
        const auto bad = [&](TimeSpan w) { return breach_of_window(w, now, 3600).has_value(); };
        CHECK_FALSE(bad({end - seconds(900), end}));
        CHECK(bad({end - seconds(899), end}));
        CHECK_FALSE(bad({end - seconds(43'200), end}));
        CHECK(bad({end - seconds(43'201), end}));
        CHECK(bad({end - seconds(899), end + seconds(1)}));
        CHECK(bad({end - seconds(900) + seconds(1), end + seconds(1)}));
        CHECK_FALSE(breach_of_window({end - seconds(900), now}, now, 0).has_value());
        CHECK(breach_of_window({end, now + seconds(1)}, now, 0).has_value());
        CHECK(bad({end, end - seconds(900)}));
        CHECK(bad({end, end}));
        CHECK(bad({end - seconds(900) - Micros(1), end}));
    }

    TEST_CASE("posted and expires are judged exactly at their edges") {
        const WallTime now = at("2026-11-22T14:00:00Z");
        CHECK_FALSE(breach_of_posted(now + seconds(600), now).has_value());
        CHECK_FALSE(breach_of_posted(now - seconds(600), now).has_value());
        CHECK(breach_of_posted(now + seconds(601), now).has_value());
        CHECK(breach_of_posted(now - seconds(601), now).has_value());
        CHECK_FALSE(breach_of_expiry(now, now + seconds(1), now).has_value());
        CHECK(breach_of_expiry(now, now, now).has_value());
        CHECK_FALSE(breach_of_expiry(now, now + hours(24 * 30), now).has_value());
        CHECK(breach_of_expiry(now, now + hours(24 * 30) + seconds(1), now).has_value());
        CHECK(breach_of_expiry(now - seconds(100), now, now).has_value());
    }

    TEST_CASE("each field that breaks its rule is named, although the note is signed") {
        const Household home;
        CHECK(verdict(home, changed(home, [](Request&) {})) == "taken");
        CHECK(verdict(home, changed(home, [](Request& r) { r.hub.bytes[3] ^= 1; })) == "hub");
        CHECK(verdict(home, changed(home, [](Request& r) { r.case_commitment[0] ^= 1; })) ==
              "case");
        CHECK(verdict(home, changed(home, [](Request& r) {
                          r.window.end = r.window.begin + seconds(899);
                      })) == "window");
        CHECK(verdict(home, changed(home, [](Request& r) {
                          r.window.end = at("2026-11-22T13:00:01Z");
                      })) == "window");
        CHECK(verdict(home, changed(home, [](Request& r) {
                          std::swap(r.window.begin, r.window.end);
                      })) == "window");
        CHECK(verdict(home, changed(home, [](Request& r) { r.area.pop_back(); })) == "taken");
        CHECK(verdict(home, changed(home, [](Request& r) {
                          r.area = square_around(40.71, -74.01, 2000);
                      })) == "area");
        CHECK(verdict(home, changed(home, [](Request& r) {
                          r.posted = r.posted + seconds(601);
                      })) == "posted");
        CHECK(verdict(home, changed(home, [](Request& r) { r.expires = r.posted; })) == "expires");
        CHECK(verdict(home, changed(home, [](Request& r) { r.recipient[0] ^= 1; })) == "recipient");
        CHECK(verdict(home, changed(home, [](Request& r) { r.amends = Digest{1}; })) == "amends");
        CHECK(verdict(home, changed(home, [](Request& r) { r.private_sha256[0] ^= 1; })) ==
              "private-sha256");
    }

    TEST_CASE("the private body must be the one that the note commits to") {
        const Household home;
        MadeRequest made = home.ask();
        made.private_body.clear();
        CHECK(verdict(home, made) == "private-sha256");
        made = home.ask();
        made.private_body += " ";
        CHECK(verdict(home, made) == "private-sha256");
        // A body that fits its hash but not its own format.
        made = changed(home, [](Request& r) { r.private_sha256 = sha256(as_bytes("junk\n")); });
        made.private_body = "junk\n";
        CHECK(verdict(home, made) == "private");
    }

    TEST_CASE("grammar: each broken line is refused with its number") {
        const Household home;
        const std::string text = to_text(home.ask().request.request);
        const struct {
            std::string_view from, to, error;
        } cases[] = {
            {"halfdoor-request/v1", "halfdoor-request/v2", "line 1"},
            {"hub ", "hub g", "line 2: hub"},
            {"nonce ", "nonce 0", "line 3: nonce"},
            {"\ncase ", "\ncase x", "line 4: case"},
            {"offence burglary", "offence investigation", "line 5: offence: must be one of arson"},
            {"offence burglary", "offence Burglary", "line 5: offence"},
            {"12:00:00Z", "12:00:00.000000Z", "line 6: window: must be in whole seconds"},
            {"12:00:00Z", "12:00:00+00:00", "line 6: window"},
            {"area 4", "area 04", "line 7: area"},
            {"posted 2026-11-22", "posted 2026-11-32", "line 8: posted"},
            {"expires 2026", "expires  2026", "line 9: expires"},
            {"recipient age1", "recipient AGE1", "line 10: recipient"},
            {"amends -", "amends 0", "line 11: amends"},
            {"private-sha256 ", "private-sha256 A", "line 12: private-sha256"},
            {"amends -\n", "amends -\namends -\n", "line 12: must be \"private-sha256 ...\""},
            {"offence burglary\n", "", "line 5: must be \"offence ...\""},
            {"amends -", "amends -\x7F", "line 11: must be printable ASCII"},
        };
        for (const auto& c : cases) {
            CAPTURE(c.to);
            const auto parsed = parse_request(resigned(replaced(text, c.from, c.to)));
            REQUIRE_FALSE(parsed.ok());
            CHECK(parsed.error().what.find(c.error) != std::string::npos);
        }
        CHECK(parse_request(resigned(text)).ok());
        CHECK_FALSE(parse_request(resigned(text + "more x\n")).ok());
    }

    TEST_CASE("exactly one signature, by the card of the session") {
        const Household home;
        const MadeRequest made = home.ask();
        const auto requester =
            ledger::person_signer(home.requester_secret, ledger::CardKind::requester);
        const auto stranger =
            ledger::person_signer(home.stranger_secret, ledger::CardKind::requester);
        const std::string text = to_text(made.request.request);
        MadeRequest other = made;
        other.request.bytes = ledger::sign_note(text, stranger);
        CHECK(verdict(home, other) == "signature");
        other.request.bytes =
            to_string(ledger::Note{text, {requester.sign(text), stranger.sign(text)}});
        CHECK(verdict(home, other) == "note");
        other.request.bytes = replaced(made.request.bytes, "offence burglary", "offence theft");
        CHECK(verdict(home, other) == "signature");
    }

    TEST_CASE("no flipped bit of a signed request is taken in") {
        const Household home;
        const MadeRequest made = home.ask();
        std::size_t taken = 0;
        for (std::size_t i = 0; i < made.request.bytes.size(); ++i) {
            MadeRequest bad = made;
            bad.request.bytes[i] = static_cast<char>(bad.request.bytes[i] ^ (1 << i % 7));
            if (verdict(home, bad) == "taken") ++taken;
        }
        CHECK(taken == 0);
    }

    TEST_CASE("the same note again is a replay, also when its time has passed") {
        Household home;
        const auto [made, book] = test::take_request(home);
        CHECK(judge(home, book, made).kind == Intake::Kind::replay);
        home.now = home.now + hours(24 * 365);
        CHECK(judge(home, book, made).kind == Intake::Kind::replay);
        home.policy.minimum_age_s = 2'000'000;
        CHECK(judge(home, book, made).kind == Intake::Kind::replay);
        // The private body is not judged again either: it may have been deleted.
        CHECK(judge_request(home.intake(book), made.request.bytes, "").kind ==
              Intake::Kind::replay);
    }

    TEST_CASE("another card's note is no replay and tells nothing") {
        Household home;
        const auto [made, book] = test::take_request(home);
        const auto other_card =
            ledger::make_person_card(home.stranger_secret, ledger::CardKind::requester, "Other")
                .value();
        home.policy.requesters.front() =
            requester_from_card(other_card, "other", Level::clips).value();
        const Intake i = judge(home, book, made);
        CHECK(i.kind == Intake::Kind::breach);
        CHECK(i.breach.field == "signature");
        CHECK(i.breach.code == ErrorCode::refused);
    }

    TEST_CASE("a renewed card with the same keys does not make a replay a new request") {
        Household home;
        const auto [made, book] = test::take_request(home);
        const auto renewed =
            ledger::make_person_card(home.requester_secret, ledger::CardKind::requester, "New Name")
                .value();
        home.policy.requesters.front() =
            requester_from_card(renewed, "county police", Level::clips).value();
        CHECK(judge(home, book, made).kind == Intake::Kind::replay);
    }

    TEST_CASE("at most two requests for one case, however it is spelt or salted") {
        const Household home;
        ledger::RequestBook book;
        const auto ask = [&](std::string number, bool fresh_salt) {
            Asking asking = home.asking();
            asking.case_number = std::move(number);
            MadeRequest made = make_request(asking, home.requester_secret).value();
            if (fresh_salt) {
                PrivateBody body = parse_private_body(made.private_body).value();
                random_bytes(body.case_salt);
                made.private_body = to_text(body);
                Request r = made.request.request;
                r.case_commitment = case_commitment(body.case_salt, body.case_number);
                r.private_sha256 = sha256(as_bytes(made.private_body));
                made.request = sign_request(
                    r, ledger::person_signer(home.requester_secret, ledger::CardKind::requester));
            }
            const Intake i = judge(home, book, made);
            if (i.kind == Intake::Kind::take)
                REQUIRE(book.apply(ledger::encode_taken(i.entry)).ok());
            return i;
        };
        CHECK(ask("2026-11/0042", false).kind == Intake::Kind::take);
        CHECK(ask("2026 11 0042", true).kind == Intake::Kind::take);
        const Intake third = ask("2026110042", true);
        CHECK(third.kind == Intake::Kind::breach);
        CHECK(third.breach.field == "case");
        CHECK(third.breach.code == ErrorCode::exhausted);
        CHECK(ask("2026-11/0043", false).kind == Intake::Kind::take);
    }

    TEST_CASE("a nonce serves once") {
        const Household home;
        const auto [made, book] = test::take_request(home);
        const auto nonce = made.request.request.nonce;
        CHECK(verdict(home, changed(home, [&](Request& r) { r.nonce = nonce; }), book) == "nonce");
    }

    TEST_CASE("amends names an earlier request of the same card") {
        const Household home;
        const auto [made, book] = test::take_request(home);
        const Digest earlier = made.request.hash;
        CHECK(verdict(home, changed(home, [&](Request& r) { r.amends = earlier; }), book) ==
              "taken");
        CHECK(verdict(home, changed(home, [&](Request& r) { r.amends = Digest{5}; }), book) ==
              "amends");
    }

    TEST_CASE("quotas count requests and hours over the last 24 hours") {
        Household home;
        auto [made, book] = test::take_request(home);  // one hour, one request
        PolicyRequester who = home.policy.requesters.front();
        const auto breach = [&](WallTime now) {
            return breach_of_quota(book, who, home.window, now).has_value();
        };
        who.requests_per_day = 2;
        who.hours_per_day = 2;
        CHECK_FALSE(breach(home.now));
        who.requests_per_day = 1;
        CHECK(breach(home.now));
        CHECK(breach(home.now + hours(24) - Micros(1)));
        CHECK_FALSE(breach(home.now + hours(24)));
        who.requests_per_day = 2;
        who.hours_per_day = 1;
        CHECK(breach(home.now));
        CHECK_FALSE(breach(home.now + hours(24)));
    }

    TEST_CASE("case commitments are stable for one person and unlike for others") {
        const Household home;
        const MadeRequest a = home.ask(), b = home.ask();
        CHECK(a.request.request.case_commitment == b.request.request.case_commitment);
        CHECK(a.request.request.nonce != b.request.request.nonce);
        CHECK(a.request.request.private_sha256 != b.request.request.private_sha256);
        const auto other = make_request(home.asking(), home.stranger_secret).value();
        CHECK(other.request.request.case_commitment != a.request.request.case_commitment);
        CHECK(normal_case_number(" ab-12/c ") == "AB12C");
    }

    TEST_CASE("the tool refuses what the hub would refuse") {
        const Household home;
        const auto ok = [&](auto change) {
            Asking asking = home.asking();
            change(asking);
            return make_request(asking, home.requester_secret).ok();
        };
        CHECK(ok([](Asking&) {}));
        CHECK_FALSE(ok([](Asking& a) { a.case_number = "--"; }));
        CHECK_FALSE(ok([](Asking& a) { a.case_number = ""; }));
        CHECK_FALSE(ok([](Asking& a) { a.contact = ""; }));
        CHECK_FALSE(ok([](Asking& a) { a.text = "caf\xC3\xA9"; }));
        CHECK_FALSE(ok([](Asking& a) { a.text = std::string(2001, 'x'); }));
        CHECK(ok([](Asking& a) { a.text = ""; }));
        CHECK_FALSE(ok([](Asking& a) { a.window.end = a.now + seconds(1); }));
        CHECK_FALSE(ok([](Asking& a) { a.area.clear(); }));
        CHECK_FALSE(ok([](Asking& a) { a.lifetime = hours(24 * 31); }));
    }

    TEST_CASE("offences print and parse, and there is no way to say nothing") {
        CHECK(all_offences().size() == 15);
        for (const Offence o : all_offences()) CHECK(parse_offence(to_string(o)).value() == o);
        CHECK_FALSE(parse_offence("other").ok());
        CHECK_FALSE(parse_offence("").ok());
    }
}
