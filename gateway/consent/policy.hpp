// The policy: the owner's signed, numbered note that says who may open video, who may ask, what
// they learn, and about which cameras. Everything that matters for consent is in this one file.
// The document is docs/formats/policy.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/ledger/card.hpp"
#include "gateway/ledger/fields.hpp"
#include "index/base/ids.hpp"
#include "index/seal/key_file.hpp"

namespace hd::consent {

constexpr std::string_view kPolicyFormat = "halfdoor-policy/v1";
constexpr std::size_t kMaxPolicyBytes = 128 * 1024;
constexpr std::size_t kMaxRecipients = 8;
constexpr std::size_t kMaxApprovers = 16;
constexpr std::size_t kMaxCameras = 64;
constexpr std::size_t kMaxRequesters = 64;

// What a requester learns from an answer. There is no default: an owner says it.
enum class Level { silent, coverage, clips };
std::string_view to_string(Level level);
// One sentence for the owner: what a requester of this level learns.
std::string_view reveals(Level level);

// Somebody who can open every piece that is recorded under this policy.
struct PolicyRecipient {
    seal::Recipient age{};
    std::string label;
    bool operator==(const PolicyRecipient&) const = default;
};

// Somebody of the household who may sign grants besides the owner.
struct PolicyApprover {
    std::string name;  // the owner's own name for them
    Digest card{};
    seal::Recipient age{};
    ledger::NoteKey note;
    ledger::CurvePublic curve{};
    bool operator==(const PolicyApprover&) const = default;
};

struct PolicyRequester {
    std::string name;  // the owner's own name for them
    Digest card{};
    seal::Recipient age{};
    ledger::NoteKey note;
    ledger::CurvePublic curve{};
    Level level = Level::silent;
    std::uint32_t requests_per_day = 0;  // 1..1000
    std::uint32_t hours_per_day = 0;     // 1..10000, summed over the windows asked for
    bool operator==(const PolicyRequester&) const = default;
};

// The ~1 km square that the hub says it is in: the centre, in hundredths of a degree.
struct Cell {
    std::int32_t lat_e2 = 0;  // -8500..8500
    std::int32_t lon_e2 = 0;  // -18000..17999
    bool operator==(const Cell&) const = default;
};
// Rounds to the nearest hundredth. invalid: out of range.
Result<Cell> cell_of(double latitude, double longitude);

struct Policy {
    HubId hub;
    std::uint64_t number = 1;
    std::optional<Digest> previous;           // SHA-256 of the note before; none for number 1
    std::vector<PolicyRecipient> recipients;  // at least one, no key twice
    std::vector<PolicyApprover> approvers;
    std::vector<CameraId> cameras;  // that may be asked about; possibly none
    std::vector<PolicyRequester> requesters;
    std::uint32_t minimum_age_s = 3600;  // a window must have ended so long ago; 0..2,592,000
    // None: this hub lies outside every area, so no requester learns anything (fails closed).
    std::optional<Cell> cell;
    bool operator==(const Policy&) const = default;

    const PolicyRequester* requester_by_curve(const ledger::CurvePublic& key) const;
    const PolicyRequester* requester_by_card(const Digest& card) const;
    std::vector<seal::Recipient> recipient_keys() const;
};

// The same text is the human-editable draft and, once signed, the note's text.
std::string to_text(const Policy& policy);
// With short comments that explain each line; what `policy edit` opens.
std::string to_draft(const Policy& policy);
// invalid: "policy: line 7: requester-level: must be silent, coverage or clips".
Result<Policy> parse_policy_text(std::string_view text, ledger::TextForm form);
// Rules over the whole (limits, no key twice ...). Both parsers call it.
Result<void> check_policy(const Policy& policy);

// A new requester or approver from a verified card; invalid if the card is of another kind.
Result<PolicyRequester> requester_from_card(const ledger::SignedCard& card, std::string name,
                                            Level level);
Result<PolicyApprover> approver_from_card(const ledger::SignedCard& card, std::string name);
// Number 1: the owner (label "owner") as the only recipient, no requesters.
Result<Policy> first_policy(const HubId& hub, const ledger::SignedCard& owner);
// The draft that follows: number + 1, previous = the hash, everything else the same.
Policy next_policy(const Policy& policy, const Digest& hash);

struct SignedPolicy {
    Policy policy;
    std::string bytes;
    Digest hash{};  // SHA-256 of `bytes`
};
// invalid if check_policy refuses it.
Result<SignedPolicy> sign_policy(const Policy& policy, const ledger::NoteSigner& owner);
// Exactly one signature, by this key. corrupt, invalid or refused.
Result<SignedPolicy> parse_policy(std::string_view bytes, const ledger::NoteKey& owner);

// May `next` become the ruling policy? First: number 1, no previous, right hub. Later: number + 1
// and the hash of the present one. Applying the present one again is accepted (nothing changes).
// The signature was checked by parse_policy. refused: names the rule.
Result<void> accept_policy(const SignedPolicy* present, const SignedPolicy& next, const HubId& hub);

// What changed, in sentences for people: "requester \"County police\": level silent -> clips
// (...)". Empty if nothing did.
std::vector<std::string> describe_changes(const Policy* before, const Policy& after);

}  // namespace hd::consent
