#include "gateway/ledger/card.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gateway/ledger/fields.hpp"
#include "index/base/encoding.hpp"
#include "index/seal/key_file.hpp"

namespace hd::ledger {
namespace {

constexpr std::string_view kFormat = "halfdoor-card/v1";
constexpr std::size_t kMaxCardBytes = 4096;
constexpr std::array kUses{CurveUse::self, CurveUse::owner, CurveUse::dashboard, CurveUse::events,
                           CurveUse::requester};

Result<CurveKey> parse_curve(std::string_view value) {
    const std::size_t space = value.find(' ');
    for (const CurveUse use : kUses) {
        if (value.substr(0, space) != to_string(use) || space == value.npos) continue;
        const auto raw = from_z85(value.substr(space + 1));
        if (!raw || raw->size() != 32) break;
        CurveKey out{.use = use};
        std::copy(raw->begin(), raw->end(), out.key.begin());
        return out;
    }
    return Error{ErrorCode::invalid,
                 "must be self, owner, dashboard, events or requester, and a key of 40 characters"};
}

Result<void> check_curve_keys(const Card& card) {
    const bool hub = card.kind == CardKind::hub;
    if (!hub && (card.curve.size() != 1 || card.curve.front().use != CurveUse::self))
        return Error{ErrorCode::invalid, "curve: a person has exactly one key, `self`"};
    if (hub && card.curve.empty())
        return Error{ErrorCode::invalid, "curve: a hub has at least one endpoint key"};
    for (std::size_t i = 0; hub && i < card.curve.size(); ++i)
        if (card.curve[i].use == CurveUse::self ||
            (i > 0 && card.curve[i].use <= card.curve[i - 1].use))
            return Error{ErrorCode::invalid,
                         "curve: a hub's keys are owner, dashboard, events, requester, in this "
                         "order, each at most once"};
    return {};
}

Result<void> check_card(const Card& card) {
    const auto bad = [](std::string_view rule) {
        return Error{ErrorCode::invalid, fmt::format("{}: {}", kFormat, rule)};
    };
    if (!is_plain_text(card.name, 1, 64))
        return bad("name: 1 to 64 printable ASCII characters, no space at the ends");
    if (!is_plain_text(card.note.name, 1, 128))
        return bad("note: the key name must be printable ASCII, at most 128 characters");
    if ((card.kind == CardKind::hub) != card.age_recipient.empty())
        return bad("age: a person has an age recipient, a hub has none (\"-\")");
    if (!card.age_recipient.empty()) {
        const auto recipient = seal::parse_recipient(card.age_recipient);
        if (!recipient) return recipient.error().in(kFormat);
        if (seal::to_string(*recipient) != card.age_recipient)
            return bad("age: must be in lower case");
    }
    if (const auto curve = check_curve_keys(card); !curve) return curve.error().in(kFormat);
    return {};
}

SignedCard with_hash(Card card, std::string bytes) {
    const Digest hash = sha256(as_bytes(bytes));
    return {std::move(card), std::move(bytes), hash};
}

}  // namespace

std::string_view to_string(CurveUse use) {
    switch (use) {
        case CurveUse::self:
            return "self";
        case CurveUse::owner:
            return "owner";
        case CurveUse::dashboard:
            return "dashboard";
        case CurveUse::events:
            return "events";
        case CurveUse::requester:
            return "requester";
    }
    return "unknown";
}

const CurvePublic* Card::curve_for(CurveUse use) const {
    for (const CurveKey& key : curve)
        if (key.use == use) return &key.key;
    return nullptr;
}

std::string card_text(const Card& card) {
    std::string out = fmt::format(
        "{}\nkind {}\nname {}\nage {}\nnote {}\n", kFormat, to_string(card.kind), card.name,
        card.age_recipient.empty() ? "-" : card.age_recipient, to_vkey(card.note));
    for (const CurveKey& key : card.curve)
        out += fmt::format("curve {} {}\n", to_string(key.use), to_z85(key.key));
    return out;
}

SignedCard sign_card(const Card& card, const NoteSigner& signer) {
    HD_CHECK(signer.key() == card.note);
    return with_hash(card, sign_note(card_text(card), signer));
}

Result<SignedCard> make_person_card(const Secret<32>& age_secret, CardKind kind,
                                    std::string_view name) {
    HD_CHECK(kind != CardKind::hub);
    const NoteSigner signer = person_signer(age_secret, kind);
    const Card card{.kind = kind,
                    .name = std::string(name),
                    .age_recipient = seal::to_string(x25519_public(age_secret)),
                    .note = signer.key(),
                    .curve = {{CurveUse::self, x25519_public(derive_curve_secret(age_secret))}}};
    HD_TRY(check_card(card));
    return sign_card(card, signer);
}

Result<SignedCard> parse_card(std::string_view bytes) {
    if (bytes.size() > kMaxCardBytes)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: larger than {} bytes", kFormat, kMaxCardBytes)};
    HD_ASSIGN(const Note note, parse_note(bytes));
    HD_ASSIGN(auto reader, FieldReader::open(note.text, kFormat, TextForm::signed_text));
    Card card;
    HD_ASSIGN(Field field, reader.take("kind"));
    const auto kind = parse_card_kind(field.value);
    if (!kind) return reader.bad(kind.error().what);
    card.kind = *kind;
    HD_ASSIGN(field, reader.take("name"));
    card.name = field.value;
    HD_ASSIGN(field, reader.take("age"));
    if (field.value != "-") card.age_recipient = field.value;
    HD_ASSIGN(field, reader.take("note"));
    auto key = parse_vkey(field.value);
    if (!key) return reader.bad(key.error().what);
    card.note = std::move(*key);
    while (reader.next_is("curve")) {
        HD_ASSIGN(field, reader.take("curve"));
        const auto curve = parse_curve(field.value);
        if (!curve) return reader.bad(curve.error().what);
        card.curve.push_back(*curve);
    }
    HD_TRY(reader.finish());
    HD_TRY(check_card(card));
    if (const auto form = require_canonical(note.text, card_text(card)); !form)
        return form.error().in(kFormat);
    if (const auto valid = verify_single(note, card.note); !valid) return valid.error().in(kFormat);
    return with_hash(std::move(card), std::string(bytes));
}

std::string fingerprint(const Digest& hash) {
    constexpr std::string_view kLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    std::string out;
    std::uint32_t bits = 0;
    int have = 0;
    for (std::size_t i = 0; i < 20; ++i) {
        bits = (bits << 8 | hash[i]) & 0xFFFF;
        have += 8;
        while (have >= 5) {
            have -= 5;
            if (out.size() % 5 == 4) out.push_back('-');
            out.push_back(kLetters[bits >> have & 31]);
        }
    }
    return out;
}

}  // namespace hd::ledger
