// One secret per person or agency: a stock AGE-SECRET-KEY-1... line. Everything else is derived
// from its 32 bytes with HKDF-SHA-256 and fixed labels, so there is one thing to keep.
#pragma once

#include <array>
#include <string>

#include "gateway/ledger/note.hpp"
#include "index/base/ids.hpp"

namespace hd::ledger {

enum class CardKind { owner, approver, requester, hub };
std::string_view to_string(CardKind kind);
Result<CardKind> parse_card_kind(std::string_view text);

using CurvePublic = std::array<std::uint8_t, 32>;

// Labels of the derivation. Changing one makes every card and policy void.
constexpr std::string_view kNoteLabel = "halfdoor/v1/note";
constexpr std::string_view kCurveLabel = "halfdoor/v1/curve";
constexpr std::string_view kCaseLabel = "halfdoor/v1/case";

SigningKey derive_note_key(const Secret<32>& age_secret);
// The X25519 secret for CURVE. ZeroMQ clamps it itself; to_z85(secret.view()) is what it wants.
Secret<32> derive_curve_secret(const Secret<32>& age_secret);
// Salt of the public case commitment: the same case number gives the same salt for one person, and
// nobody else can guess it. See gateway/consent/request.hpp.
Secret<32> derive_case_salt(const Secret<32>& age_secret, std::string_view case_number);

// "halfdoor/<kind>/<16 hex digits of SHA-256 of the key>": no name of a person in every signature.
std::string default_key_name(CardKind kind, const VerifyKey& key);
// The person's note signer under the default name.
NoteSigner person_signer(const Secret<32>& age_secret, CardKind kind);
// The hub's: its own Ed25519 seed (hub.key), name "halfdoor/hub/...".
NoteSigner hub_signer(const Secret<32>& seed);

// First 16 bytes of SHA-256 of the hub's public note key.
HubId hub_id(const VerifyKey& key);

}  // namespace hd::ledger
