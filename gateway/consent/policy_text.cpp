// The text of a policy: what is signed, and what people edit.
#include <fmt/format.h>

#include "gateway/consent/policy.hpp"
#include "index/base/encoding.hpp"

namespace hd::consent {
namespace {

using ledger::Field;
using ledger::FieldReader;

std::string digest_or_dash(const std::optional<Digest>& digest) {
    return digest ? to_hex(*digest) : "-";
}

std::string degrees(std::int32_t e2) {
    return fmt::format("{}{}.{:02}", e2 < 0 ? "-" : "", std::abs(e2) / 100, std::abs(e2) % 100);
}

std::string cell_text(const std::optional<Cell>& cell) {
    if (!cell) return "-";
    return degrees(cell->lat_e2) + " " + degrees(cell->lon_e2);
}

// "-12.34" with exactly two digits after the point.
Result<std::int32_t> parse_degrees(std::string_view text) {
    const Error error{ErrorCode::invalid,
                      "must be \"-\" or latitude and longitude with two decimals, like 40.71 "
                      "-74.01"};
    const bool minus = text.starts_with('-');
    if (minus) text.remove_prefix(1);
    if (text.size() < 4 || text[text.size() - 3] != '.') return error;
    const auto whole = ledger::parse_number(text.substr(0, text.size() - 3), 180);
    std::string_view part = text.substr(text.size() - 2);
    if (part.front() == '0') part.remove_prefix(1);
    const auto hundredths = ledger::parse_number(part, 99);
    if (!whole || !hundredths) return error;
    const auto value = static_cast<std::int32_t>(*whole * 100 + *hundredths);
    return minus ? -value : value;
}

Result<std::optional<Cell>> parse_cell(std::string_view text) {
    if (text == "-") return std::optional<Cell>{};
    const std::size_t space = text.find(' ');
    HD_ASSIGN(const auto lat, parse_degrees(text.substr(0, space)));
    HD_ASSIGN(const auto lon,
              parse_degrees(space == text.npos ? std::string_view() : text.substr(space + 1)));
    return std::optional(Cell{lat, lon});
}

Result<ledger::CurvePublic> parse_curve(std::string_view text) {
    const auto raw = from_z85(text);
    if (!raw || raw->size() != 32)
        return Error{ErrorCode::invalid, "must be a CURVE public key of 40 Z85 characters"};
    ledger::CurvePublic out{};
    std::copy(raw->begin(), raw->end(), out.begin());
    return out;
}

Result<Level> parse_level(std::string_view text) {
    for (const Level l : {Level::silent, Level::coverage, Level::clips})
        if (text == to_string(l)) return l;
    return Error{ErrorCode::invalid, "must be silent, coverage or clips"};
}

// Takes the line `key`, parses its value, and names the line if the parser refuses.
template <typename F>
auto read(FieldReader& in, std::string_view key, F&& parse) -> decltype(parse(key)) {
    HD_ASSIGN(const Field field, in.take(key));
    auto value = parse(field.value);
    if (!value) return in.bad(value.error().what);
    return value;
}

Result<std::uint64_t> parse_u64(std::string_view text) {
    return ledger::parse_number(text, 1'000'000'000'000'000'000);
}

// The four lines that approvers and requesters share.
template <typename T>
Result<void> read_keys(FieldReader& in, const std::string& prefix, T& person) {
    HD_ASSIGN(const Field name, in.take(prefix));
    person.name = name.value;
    HD_ASSIGN(person.card, read(in, prefix + "-card", ledger::parse_digest));
    HD_ASSIGN(person.age, read(in, prefix + "-age", seal::parse_recipient));
    HD_ASSIGN(person.note, read(in, prefix + "-note", ledger::parse_vkey));
    HD_ASSIGN(person.curve, read(in, prefix + "-curve", parse_curve));
    return {};
}

Result<PolicyRequester> read_requester(FieldReader& in) {
    PolicyRequester out;
    HD_TRY(read_keys(in, "requester", out));
    HD_ASSIGN(out.level, read(in, "requester-level", parse_level));
    HD_ASSIGN(const Field quota, in.take("requester-quota"));
    const auto numbers = ledger::split(quota.value, ' ');
    const Error bad = in.bad("must be requests a day and hours a day, like 10 48");
    if (numbers.size() != 2) return bad;
    const auto requests = ledger::parse_number(numbers[0], 1'000);
    const auto hours = ledger::parse_number(numbers[1], 10'000);
    if (!requests || !hours) return bad;
    out.requests_per_day = static_cast<std::uint32_t>(*requests);
    out.hours_per_day = static_cast<std::uint32_t>(*hours);
    return out;
}

Result<PolicyRecipient> read_recipient(FieldReader& in) {
    HD_ASSIGN(const Field field, in.take("recipient"));
    const std::size_t space = field.value.find(' ');
    if (space == field.value.npos) return in.bad("must be an age recipient and a label");
    const auto age = seal::parse_recipient(field.value.substr(0, space));
    if (!age) return in.bad(age.error().what);
    return PolicyRecipient{*age, std::string(field.value.substr(space + 1))};
}

Result<CameraId> parse_camera(std::string_view text) { return parse_id<CameraId>(text, "id"); }
Result<HubId> parse_hub(std::string_view text) { return parse_id<HubId>(text, "id"); }

template <typename T>
std::string keys_text(const std::string& prefix, const T& p) {
    return fmt::format("{0} {1}\n{0}-card {2}\n{0}-age {3}\n{0}-note {4}\n{0}-curve {5}\n", prefix,
                       p.name, to_hex(p.card), seal::to_string(p.age), ledger::to_vkey(p.note),
                       to_z85(p.curve));
}

// What stands before each part of a draft.
struct Hints {
    std::string_view head, recipients, approvers, cameras, requesters;
};
constexpr Hints kNoHints{};
constexpr Hints kDraftHints{
    "# Your policy. `halfdoor policy sign` makes the signed note of it, `policy apply` sends it.\n"
    "# Lines that begin with # are not part of it. Leave hub, number and previous as they are.\n"
    "# minimum-age: how many seconds ago a window must have ended before anybody may ask about\n"
    "# it. cell: latitude and longitude of your ~1 km square with two decimals, or \"-\": then\n"
    "# you lie outside every area, and requesters learn nothing before you approve.\n",
    "\n# Who can open everything that is recorded from now on: age key, then a label.\n",
    "\n# Who in the household may approve besides you (`halfdoor policy edit --add-approver "
    "CARD`).\n",
    "\n# Cameras that requesters may ask about. A camera that is not named here is never part of\n"
    "# an answer or a release.\n",
    "\n# Who may ask. requester-level: silent (learns nothing), coverage (learns in which "
    "quarters\n"
    "# of an hour a camera recorded) or clips (learns begin and end of each clip).\n"
    "# requester-quota: requests a day, hours of video a day that they may ask about.\n"};

std::string compose(const Policy& p, const Hints& hints) {
    std::string out = fmt::format("{}\n{}hub {}\nnumber {}\nprevious {}\nminimum-age {}\ncell {}\n",
                                  kPolicyFormat, hints.head, to_string(p.hub), p.number,
                                  digest_or_dash(p.previous), p.minimum_age_s, cell_text(p.cell));
    out += hints.recipients;
    for (const PolicyRecipient& r : p.recipients)
        out += fmt::format("recipient {} {}\n", seal::to_string(r.age), r.label);
    out += hints.approvers;
    for (const PolicyApprover& a : p.approvers) out += keys_text("approver", a);
    out += hints.cameras;
    for (const CameraId& c : p.cameras) out += fmt::format("camera {}\n", to_string(c));
    out += hints.requesters;
    for (const PolicyRequester& r : p.requesters)
        out += keys_text("requester", r) +
               fmt::format("requester-level {}\nrequester-quota {} {}\n", to_string(r.level),
                           r.requests_per_day, r.hours_per_day);
    return out;
}

}  // namespace

std::string to_text(const Policy& policy) { return compose(policy, kNoHints); }
std::string to_draft(const Policy& policy) { return compose(policy, kDraftHints); }

Result<Policy> parse_policy_text(std::string_view text, ledger::TextForm form) {
    HD_ASSIGN(FieldReader in, FieldReader::open(text, kPolicyFormat, form));
    Policy p;
    HD_ASSIGN(p.hub, read(in, "hub", parse_hub));
    HD_ASSIGN(p.number, read(in, "number", parse_u64));
    HD_ASSIGN(const Field previous, in.take("previous"));
    if (previous.value != "-") {
        const auto digest = ledger::parse_digest(previous.value);
        if (!digest) return in.bad(digest.error().what);
        p.previous = *digest;
    }
    HD_ASSIGN(const auto age, read(in, "minimum-age", [](std::string_view v) {
                  return ledger::parse_number(v, 1'000'000'000);
              }));
    p.minimum_age_s = static_cast<std::uint32_t>(age);
    HD_ASSIGN(p.cell, read(in, "cell", parse_cell));
    while (in.next_is("recipient")) {
        HD_ASSIGN(auto recipient, read_recipient(in));
        p.recipients.push_back(std::move(recipient));
    }
    while (in.next_is("approver")) {
        HD_TRY(read_keys(in, "approver", p.approvers.emplace_back()));
    }
    while (in.next_is("camera")) {
        HD_ASSIGN(const CameraId camera, read(in, "camera", parse_camera));
        p.cameras.push_back(camera);
    }
    while (in.next_is("requester")) {
        HD_ASSIGN(auto requester, read_requester(in));
        p.requesters.push_back(std::move(requester));
    }
    HD_TRY(in.finish());
    HD_TRY(check_policy(p));
    if (form == ledger::TextForm::signed_text)
        if (const auto exact = ledger::require_canonical(text, to_text(p)); !exact)
            return exact.error().in(kPolicyFormat);
    return p;
}

}  // namespace hd::consent
