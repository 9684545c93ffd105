#include <doctest/doctest.h>

#include "gateway/ledger/card.hpp"
#include "gateway/ledger/fields.hpp"
#include "index/base/encoding.hpp"
#include "tests/gateway/household.hpp"

using namespace hd;
using namespace hd::ledger;
using hd::test::replaced;
using hd::test::secret_of;

namespace {

// Signs the changed text with the person's own key: only the rules of the format can refuse it.
Result<SignedCard> parse_changed(const SignedCard& card, std::string_view from,
                                 std::string_view to) {
    const auto signer = person_signer(secret_of(2), CardKind::requester);
    return parse_card(sign_note(replaced(test::text_of(card.bytes), from, to), signer));
}

}  // namespace

TEST_SUITE("gateway/ledger/card") {
    TEST_CASE("derived keys are those of HKDF with the documented labels") {
        const Secret<32> age = secret_of(2);
        // RFC 5869 by hand: PRK = HMAC(0^32, secret), T1 = HMAC(PRK, info || 0x01).
        const Digest prk = hmac_sha256(Digest{}, age.view());
        const auto t1 = [&](std::string info) {
            info.push_back('\x01');
            return hmac_sha256(prk, as_bytes(info));
        };
        Secret<32> seed;
        const Digest note = t1("halfdoor/v1/note"), curve = t1("halfdoor/v1/curve");
        std::copy(note.begin(), note.end(), seed.mut().begin());
        CHECK(derive_note_key(age).verify_key() == SigningKey::from_seed(seed).verify_key());
        CHECK(equal(derive_curve_secret(age).view(), curve));
        CHECK_FALSE(equal(derive_case_salt(age, "A1").view(), derive_case_salt(age, "A2").view()));
    }

    TEST_CASE("the same secret always makes the same card, and it parses") {
        const auto one = make_person_card(secret_of(2), CardKind::requester, "County Police");
        const auto two = make_person_card(secret_of(2), CardKind::requester, "County Police");
        REQUIRE(one.ok());
        CHECK(one->bytes == two->bytes);
        const auto parsed = parse_card(one->bytes);
        REQUIRE(parsed.ok());
        CHECK(parsed->card == one->card);
        CHECK(parsed->hash == sha256(as_bytes(one->bytes)));
        CHECK(parsed->card.curve_for(CurveUse::self) != nullptr);
        CHECK(parsed->card.curve_for(CurveUse::owner) == nullptr);
    }

    TEST_CASE("a person's kinds share the keys but not the key name") {
        const auto owner = make_person_card(secret_of(2), CardKind::owner, "A").value();
        const auto requester = make_person_card(secret_of(2), CardKind::requester, "A").value();
        CHECK(owner.card.note.key == requester.card.note.key);
        CHECK(key_id(owner.card.note) != key_id(requester.card.note));
    }

    TEST_CASE("a hub's card has endpoint keys and no age key") {
        const NoteSigner hub = hub_signer(secret_of(9));
        Card card{.kind = CardKind::hub,
                  .name = "home",
                  .age_recipient = "",
                  .note = hub.key(),
                  .curve = {{CurveUse::owner, x25519_public(secret_of(5))},
                            {CurveUse::requester, x25519_public(secret_of(6))}}};
        const SignedCard made = sign_card(card, hub);
        REQUIRE(parse_card(made.bytes).ok());
        CHECK(parse_card(made.bytes)->card == card);
        std::swap(card.curve[0], card.curve[1]);
        CHECK_FALSE(parse_card(sign_card(card, hub).bytes).ok());
        card.curve = {{CurveUse::self, x25519_public(secret_of(5))}};
        CHECK_FALSE(parse_card(sign_card(card, hub).bytes).ok());
        card.curve.clear();
        CHECK_FALSE(parse_card(sign_card(card, hub).bytes).ok());
    }

    TEST_CASE("names are 1 to 64 printable ASCII characters") {
        const auto make = [](std::string name) {
            return make_person_card(secret_of(2), CardKind::owner, name).ok();
        };
        CHECK(make("x"));
        CHECK(make(std::string(64, 'x')));
        for (const std::string& bad :
             {std::string(), std::string(65, 'x'), std::string(" x"), std::string("x "),
              std::string("a\nb"), std::string("caf\xC3\xA9"), std::string("a\x7F")}) {
            CAPTURE(bad);
            CHECK_FALSE(make(bad));
        }
    }

    TEST_CASE("each changed field of a card is refused although the note is signed") {
        const auto card =
            make_person_card(secret_of(2), CardKind::requester, "County Police").value();
        const std::string age = card.card.age_recipient;
        const struct {
            std::string_view from, to, error;
        } cases[] = {
            {"halfdoor-card/v1", "halfdoor-card/v2", "line 1: must be \"halfdoor-card/v1\""},
            {"kind requester", "kind police", "line 2: kind: must be owner"},
            {"kind requester", "kind hub", "a hub has none"},
            {"kind requester\n", "", "line 2: must be \"kind ...\""},
            {"name County", "name  County", "name: 1 to 64"},
            {"name County", "nick County", "must be \"name ...\""},
            {"age age1", "age AGE1", "age"},
            {"age ", "age -", "age"},
            {"curve self ", "curve self", "curve"},
            {"curve self ", "curve owner ", "a person has exactly one key"},
        };
        for (const auto& c : cases) {
            CAPTURE(c.to);
            const auto parsed = parse_changed(card, c.from, c.to);
            REQUIRE_FALSE(parsed.ok());
            CHECK(parsed.error().what.find(c.error) != std::string::npos);
        }
        const std::string curve = to_z85(card.card.curve.front().key);
        CHECK_FALSE(parse_changed(card, "curve self " + curve,
                                  "curve self " + curve + "\ncurve self " + curve)
                        .ok());
        CHECK_FALSE(
            parse_changed(card, "curve self " + curve, "curve self " + curve + "\nx y").ok());
    }

    TEST_CASE("a card signed by another key than its own is refused") {
        const auto card =
            make_person_card(secret_of(2), CardKind::requester, "County Police").value();
        const auto other = person_signer(secret_of(4), CardKind::requester);
        const auto parsed = parse_card(sign_note(test::text_of(card.bytes), other));
        REQUIRE_FALSE(parsed.ok());
        CHECK(parsed.error().code == ErrorCode::refused);
    }

    TEST_CASE("a fingerprint is eight groups of four from an alphabet without look-alikes") {
        Digest zero{}, ones{};
        ones.fill(0xFF);
        CHECK(fingerprint(zero) == "0000-0000-0000-0000-0000-0000-0000-0000");
        CHECK(fingerprint(ones) == "ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ");
        Digest d{};
        d[0] = 0x08;   // 00001 000.. -> "1"
        d[19] = 0x1F;  // the last five bits
        CHECK(fingerprint(d) == "1000-0000-0000-0000-0000-0000-0000-000Z");
        d[20] = 0xFF;  // beyond 160 bits: only programs compare it
        CHECK(fingerprint(d) == "1000-0000-0000-0000-0000-0000-0000-000Z");
    }
}

