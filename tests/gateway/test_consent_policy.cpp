#include <cmath>

#include <doctest/doctest.h>

#include "tests/gateway/household.hpp"

using namespace hd;
using namespace hd::consent;
using hd::ledger::TextForm;
using hd::test::Household;
using hd::test::replaced;

namespace {

std::string error_of(std::string_view text, TextForm form = TextForm::signed_text) {
    const auto parsed = parse_policy_text(text, form);
    return parsed ? "accepted" : parsed.error().what;
}

}  // namespace

TEST_SUITE("gateway/consent/policy") {
    TEST_CASE("a policy comes back as it was signed") {
        const Household home;
        const auto parsed = parse_policy(home.signed_policy.bytes, home.owner.key());
        REQUIRE(parsed.ok());
        CHECK(parsed->policy == home.policy);
        CHECK(parsed->hash == sha256(as_bytes(home.signed_policy.bytes)));
        CHECK(to_text(parsed->policy) == test::text_of(home.signed_policy.bytes));
    }

    TEST_CASE("only the owner's one signature makes a policy") {
        const Household home;
        const std::string text = to_text(home.policy);
        CHECK(parse_policy(ledger::sign_note(text, home.approver), home.owner.key()).error().code ==
              ErrorCode::refused);
        ledger::Note two{text, {home.owner.sign(text), home.approver.sign(text)}};
        CHECK(parse_policy(to_string(two), home.owner.key()).error().code == ErrorCode::refused);
        CHECK(parse_policy(text, home.owner.key()).error().code == ErrorCode::corrupt);
    }

    TEST_CASE("the draft explains itself and gives the same policy") {
        const Household home;
        const std::string draft = to_draft(home.policy);
        CHECK(draft.find("# ") != std::string::npos);
        const auto parsed = parse_policy_text(draft, TextForm::draft);
        REQUIRE(parsed.ok());
        CHECK(*parsed == home.policy);
        CHECK(error_of(draft) != "accepted");  // comments are not for signing
    }

    TEST_CASE("each broken line is refused with its number, key and rule") {
        const Household home;
        const std::string text = to_text(home.policy);
        const struct {
            std::string_view from, to, error;
        } cases[] = {
            {"halfdoor-policy/v1", "halfdoor-policy/v2", "line 1: must be \"halfdoor-policy/v1\""},
            {"hub ", "hub 0", "line 2: hub: id: must be 32 lowercase hex digits"},
            {"number 1", "number 01", "line 3: number: must be a whole number"},
            {"number 1", "number 0", "number: counts from 1"},
            {"number 1", "number 2", "previous: \"-\" for number 1"},
            {"previous -", "previous 00", "line 4: previous: must be 64 lowercase hex digits"},
            {"minimum-age 3600", "minimum-age 2592001", "minimum-age: at most 2592000 seconds"},
            {"minimum-age 3600", "minimum-age -1", "line 5: minimum-age"},
            {"cell 40.71 -74.01", "cell 40.7 -74.01", "line 6: cell: must be"},
            {"cell 40.71 -74.01", "cell 40.710 -74.01", "line 6: cell: must be"},
            {"cell 40.71 -74.01", "cell 040.71 -74.01", "line 6: cell: must be"},
            {"cell 40.71 -74.01", "cell 40.71", "line 6: cell: must be"},
            {"cell 40.71 -74.01", "cell 85.01 -74.01", "cell: latitude within 85"},
            {"cell 40.71 -74.01", "cell 40.71 180.00", "cell: latitude within 85"},
            {"cell 40.71 -74.01", "cell -0.00 -74.01", "line 6: not in the one form"},
            {" owner\n", "\n", "line 7: recipient: must be an age recipient and a label"},
            {"approver Ben", "approver  Ben", "approver: the name must be"},
            {"requester county police", "asker county police", "line 15: unknown, repeated"},
            {"requester-level clips", "requester-level all",
             "line 20: requester-level: must be silent, coverage or clips"},
            {"requester-level clips\n", "", "line 20: must be \"requester-level ...\""},
            {"requester-quota 10 48", "requester-quota 10", "line 21: requester-quota: must be"},
            {"requester-quota 10 48", "requester-quota 0 48", "requester-quota: 1 to 1000"},
            {"requester-quota 10 48", "requester-quota 10 48\nextra x",
             "line 22: unknown, repeated or misplaced key \"extra\""},
        };
        for (const auto& c : cases) {
            CAPTURE(c.to);
            CHECK(error_of(replaced(text, c.from, c.to)).find(c.error) != std::string::npos);
        }
        CHECK(error_of(text) == "accepted");
    }

    TEST_CASE("no key, card, name or camera may occur twice, and lists have limits") {
        const Household home;
        Policy p = home.policy;
        p.requesters.push_back(p.requesters.front());
        CHECK_FALSE(check_policy(p).ok());
        p.requesters.back() = {.name = "other",
                               .card = Digest{1},
                               .age = seal::Recipient{2},
                               .note = {"x", {3}},
                               .curve = home.policy.requesters.front().curve,
                               .requests_per_day = 1,
                               .hours_per_day = 1};
        CHECK_FALSE(check_policy(p).ok());
        p.requesters.back().curve = {4};
        CHECK(check_policy(p).ok());
        p.cameras = {home.front, home.front};
        CHECK_FALSE(check_policy(p).ok());
        p.cameras.clear();
        CHECK(check_policy(p).ok());
        for (std::size_t i = 0; i < kMaxCameras; ++i)
            p.cameras.push_back(test::camera_of(static_cast<std::uint8_t>(i + 1)));
        CHECK(check_policy(p).ok());
        p.cameras.push_back(test::camera_of(200));
        CHECK_FALSE(check_policy(p).ok());
        p = home.policy;
        p.recipients.clear();
        CHECK_FALSE(check_policy(p).ok());
        for (std::uint8_t i = 0; i < kMaxRecipients; ++i)
            p.recipients.push_back({seal::Recipient{i}, "r"});
        CHECK(check_policy(p).ok());
        p.recipients.push_back({seal::Recipient{200}, "r"});
        CHECK_FALSE(check_policy(p).ok());
    }

    TEST_CASE("the largest policy that the rules allow fits its size limit") {
        const Household home;
        Policy p = home.policy;
        p.requesters.clear();
        for (std::uint8_t i = 0; i < kMaxRequesters; ++i)
            p.requesters.push_back({.name = std::string(62, 'n') + std::to_string(10 + i),
                                    .card = Digest{i},
                                    .age = seal::Recipient{i},
                                    .note = {std::string(128, 'k'), {i}},
                                    .curve = {i},
                                    .level = Level::coverage,
                                    .requests_per_day = 1000,
                                    .hours_per_day = 10000});
        p.approvers.clear();
        for (std::uint8_t i = 0; i < kMaxApprovers; ++i)
            p.approvers.push_back({.name = std::string(62, 'n') + std::to_string(10 + i),
                                   .card = Digest{i},
                                   .age = seal::Recipient{i},
                                   .note = {std::string(128, 'k'), {i}},
                                   .curve = {i}});
        for (std::uint8_t i = 2; i < kMaxCameras; ++i) p.cameras.push_back(test::camera_of(i));
        REQUIRE(check_policy(p).ok());
        const auto made = sign_policy(p, home.owner);
        REQUIRE(made.ok());
        CHECK(parse_policy(made->bytes, home.owner.key()).ok());
    }

    TEST_CASE("a hub takes number 1 first, then only the next one after the one that rules") {
        const Household home;
        const SignedPolicy& one = home.signed_policy;
        const Policy draft = next_policy(home.policy, one.hash);
        const SignedPolicy two = sign_policy(draft, home.owner).value();
        const SignedPolicy three = sign_policy(next_policy(draft, two.hash), home.owner).value();
        CHECK(accept_policy(nullptr, one, home.hub_id).ok());
        CHECK(accept_policy(&one, two, home.hub_id).ok());
        CHECK(accept_policy(&two, three, home.hub_id).ok());
        CHECK(accept_policy(&one, one, home.hub_id).ok());  // nothing changes
        CHECK(accept_policy(nullptr, two, home.hub_id).error().code == ErrorCode::refused);
        CHECK(accept_policy(&one, three, home.hub_id).error().what.find("must be 2, this is 3") !=
              std::string::npos);
        CHECK(accept_policy(&two, one, home.hub_id).error().code == ErrorCode::refused);
        HubId other = home.hub_id;
        other.bytes[0] ^= 1;
        CHECK(accept_policy(nullptr, one, other).error().code == ErrorCode::refused);
        Policy forked = draft;
        forked.previous = Digest{9};
        CHECK(accept_policy(&one, sign_policy(forked, home.owner).value(), home.hub_id)
                  .error()
                  .what.find("previous:") != std::string::npos);
        // Another number 1 of the same owner does not take the place of the first.
        Policy again = home.policy;
        again.minimum_age_s = 1;
        CHECK_FALSE(accept_policy(&one, sign_policy(again, home.owner).value(), home.hub_id).ok());
    }

    TEST_CASE("a cell is rounded to hundredths of a degree") {
        CHECK(cell_of(40.7128, -74.0060).value() == Cell{4071, -7401});
        CHECK(cell_of(-0.004, 0.004).value() == Cell{0, 0});
        CHECK(cell_of(0, 179.999).value().lon_e2 == -18000);
        CHECK_FALSE(cell_of(85.1, 0).ok());
        CHECK_FALSE(cell_of(0, 180).ok());
        CHECK_FALSE(cell_of(std::nan(""), 0).ok());
        Household home;
        for (const Cell c : {Cell{-5, -18000}, Cell{8500, 17999}, Cell{-8500, 5}, Cell{0, 0}}) {
            home.policy.cell = c;
            const auto parsed = parse_policy_text(to_text(home.policy), TextForm::signed_text);
            REQUIRE(parsed.ok());
            CHECK(parsed->cell == c);
        }
        home.policy.cell.reset();
        CHECK(parse_policy_text(to_text(home.policy), TextForm::signed_text).value().cell ==
              std::nullopt);
    }

    TEST_CASE("changes are told in sentences, and no change is told in none") {
        const Household home;
        CHECK(describe_changes(&home.policy, home.policy).empty());
        Policy next = home.policy;
        next.requesters.front().level = Level::silent;
        next.cameras = {home.front, home.nursery};
        next.approvers.clear();
        next.minimum_age_s = 60;
        next.cell.reset();
        next.recipients.push_back({seal::Recipient{7}, "paper"});
        std::string all;
        for (const auto& line : describe_changes(&home.policy, next)) all += line + "\n";
        for (const std::string_view part :
             {"level clips -> silent", "may be asked about", "may no longer be asked about",
              "\"Ben\" may no longer approve", "60 s ago", "none (outside every area)",
              "\"paper\""}) {
            CAPTURE(part);
            CHECK(all.find(part) != std::string::npos);
        }
        CHECK_FALSE(describe_changes(nullptr, home.policy).empty());
    }

    TEST_CASE("only cards of the right kind enter a policy") {
        const Household home;
        CHECK_FALSE(requester_from_card(home.owner_card, "x", Level::clips).ok());
        CHECK_FALSE(approver_from_card(home.requester_card, "x").ok());
        CHECK_FALSE(first_policy(home.hub_id, home.requester_card).ok());
    }
}
