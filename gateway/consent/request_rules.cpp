// The public rules that a request must keep, and the decision at intake. Nothing here knows what a
// hub recorded.
#include <fmt/format.h>

#include "gateway/consent/request.hpp"

namespace hd::consent {
namespace {

using MaybeBreach = std::optional<Breach>;

constexpr std::int64_t kSecond = 1'000'000;

Breach invalid(std::string field, std::string rule) {
    return {ErrorCode::invalid, std::move(field), std::move(rule)};
}

bool is_whole_seconds(WallTime t) { return t.us % kSecond == 0; }

// The error of a reader as a breach: which line it is stands in the rule.
Breach breach_of_error(const Error& error, std::string field) {
    return {error.code == ErrorCode::refused ? ErrorCode::refused : ErrorCode::invalid,
            std::move(field), error.what};
}

MaybeBreach breach_of_case(const IntakeContext& context, const Request& request,
                           const PrivateBody& body, Digest& private_tag) {
    if (case_commitment(body.case_salt, body.case_number) != request.case_commitment)
        return invalid("case", "must be the commitment to the private case number and its salt");
    private_tag = private_case_tag(context.hub_secret, context.who.card, body.case_number);
    if (context.book.count_for_case(context.who.card, request.case_commitment, private_tag) >=
        kMaxRequestsPerCase)
        return Breach{ErrorCode::exhausted, "case",
                      fmt::format("at most {} requests for one case", kMaxRequestsPerCase)};
    return {};
}

MaybeBreach breach_of_amends(const IntakeContext& context, const Request& request) {
    if (!request.amends) return {};
    const auto* earlier = context.book.find(*request.amends);
    if (earlier == nullptr || earlier->taken.card != context.who.card)
        return invalid("amends", "must be \"-\" or the SHA-256 of an earlier request of yours");
    return {};
}

}  // namespace

MaybeBreach breach_of_window(TimeSpan window, WallTime now, std::uint32_t minimum_age_s) {
    if (!is_whole_seconds(window.begin) || !is_whole_seconds(window.end))
        return invalid("window", "must begin and end on whole seconds");
    if (window.end <= window.begin) return invalid("window", "must end after it begins");
    const std::int64_t length = window.length().count();
    if (length < kMinWindowS * kSecond || length > kMaxWindowS * kSecond)
        return invalid("window", fmt::format("must be {} to {} seconds long, is {}", kMinWindowS,
                                             kMaxWindowS, length / kSecond));
    if (window.end > now - std::chrono::seconds(minimum_age_s))
        return invalid("window",
                       fmt::format("must have ended at least {} seconds ago", minimum_age_s));
    return {};
}

MaybeBreach breach_of_area(const Area& area) {
    const auto result = check_area(area);
    if (result) return {};
    constexpr std::string_view kPrefix = "area: ";
    std::string rule = result.error().what;
    if (rule.starts_with(kPrefix)) rule.erase(0, kPrefix.size());
    return invalid("area", std::move(rule));
}

MaybeBreach breach_of_posted(WallTime posted, WallTime now) {
    const Micros allowed = std::chrono::seconds(kMaxClockDifferenceS);
    if (posted > now + allowed || posted < now - allowed)
        return invalid("posted", fmt::format("must be within {} seconds of the hub's time, {}",
                                             kMaxClockDifferenceS, to_rfc3339(now)));
    return {};
}

MaybeBreach breach_of_expiry(WallTime posted, WallTime expires, WallTime now) {
    if (expires <= posted || expires > posted + std::chrono::seconds(kMaxLifetimeS))
        return invalid("expires", fmt::format("must be after `posted`, by at most {} days",
                                              kMaxLifetimeS / 86'400));
    if (expires <= now) return invalid("expires", "must be in the future");
    return {};
}

MaybeBreach breach_of_signer(const SignedRequest& request, const PolicyRequester& who) {
    if (const auto valid = ledger::verify_single(request.note, who.note); !valid)
        return Breach{ErrorCode::refused, "signature",
                      "must be by the note key of the card that this connection belongs to"};
    if (request.request.recipient != who.age)
        return Breach{ErrorCode::refused, "recipient", "must be the age key of your card"};
    return {};
}

MaybeBreach breach_of_private(const Request& request, std::string_view private_body) {
    if (sha256(as_bytes(private_body)) != request.private_sha256)
        return invalid("private-sha256", "must be the SHA-256 of the private body that came along");
    const auto body = parse_private_body(private_body);
    if (!body) return breach_of_error(body.error(), "private");
    return {};
}

MaybeBreach breach_of_quota(const ledger::RequestBook& book, const PolicyRequester& who,
                            TimeSpan window, WallTime now) {
    // The 24 hours before now, `now` included: {now - 24 h, now].
    const WallTime end{now.us + 1};
    const auto used = book.usage(who.card, {end - std::chrono::hours(24), end});
    if (used.requests + 1 > who.requests_per_day)
        return Breach{ErrorCode::exhausted, "quota",
                      fmt::format("at most {} requests in 24 hours", who.requests_per_day)};
    if (used.asked + window.length() > std::chrono::hours(who.hours_per_day))
        return Breach{ErrorCode::exhausted, "quota",
                      fmt::format("at most {} hours asked about in 24 hours", who.hours_per_day)};
    return {};
}

Intake judge_request(const IntakeContext& context, std::string_view note,
                     std::string_view private_body) {
    const auto refuse = [](Breach breach) {
        Intake out;
        out.breach = std::move(breach);
        return out;
    };
    // 1. Grammar.
    auto parsed = parse_request(note);
    if (!parsed) return refuse(breach_of_error(parsed.error(), "note"));
    const Request& r = parsed->request;
    // 2. Signer, before anything about earlier requests is told.
    if (auto b = breach_of_signer(*parsed, context.who)) return refuse(std::move(*b));
    // 3. The same note again: the same answer again, whatever has changed since. The signature was
    // just verified, so this also holds for a person whose card was renewed with the same keys.
    if (context.book.find(parsed->hash) != nullptr) {
        Intake out;
        out.kind = Intake::Kind::replay;
        out.request = std::move(*parsed);
        return out;
    }
    // 4. The note alone, and the clock.
    if (r.hub != context.policy.hub) return refuse(invalid("hub", "must be the id of this hub"));
    for (auto& b : {breach_of_posted(r.posted, context.now),
                    breach_of_expiry(r.posted, r.expires, context.now),
                    breach_of_window(r.window, context.now, context.policy.minimum_age_s),
                    breach_of_area(r.area), breach_of_private(r, private_body)})
        if (b) return refuse(*b);
    // 5. Earlier requests of the same card.
    if (context.book.nonce_used(context.who.card, r.nonce))
        return refuse(invalid("nonce", "must be new in every request"));
    if (auto b = breach_of_amends(context, r)) return refuse(std::move(*b));
    const auto body = parse_private_body(private_body);
    Digest tag{};
    if (auto b = breach_of_case(context, r, *body, tag)) return refuse(std::move(*b));
    if (auto b = breach_of_quota(context.book, context.who, r.window, context.now))
        return refuse(std::move(*b));

    Intake out;
    out.kind = Intake::Kind::take;
    out.entry = {.note = parsed->bytes,
                 .received = context.now,
                 .card = context.who.card,
                 .private_sha256 = r.private_sha256,
                 .case_public = r.case_commitment,
                 .case_private = tag,
                 .nonce = r.nonce,
                 .window = r.window,
                 .policy_number = context.policy.number};
    out.request = std::move(*parsed);
    return out;
}

}  // namespace hd::consent
