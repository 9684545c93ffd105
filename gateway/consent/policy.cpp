#include "gateway/consent/policy.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

namespace hd::consent {
namespace {

constexpr std::uint32_t kMaxMinimumAgeS = 30 * 86'400;
// Of a requester that the owner has just added; `policy edit` changes them.
constexpr std::uint32_t kNewRequestsPerDay = 10;
constexpr std::uint32_t kNewHoursPerDay = 48;

Error bad_policy(std::string what) {
    return {ErrorCode::invalid, fmt::format("{}: {}", kPolicyFormat, what)};
}

template <typename T, typename F>
bool all_different(const std::vector<T>& items, F&& key) {
    std::set<std::decay_t<decltype(key(items.front()))>> seen;
    return std::all_of(items.begin(), items.end(),
                       [&](const T& item) { return seen.insert(key(item)).second; });
}

// The rules that approvers and requesters share.
template <typename T>
Result<void> check_people(const std::vector<T>& people, std::string_view what, std::size_t max) {
    if (people.size() > max) return bad_policy(fmt::format("{}: at most {}", what, max));
    for (const T& p : people) {
        if (!ledger::is_plain_text(p.name, 1, 64))
            return bad_policy(
                fmt::format("{}: the name must be 1 to 64 printable ASCII characters", what));
        if (!ledger::is_plain_text(p.note.name, 1, 128))
            return bad_policy(fmt::format("{}-note: the key name must be printable ASCII", what));
    }
    if (!all_different(people, [](const T& p) { return p.name; }) ||
        !all_different(people, [](const T& p) { return p.card; }) ||
        !all_different(people, [](const T& p) { return p.age; }) ||
        !all_different(people, [](const T& p) { return p.note.key; }) ||
        !all_different(people, [](const T& p) { return p.curve; }))
        return bad_policy(fmt::format("{}: no name, card or key may occur twice", what));
    return {};
}

}  // namespace

std::string_view to_string(Level level) {
    switch (level) {
        case Level::silent:
            return "silent";
        case Level::coverage:
            return "coverage";
        case Level::clips:
            return "clips";
    }
    return "unknown";
}

std::string_view reveals(Level level) {
    switch (level) {
        case Level::silent:
            return "learns nothing: every answer is empty until you approve";
        case Level::coverage:
            return "learns in which quarters of an hour at least one camera recorded";
        case Level::clips:
            return "learns begin and end of every clip in the window, and so about how many "
                   "cameras recorded at a time";
    }
    return "";
}

Result<Cell> cell_of(double latitude, double longitude) {
    if (!(std::fabs(latitude) <= 85.0))
        return bad_policy("cell: latitude must be within 85 degrees");
    if (!(longitude >= -180.0 && longitude < 180.0))
        return bad_policy("cell: longitude must be from -180 to below 180");
    Cell cell{static_cast<std::int32_t>(std::lround(latitude * 100)),
              static_cast<std::int32_t>(std::lround(longitude * 100))};
    if (cell.lon_e2 == 18000) cell.lon_e2 = -18000;
    return cell;
}

const PolicyRequester* Policy::requester_by_curve(const ledger::CurvePublic& key) const {
    for (const PolicyRequester& r : requesters)
        if (r.curve == key) return &r;
    return nullptr;
}

const PolicyRequester* Policy::requester_by_card(const Digest& card) const {
    for (const PolicyRequester& r : requesters)
        if (r.card == card) return &r;
    return nullptr;
}

std::vector<seal::Recipient> Policy::recipient_keys() const {
    std::vector<seal::Recipient> out;
    for (const PolicyRecipient& r : recipients) out.push_back(r.age);
    return out;
}

Result<void> check_policy(const Policy& p) {
    if (p.hub.is_zero()) return bad_policy("hub: must not be all zero");
    if (p.number == 0) return bad_policy("number: counts from 1");
    if ((p.number == 1) == p.previous.has_value())
        return bad_policy(
            "previous: \"-\" for number 1, the hash of the policy before for all others");
    if (p.minimum_age_s > kMaxMinimumAgeS)
        return bad_policy(fmt::format("minimum-age: at most {} seconds", kMaxMinimumAgeS));
    if (p.cell &&
        (std::abs(p.cell->lat_e2) > 8500 || p.cell->lon_e2 < -18000 || p.cell->lon_e2 >= 18000))
        return bad_policy("cell: latitude within 85, longitude from -180 to below 180 degrees");
    if (p.recipients.empty() || p.recipients.size() > kMaxRecipients)
        return bad_policy(fmt::format("recipient: 1 to {} of them", kMaxRecipients));
    for (const PolicyRecipient& r : p.recipients)
        if (!ledger::is_plain_text(r.label, 1, 64))
            return bad_policy("recipient: the label must be 1 to 64 printable ASCII characters");
    if (!all_different(p.recipients, [](const PolicyRecipient& r) { return r.age; }))
        return bad_policy("recipient: no key may occur twice");
    if (p.cameras.size() > kMaxCameras)
        return bad_policy(fmt::format("camera: at most {}", kMaxCameras));
    if (!all_different(p.cameras, [](const CameraId& c) { return c; }))
        return bad_policy("camera: none may occur twice");
    HD_TRY(check_people(p.approvers, "approver", kMaxApprovers));
    HD_TRY(check_people(p.requesters, "requester", kMaxRequesters));
    for (const PolicyRequester& r : p.requesters)
        if (r.requests_per_day < 1 || r.requests_per_day > 1000 || r.hours_per_day < 1 ||
            r.hours_per_day > 10'000)
            return bad_policy("requester-quota: 1 to 1000 requests and 1 to 10000 hours a day");
    return {};
}

Result<PolicyRequester> requester_from_card(const ledger::SignedCard& card, std::string name,
                                            Level level) {
    if (card.card.kind != ledger::CardKind::requester)
        return bad_policy("requester: the card is not one of a requester");
    HD_ASSIGN(const auto age, seal::parse_recipient(card.card.age_recipient));
    return PolicyRequester{.name = std::move(name),
                           .card = card.hash,
                           .age = age,
                           .note = card.card.note,
                           .curve = *card.card.curve_for(ledger::CurveUse::self),
                           .level = level,
                           .requests_per_day = kNewRequestsPerDay,
                           .hours_per_day = kNewHoursPerDay};
}

Result<PolicyApprover> approver_from_card(const ledger::SignedCard& card, std::string name) {
    if (card.card.kind != ledger::CardKind::approver)
        return bad_policy("approver: the card is not one of an approver");
    HD_ASSIGN(const auto age, seal::parse_recipient(card.card.age_recipient));
    return PolicyApprover{.name = std::move(name),
                          .card = card.hash,
                          .age = age,
                          .note = card.card.note,
                          .curve = *card.card.curve_for(ledger::CurveUse::self)};
}

Result<Policy> first_policy(const HubId& hub, const ledger::SignedCard& owner) {
    if (owner.card.kind != ledger::CardKind::owner)
        return bad_policy("recipient: the card is not one of an owner");
    HD_ASSIGN(const auto age, seal::parse_recipient(owner.card.age_recipient));
    return Policy{.hub = hub, .recipients = {{age, "owner"}}};
}

Policy next_policy(const Policy& policy, const Digest& hash) {
    Policy next = policy;
    ++next.number;
    next.previous = hash;
    return next;
}

Result<SignedPolicy> sign_policy(const Policy& policy, const ledger::NoteSigner& owner) {
    HD_TRY(check_policy(policy));
    SignedPolicy out{policy, ledger::sign_note(to_text(policy), owner)};
    if (out.bytes.size() > kMaxPolicyBytes)
        return bad_policy(fmt::format("larger than {} bytes", kMaxPolicyBytes));
    out.hash = sha256(as_bytes(out.bytes));
    return out;
}

Result<SignedPolicy> parse_policy(std::string_view bytes, const ledger::NoteKey& owner) {
    if (bytes.size() > kMaxPolicyBytes)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: larger than {} bytes", kPolicyFormat, kMaxPolicyBytes)};
    HD_ASSIGN(const ledger::Note note, ledger::parse_note(bytes));
    if (const auto valid = ledger::verify_single(note, owner); !valid)
        return valid.error().in(kPolicyFormat);
    HD_ASSIGN(auto policy, parse_policy_text(note.text, ledger::TextForm::signed_text));
    return SignedPolicy{std::move(policy), std::string(bytes), sha256(as_bytes(bytes))};
}

Result<void> accept_policy(const SignedPolicy* present, const SignedPolicy& next,
                           const HubId& hub) {
    const auto refuse = [](std::string rule) {
        return Error{ErrorCode::refused, fmt::format("{}: {}", kPolicyFormat, rule)};
    };
    if (next.policy.hub != hub) return refuse("hub: this policy is for another hub");
    if (present == nullptr) {
        if (next.policy.number != 1)
            return refuse("number: a hub without a policy takes number 1 only");
        return {};
    }
    if (next.hash == present->hash) return {};
    if (next.policy.number != present->policy.number + 1)
        return refuse(fmt::format("number: {} rules now, the next one must be {}, this is {}",
                                  present->policy.number, present->policy.number + 1,
                                  next.policy.number));
    if (next.policy.previous != present->hash)
        return refuse("previous: must be the hash of the policy that rules now");
    return {};
}

}  // namespace hd::consent
