// A card: the signed note that says "these are my public keys". Its SHA-256, read out over a
// telephone, is the only thing that people compare. The document is docs/formats/note.md.
#pragma once

#include <string>
#include <vector>

#include "gateway/ledger/person_keys.hpp"

namespace hd::ledger {

// A CURVE public key and what it is for. A person has one, `self`; a hub has one per endpoint.
enum class CurveUse { self, owner, dashboard, events, requester };
std::string_view to_string(CurveUse use);

struct CurveKey {
    CurveUse use = CurveUse::self;
    CurvePublic key{};
    bool operator==(const CurveKey&) const = default;
};

struct Card {
    CardKind kind = CardKind::owner;
    std::string name;           // printable ASCII, 1..64 characters
    std::string age_recipient;  // "age1..."; empty for a hub, which can open nothing
    NoteKey note;
    std::vector<CurveKey>
        curve;  // person: exactly one, `self`; hub: 1..4, in the order of CurveUse
    bool operator==(const Card&) const = default;

    const CurvePublic* curve_for(CurveUse use) const;  // nullptr if the card has none
};

// A card as it came: value, exact bytes, and their hash.
struct SignedCard {
    Card card;
    std::string bytes;
    Digest hash{};  // SHA-256 of `bytes`
};

std::string card_text(const Card& card);
// HD_CHECKs that the signer's key is the card's own.
SignedCard sign_card(const Card& card, const NoteSigner& signer);
// The card of a person with this one secret. invalid: the name breaks the rule.
Result<SignedCard> make_person_card(const Secret<32>& age_secret, CardKind kind,
                                    std::string_view name);
// The note must have exactly one signature, by the key in the card itself.
Result<SignedCard> parse_card(std::string_view bytes);

// 160 bits of a hash as 8 groups of 4 out of 32 letters and digits (Crockford: no I, L, O, U):
// "7K2M-...". For telephones; programs compare the whole hash.
std::string fingerprint(const Digest& hash);

}  // namespace hd::ledger