TEST_SUITE("gateway/ledger/fields") {
    TEST_CASE("numbers are read exactly at their limits") {
        CHECK(parse_number("0", 10).value() == 0);
        CHECK(parse_number("10", 10).value() == 10);
        for (const std::string_view bad :
             {"", "11", "01", "+1", "-1", " 1", "1 ", "1e3", "99999999999999999999999"})
            CHECK_FALSE(parse_number(bad, 10).ok());
        constexpr std::uint64_t kMax = 18'446'744'073'709'551'615ull;
        CHECK(parse_number("18446744073709551615", kMax).value() == kMax);
        CHECK_FALSE(parse_number("18446744073709551616", kMax).ok());
    }

    TEST_CASE("times are whole seconds in one form") {
        CHECK(to_seconds_text(test::at("2026-11-22T14:00:00Z")) == "2026-11-22T14:00:00Z");
        CHECK(parse_seconds_text("2026-11-22T14:00:00Z").ok());
        CHECK_FALSE(parse_seconds_text("2026-11-22T14:00:00.5Z").ok());
        CHECK_FALSE(parse_seconds_text("2026-11-22T14:00:00.000000Z").ok());
    }

    TEST_CASE("a draft may hold comments, empty lines and spaces; a signed text may not") {
        const std::string text = "# hello\n\nfmt/v1\n  key   value  \n# end";
        auto draft = FieldReader::open(text, "fmt/v1", TextForm::draft);
        REQUIRE(draft.ok());
        const auto field = draft->take("key");
        REQUIRE(field.ok());
        CHECK(field->value == "value");
        CHECK(field->line == 4);
        CHECK(draft->finish().ok());
        CHECK_FALSE(FieldReader::open(text, "fmt/v1", TextForm::signed_text).ok());
        CHECK_FALSE(FieldReader::open("fmt/v1\nkey", "fmt/v1", TextForm::signed_text).ok());
        CHECK_FALSE(FieldReader::open("fmt/v1\n\n", "fmt/v1", TextForm::signed_text).ok());
        CHECK_FALSE(FieldReader::open("", "fmt/v1", TextForm::draft).ok());
    }
}
