#include "gateway/consent/request.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "index/base/encoding.hpp"

namespace hd::consent {
namespace {

using ledger::Field;
using ledger::FieldReader;
using ledger::TextForm;

constexpr std::string_view kPrivateFormat = "halfdoor-private/v1";

constexpr std::array<std::pair<Offence, std::string_view>, 15> kOffences{{
    {Offence::arson, "arson"},
    {Offence::assault, "assault"},
    {Offence::burglary, "burglary"},
    {Offence::fraud, "fraud"},
    {Offence::hit_and_run, "hit-and-run"},
    {Offence::homicide, "homicide"},
    {Offence::kidnapping, "kidnapping"},
    {Offence::missing_person, "missing-person"},
    {Offence::robbery, "robbery"},
    {Offence::sexual_offence, "sexual-offence"},
    {Offence::shooting, "shooting"},
    {Offence::theft, "theft"},
    {Offence::trespass, "trespass"},
    {Offence::vandalism, "vandalism"},
    {Offence::vehicle_theft, "vehicle-theft"},
}};

// Takes the line `key`, parses its value, and names the line if the parser refuses.
template <typename F>
auto read(FieldReader& in, std::string_view key, F&& parse) -> decltype(parse(key)) {
    HD_ASSIGN(const Field field, in.take(key));
    auto value = parse(field.value);
    if (!value) return in.bad(value.error().what);
    return value;
}

Result<TimeSpan> parse_window(std::string_view text) {
    const auto parts = ledger::split(text, ' ');
    if (parts.size() != 2) return Error{ErrorCode::invalid, "must be two times"};
    HD_ASSIGN(const WallTime begin, ledger::parse_seconds_text(parts[0]));
    HD_ASSIGN(const WallTime end, ledger::parse_seconds_text(parts[1]));
    return TimeSpan{begin, end};
}

Result<std::array<std::uint8_t, 16>> parse_nonce(std::string_view text) {
    return parse_hex_id(text, "nonce");
}
Result<HubId> parse_hub(std::string_view text) { return parse_id<HubId>(text, "hub"); }

Result<std::optional<Digest>> parse_amends(std::string_view text) {
    if (text == "-") return std::optional<Digest>{};
    HD_ASSIGN(const Digest digest, ledger::parse_digest(text));
    return std::optional(digest);
}

WallTime whole_seconds(WallTime t) { return {t.us - t.us % 1'000'000}; }

Result<Request> parse_request_text(std::string_view text) {
    HD_ASSIGN(FieldReader in, FieldReader::open(text, kRequestFormat, TextForm::signed_text));
    Request r;
    HD_ASSIGN(r.hub, read(in, "hub", parse_hub));
    HD_ASSIGN(r.nonce, read(in, "nonce", parse_nonce));
    HD_ASSIGN(r.case_commitment, read(in, "case", ledger::parse_digest));
    HD_ASSIGN(r.offence, read(in, "offence", parse_offence));
    HD_ASSIGN(r.window, read(in, "window", parse_window));
    HD_ASSIGN(r.area, read(in, "area", parse_area));
    HD_ASSIGN(r.posted, read(in, "posted", ledger::parse_seconds_text));
    HD_ASSIGN(r.expires, read(in, "expires", ledger::parse_seconds_text));
    HD_ASSIGN(r.recipient, read(in, "recipient", seal::parse_recipient));
    HD_ASSIGN(r.amends, read(in, "amends", parse_amends));
    HD_ASSIGN(r.private_sha256, read(in, "private-sha256", ledger::parse_digest));
    HD_TRY(in.finish());
    if (const auto exact = ledger::require_canonical(text, to_text(r)); !exact)
        return exact.error().in(kRequestFormat);
    return r;
}

Result<void> check_private(const PrivateBody& body) {
    const auto bad = [](std::string_view rule) {
        return Error{ErrorCode::invalid, fmt::format("{}: {}", kPrivateFormat, rule)};
    };
    if (!ledger::is_plain_text(body.case_number, 1, 64) ||
        normal_case_number(body.case_number).empty())
        return bad("case: 1 to 64 printable ASCII characters with a letter or digit");
    if (!ledger::is_plain_text(body.contact, 1, 200))
        return bad("contact: 1 to 200 printable ASCII characters");
    if (!ledger::is_plain_text(body.text, 0, 2000))
        return bad("text: at most 2000 printable ASCII characters");
    return {};
}

}  // namespace

std::string_view to_string(Offence offence) {
    for (const auto& [value, name] : kOffences)
        if (value == offence) return name;
    return "unknown";
}

Result<Offence> parse_offence(std::string_view text) {
    std::string list;
    for (const auto& [value, name] : kOffences) {
        if (name == text) return value;
        list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
    }
    return Error{ErrorCode::invalid, "must be one of " + list};
}

std::vector<Offence> all_offences() {
    std::vector<Offence> out;
    for (const auto& [value, name] : kOffences) out.push_back(value);
    return out;
}

std::string normal_case_number(std::string_view case_number) {
    std::string out;
    for (const char c : case_number) {
        if (c >= 'a' && c <= 'z') out.push_back(static_cast<char>(c - 'a' + 'A'));
        if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) out.push_back(c);
    }
    return out;
}

