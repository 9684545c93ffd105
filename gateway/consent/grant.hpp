// A grant: the owner's (or an approver's) signed note that lets named pieces out to the recipient
// of one request. docs/formats/grant.md.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "gateway/consent/request.hpp"
#include "gateway/consent/selection.hpp"

namespace hd::consent {

constexpr std::string_view kGrantFormat = "halfdoor-grant/v1";
constexpr std::size_t kMaxGrantBytes = 512 * 1024;
// Twelve hours of eight cameras are 5,760 clips of a minute.
constexpr std::size_t kMaxRanges = 8'192;
constexpr std::uint64_t kMaxHeadersBytes = 64ull << 20;  // of the new headers file

struct Grant {
    HubId hub;
    Digest request{};  // SHA-256 of the request note
    seal::Recipient recipient{};
    WallTime not_after;              // whole seconds; the release is erased then
    std::vector<PieceRange> ranges;  // each clip once; the clips of a camera stand together
    std::uint64_t headers = 0;       // how many new headers
    Digest headers_sha256{};         // of the new headers file: all headers in order, concatenated
    bool operator==(const Grant&) const = default;
};

std::string to_text(const Grant& grant);
struct SignedGrant {
    Grant grant;
    std::string bytes;
    Digest hash{};
    ledger::Note note;
};
SignedGrant sign_grant(const Grant& grant, const ledger::NoteSigner& signer);
// Grammar and canonical form, one signature line (not yet verified).
Result<SignedGrant> parse_grant(std::string_view bytes);
// Signed by the owner or an approver of the policy. Gives who ("owner" or the approver's name).
Result<std::string> check_grant_signer(const SignedGrant& grant, const ledger::NoteKey& owner,
                                       const Policy& policy);

// The new headers file: age headers one after the other, in the order of the ranges, for each clip
// the init piece's first. corrupt: grammar, or not `count` of them, or another hash.
Result<std::vector<ByteView>> split_headers(ByteView file, const Grant& grant);

// The hub's re-check before it stores a grant. The daemon calls check_range (selection.hpp) for
// each range with identities from its own clip files, then counts the pieces.
struct GrantContext {
    const Policy& policy;
    const ledger::NoteKey& owner;
    const ledger::RequestBook& book;
    WallTime now;
};
// invalid or refused, naming the rule: signer, unknown request, hub, recipient equality, cameras of
// the policy, requester no longer in it, request expired, not-after in the past or beyond 30 days,
// same grant twice. Gives the request, whose window check_range needs.
Result<Request> check_grant(const GrantContext& context, const SignedGrant& grant);

// What the hub can check of a new header without any key: exactly one X25519 stanza, and the other
// stanzas are those of the original. Whether it opens is for the recipient to find out.
Result<void> check_new_header(ByteView new_header, ByteView original_header);

}  // namespace hd::consent
