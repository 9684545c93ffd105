#include "gateway/ledger/person_keys.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/encoding.hpp"

namespace hd::ledger {
namespace {

Secret<32> derive(const Secret<32>& age_secret, std::string_view label) {
    Secret<32> out;
    hkdf_sha256(age_secret.view(), {}, as_bytes(label), out.mut());
    return out;
}

}  // namespace

std::string_view to_string(CardKind kind) {
    switch (kind) {
        case CardKind::owner:
            return "owner";
        case CardKind::approver:
            return "approver";
        case CardKind::requester:
            return "requester";
        case CardKind::hub:
            return "hub";
    }
    return "unknown";
}

Result<CardKind> parse_card_kind(std::string_view text) {
    for (const CardKind k :
         {CardKind::owner, CardKind::approver, CardKind::requester, CardKind::hub})
        if (text == to_string(k)) return k;
    return Error{ErrorCode::invalid, "must be owner, approver, requester or hub"};
}

SigningKey derive_note_key(const Secret<32>& age_secret) {
    return SigningKey::from_seed(derive(age_secret, kNoteLabel));
}

Secret<32> derive_curve_secret(const Secret<32>& age_secret) {
    return derive(age_secret, kCurveLabel);
}

Secret<32> derive_case_salt(const Secret<32>& age_secret, std::string_view case_number) {
    return derive(age_secret, fmt::format("{}\n{}", kCaseLabel, case_number));
}

std::string default_key_name(CardKind kind, const VerifyKey& key) {
    const Digest hash = sha256(key);
    return fmt::format("halfdoor/{}/{}", to_string(kind), to_hex(ByteView(hash).first(8)));
}

NoteSigner person_signer(const Secret<32>& age_secret, CardKind kind) {
    SigningKey key = derive_note_key(age_secret);
    std::string name = default_key_name(kind, key.verify_key());
    return {std::move(name), std::move(key)};
}

NoteSigner hub_signer(const Secret<32>& seed) {
    SigningKey key = SigningKey::from_seed(seed);
    std::string name = default_key_name(CardKind::hub, key.verify_key());
    return {std::move(name), std::move(key)};
}

HubId hub_id(const VerifyKey& key) {
    const Digest hash = sha256(key);
    HubId id;
    std::copy_n(hash.begin(), id.bytes.size(), id.bytes.begin());
    return id;
}

}  // namespace hd::ledger
