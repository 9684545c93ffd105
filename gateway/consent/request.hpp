// A request: the requester's signed note that asks one hub about one window, and the public rules
// that it must keep. Rules depend on the note, the policy, the hub's clock and the requests before,
// never on what a hub recorded, so a breach may be told in full. docs/formats/request.md.
#pragma once

#include <optional>
#include <string>

#include "gateway/consent/area.hpp"
#include "gateway/consent/policy.hpp"
#include "gateway/ledger/request_log.hpp"

namespace hd::consent {

constexpr std::string_view kRequestFormat = "halfdoor-request/v1";
constexpr std::size_t kMaxRequestBytes = 16 * 1024;
constexpr std::size_t kMaxPrivateBytes = 64 * 1024;
constexpr std::int64_t kMinWindowS = 900;
constexpr std::int64_t kMaxWindowS = 43'200;
constexpr std::int64_t kMaxClockDifferenceS = 600;   // of `posted` and hub time, inclusive
constexpr std::int64_t kMaxLifetimeS = 30 * 86'400;  // of `expires` after `posted`, inclusive
constexpr std::size_t kMaxRequestsPerCase = 2;

// Enumerated on purpose: free-text reasons are gamed. There is no "other".
enum class Offence {
    arson,
    assault,
    burglary,
    fraud,
    hit_and_run,
    homicide,
    kidnapping,
    missing_person,
    robbery,
    sexual_offence,
    shooting,
    theft,
    trespass,
    vandalism,
    vehicle_theft,
};
std::string_view to_string(Offence offence);  // "hit-and-run"
Result<Offence> parse_offence(std::string_view text);
std::vector<Offence> all_offences();

struct Request {
    HubId hub;
    std::array<std::uint8_t, 16> nonce{};
    Digest case_commitment{};  // case_commitment(salt, number), see below
    Offence offence = Offence::burglary;
    TimeSpan window;  // whole seconds
    Area area;
    WallTime posted, expires;  // whole seconds
    seal::Recipient recipient{};
    std::optional<Digest> amends;  // hash of an earlier note by the same signer
    Digest private_sha256{};
    bool operator==(const Request&) const = default;
};

// What stays beside the ledger and can be deleted. `salt` keeps the hash from being guessed.
struct PrivateBody {
    std::array<std::uint8_t, 32> salt{};
    std::array<std::uint8_t, 32> case_salt{};
    std::string case_number;  // printable ASCII, 1..64
    std::string contact;      // printable ASCII, 1..200
    std::string text;         // printable ASCII, 0..2000
    bool operator==(const PrivateBody&) const = default;
};
std::string to_text(const PrivateBody& body);
Result<PrivateBody> parse_private_body(std::string_view text);

// SHA-256("halfdoor-case/v1\n" || salt || normal form of the number): public, the same for one card
// and case because the salt is derived (ledger::derive_case_salt), not guessable by others.
Digest case_commitment(const std::array<std::uint8_t, 32>& salt, std::string_view case_number);
// Letters (upper case) and digits only, so that "2026-11/42" and "2026 11 42" are one case.
std::string normal_case_number(std::string_view case_number);
// The hub's own tag of a card's case, which a dishonest salt cannot evade. `hub_secret` never
// leaves the hub; the tag stays in requests.log.
Digest private_case_tag(ByteView hub_secret, const Digest& card, std::string_view case_number);

std::string to_text(const Request& request);

struct SignedRequest {
    Request request;
    std::string bytes;
    Digest hash{};  // SHA-256 of `bytes`
    ledger::Note note;
};
// Grammar, canonical form, printable ASCII, exactly one signature line (not yet verified).
Result<SignedRequest> parse_request(std::string_view bytes);
SignedRequest sign_request(const Request& request, const ledger::NoteSigner& requester);

// What `halfdoor ask` says; the rest is derived or drawn.
struct Asking {
    HubId hub;
    Offence offence = Offence::burglary;
    TimeSpan window;
    Area area;
    WallTime now;  // `posted`, cut to whole seconds
    Micros lifetime = std::chrono::hours(24 * 7);
    std::optional<Digest> amends;
    std::string case_number, contact, text;
};
struct MadeRequest {
    SignedRequest request;
    std::string private_body;
};
// invalid: names the field. Checks everything that can be checked without the hub's policy.
Result<MadeRequest> make_request(const Asking& asking, const Secret<32>& age_secret);

// A public rule that a request breaks, for the error reply: {"code", "field", "rule"}.
struct Breach {
    ErrorCode code = ErrorCode::invalid;  // invalid, refused or exhausted
    std::string field;                    // a line of the note, or "private", "signature"
    std::string rule;                     // a sentence with the number
    Error error() const { return {code, field + ": " + rule}; }
};

// One function per rule; each gives the breach or nothing.
std::optional<Breach> breach_of_window(TimeSpan window, WallTime now, std::uint32_t minimum_age_s);
std::optional<Breach> breach_of_area(const Area& area);
std::optional<Breach> breach_of_posted(WallTime posted, WallTime now);
std::optional<Breach> breach_of_expiry(WallTime posted, WallTime expires, WallTime now);
std::optional<Breach> breach_of_signer(const SignedRequest& request, const PolicyRequester& who);
std::optional<Breach> breach_of_private(const Request& request, std::string_view private_body);
std::optional<Breach> breach_of_quota(const ledger::RequestBook& book, const PolicyRequester& who,
                                      TimeSpan window, WallTime now);

// What intake needs to judge a note. `who` is the requester of the CURVE session (by the User-Id);
// a stranger never gets here and is told nothing.
struct IntakeContext {
    const Policy& policy;
    const PolicyRequester& who;
    const ledger::RequestBook& book;
    WallTime now;
    ByteView hub_secret;  // for private_case_tag
};

struct Intake {
    enum class Kind {
        take,    // append `entry`, sync, then answer
        replay,  // taken before: send the stored answer again (`known` is its hash)
        breach,  // tell `breach`
    };
    Kind kind = Kind::breach;
    std::optional<SignedRequest> request;  // take, replay
    ledger::Taken entry;                   // take
    Breach breach;                         // breach
};
// Decides purely. The order of the rules is fixed and documented, so the same note gets the same
// error. A replay is recognised by hash, right after the signature, and is never judged again.
Intake judge_request(const IntakeContext& context, std::string_view note,
                     std::string_view private_body);

}  // namespace hd::consent