Digest case_commitment(const std::array<std::uint8_t, 32>& salt, std::string_view case_number) {
    Sha256 hash;
    hash.update(as_bytes("halfdoor-case/v1\n"));
    hash.update(salt);
    hash.update(as_bytes(normal_case_number(case_number)));
    return hash.finish();
}

Digest private_case_tag(ByteView hub_secret, const Digest& card, std::string_view case_number) {
    ByteWriter message;
    message.raw("halfdoor-case-tag/v1\n");
    message.raw(card);
    message.raw(normal_case_number(case_number));
    return hmac_sha256(hub_secret, message.view());
}

std::string to_text(const PrivateBody& body) {
    return fmt::format("{}\nsalt {}\ncase-salt {}\ncase {}\ncontact {}\ntext {}\n", kPrivateFormat,
                       to_hex(body.salt), to_hex(body.case_salt), body.case_number, body.contact,
                       body.text.empty() ? "-" : body.text);
}

Result<PrivateBody> parse_private_body(std::string_view text) {
    if (text.size() > kMaxPrivateBytes)
        return Error{ErrorCode::corrupt, fmt::format("{}: too large", kPrivateFormat)};
    HD_ASSIGN(FieldReader in, FieldReader::open(text, kPrivateFormat, TextForm::signed_text));
    PrivateBody body;
    HD_ASSIGN(body.salt, read(in, "salt", ledger::parse_digest));
    HD_ASSIGN(body.case_salt, read(in, "case-salt", ledger::parse_digest));
    HD_ASSIGN(Field field, in.take("case"));
    body.case_number = field.value;
    HD_ASSIGN(field, in.take("contact"));
    body.contact = field.value;
    HD_ASSIGN(field, in.take("text"));
    if (field.value != "-") body.text = field.value;
    HD_TRY(in.finish());
    HD_TRY(check_private(body));
    if (const auto exact = ledger::require_canonical(text, to_text(body)); !exact)
        return exact.error().in(kPrivateFormat);
    return body;
}

std::string to_text(const Request& r) {
    return fmt::format(
        "{}\nhub {}\nnonce {}\ncase {}\noffence {}\nwindow {} {}\narea {}\nposted {}\nexpires {}\n"
        "recipient {}\namends {}\nprivate-sha256 {}\n",
        kRequestFormat, to_string(r.hub), hex_id(r.nonce), to_hex(r.case_commitment),
        to_string(r.offence), ledger::to_seconds_text(r.window.begin),
        ledger::to_seconds_text(r.window.end), to_text(r.area), ledger::to_seconds_text(r.posted),
        ledger::to_seconds_text(r.expires), seal::to_string(r.recipient),
        r.amends ? to_hex(*r.amends) : "-", to_hex(r.private_sha256));
}

Result<SignedRequest> parse_request(std::string_view bytes) {
    if (bytes.size() > kMaxRequestBytes)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: larger than {} bytes", kRequestFormat, kMaxRequestBytes)};
    HD_ASSIGN(ledger::Note note, ledger::parse_note(bytes));
    if (note.signatures.size() != 1)
        return Error{ErrorCode::invalid,
                     fmt::format("{}: must have exactly one signature", kRequestFormat)};
    HD_ASSIGN(auto request, parse_request_text(note.text));
    return SignedRequest{std::move(request), std::string(bytes), sha256(as_bytes(bytes)),
                         std::move(note)};
}

SignedRequest sign_request(const Request& request, const ledger::NoteSigner& requester) {
    ledger::Note note{to_text(request), {}};
    note.signatures.push_back(requester.sign(note.text));
    std::string bytes = to_string(note);
    const Digest hash = sha256(as_bytes(bytes));
    return {request, std::move(bytes), hash, std::move(note)};
}

Result<MadeRequest> make_request(const Asking& asking, const Secret<32>& age_secret) {
    PrivateBody body{
        .case_number = asking.case_number, .contact = asking.contact, .text = asking.text};
    HD_TRY(check_private(body));
    random_bytes(body.salt);
    const Secret<32> salt =
        ledger::derive_case_salt(age_secret, normal_case_number(asking.case_number));
    std::copy_n(salt.data(), salt.size(), body.case_salt.begin());
    const std::string private_body = to_text(body);

    Request r{.hub = asking.hub,
              .nonce = random_id_bytes(),
              .case_commitment = case_commitment(body.case_salt, asking.case_number),
              .offence = asking.offence,
              .window = asking.window,
              .area = asking.area,
              .posted = whole_seconds(asking.now),
              .expires = whole_seconds(asking.now + asking.lifetime),
              .recipient = x25519_public(age_secret),
              .amends = asking.amends,
              .private_sha256 = sha256(as_bytes(private_body))};
    // The hub's policy may ask for an older window; only the hub knows.
    for (const auto& breach : {breach_of_window(r.window, r.posted, 0), breach_of_area(r.area),
                               breach_of_expiry(r.posted, r.expires, r.posted)})
        if (breach) return breach->error();
    const auto signer = ledger::person_signer(age_secret, ledger::CardKind::requester);
    return MadeRequest{sign_request(r, signer), private_body};
}

}  // namespace hd::consent
