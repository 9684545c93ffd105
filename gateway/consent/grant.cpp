#include "gateway/consent/grant.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "index/seal/age_header.hpp"

namespace hd::consent {
namespace {

using ledger::Field;
using ledger::FieldReader;

constexpr std::string_view kX25519 = "X25519";
constexpr std::uint64_t kMaxHeaders = 1'000'000;

Error refuse_grant(std::string rule) {
    return {ErrorCode::refused, fmt::format("{}: {}", kGrantFormat, rule)};
}

Result<PieceRange> parse_range(std::string_view text, const CameraId& camera) {
    const auto parts = ledger::split(text, ' ');
    if (parts.size() != 3)
        return Error{ErrorCode::invalid, "must be clip, first and last sequence number"};
    HD_ASSIGN(const auto clip, parse_id<ClipId>(parts[0], "clip"));
    HD_ASSIGN(const auto first, ledger::parse_number(parts[1], clip::kMaxPieces));
    HD_ASSIGN(const auto last, ledger::parse_number(parts[2], clip::kMaxPieces));
    if (first < 1 || last < first)
        return Error{ErrorCode::invalid, "must be 1 <= first <= last; the init piece is implied"};
    return PieceRange{camera, clip, static_cast<std::uint32_t>(first),
                      static_cast<std::uint32_t>(last)};
}

// `camera` lines, each with its `range` lines.
Result<std::vector<PieceRange>> read_ranges(FieldReader& in) {
    std::vector<PieceRange> out;
    std::set<CameraId> cameras;
    std::set<ClipId> clips;
    while (in.next_is("camera")) {
        HD_ASSIGN(const Field field, in.take("camera"));
        const auto camera = parse_id<CameraId>(field.value, "id");
        if (!camera) return in.bad(camera.error().what);
        if (!cameras.insert(*camera).second) return in.bad("each camera once");
        if (!in.next_is("range")) return in.bad("a `range` line must follow");
        while (in.next_is("range")) {
            HD_ASSIGN(const Field line, in.take("range"));
            const auto range = parse_range(line.value, *camera);
            if (!range) return in.bad(range.error().what);
            if (!clips.insert(range->clip).second) return in.bad("each clip once");
            if (out.size() == kMaxRanges) return in.bad(fmt::format("at most {}", kMaxRanges));
            out.push_back(*range);
        }
    }
    return out;
}

Result<void> read_headers(FieldReader& in, Grant& grant) {
    HD_ASSIGN(const Field field, in.take("headers"));
    const std::size_t space = field.value.find(' ');
    const auto count = ledger::parse_number(field.value.substr(0, space), kMaxHeaders);
    if (!count || space == field.value.npos)
        return in.bad("must be how many, and the SHA-256 of them all");
    const auto digest = ledger::parse_digest(field.value.substr(space + 1));
    if (!digest) return in.bad(digest.error().what);
    grant.headers = *count;
    grant.headers_sha256 = *digest;
    return {};
}

Result<Grant> parse_grant_text(std::string_view text) {
    HD_ASSIGN(FieldReader in, FieldReader::open(text, kGrantFormat, ledger::TextForm::signed_text));
    Grant out;
    HD_ASSIGN(Field field, in.take("hub"));
    const auto hub = parse_id<HubId>(field.value, "id");
    if (!hub) return in.bad(hub.error().what);
    out.hub = *hub;
    HD_ASSIGN(field, in.take("request"));
    const auto request = ledger::parse_digest(field.value);
    if (!request) return in.bad(request.error().what);
    out.request = *request;
    HD_ASSIGN(field, in.take("recipient"));
    const auto recipient = seal::parse_recipient(field.value);
    if (!recipient) return in.bad(recipient.error().what);
    out.recipient = *recipient;
    HD_ASSIGN(field, in.take("not-after"));
    const auto not_after = ledger::parse_seconds_text(field.value);
    if (!not_after) return in.bad(not_after.error().what);
    out.not_after = *not_after;
    HD_ASSIGN(out.ranges, read_ranges(in));
    if (out.ranges.empty())
        return Error{ErrorCode::invalid, fmt::format("{}: grants nothing", kGrantFormat)};
    HD_TRY(read_headers(in, out));
    HD_TRY(in.finish());
    if (const auto exact = ledger::require_canonical(text, to_text(out)); !exact)
        return exact.error().in(kGrantFormat);
    return out;
}

std::vector<seal::Stanza> other_stanzas(const seal::AgeHeader& header) {
    std::vector<seal::Stanza> out;
    for (const seal::Stanza& s : header.stanzas)
        if (s.type != kX25519) out.push_back(s);
    return out;
}

}  // namespace

std::string to_text(const Grant& g) {
    std::string out = fmt::format(
        "{}\nhub {}\nrequest {}\nrecipient {}\nnot-after {}\n", kGrantFormat, to_string(g.hub),
        to_hex(g.request), seal::to_string(g.recipient), ledger::to_seconds_text(g.not_after));
    for (std::size_t i = 0; i < g.ranges.size(); ++i) {
        const PieceRange& r = g.ranges[i];
        if (i == 0 || g.ranges[i - 1].camera != r.camera)
            out += fmt::format("camera {}\n", to_string(r.camera));
        out += fmt::format("range {} {} {}\n", to_string(r.clip), r.first, r.last);
    }
    return out + fmt::format("headers {} {}\n", g.headers, to_hex(g.headers_sha256));
}

SignedGrant sign_grant(const Grant& grant, const ledger::NoteSigner& signer) {
    ledger::Note note{to_text(grant), {}};
    note.signatures.push_back(signer.sign(note.text));
    std::string bytes = to_string(note);
    const Digest hash = sha256(as_bytes(bytes));
    return {grant, std::move(bytes), hash, std::move(note)};
}

Result<SignedGrant> parse_grant(std::string_view bytes) {
    if (bytes.size() > kMaxGrantBytes)
        return Error{ErrorCode::corrupt,
                     fmt::format("{}: larger than {} bytes", kGrantFormat, kMaxGrantBytes)};
    HD_ASSIGN(ledger::Note note, ledger::parse_note(bytes));
    if (note.signatures.size() != 1)
        return Error{ErrorCode::invalid,
                     fmt::format("{}: must have exactly one signature", kGrantFormat)};
    HD_ASSIGN(auto grant, parse_grant_text(note.text));
    return SignedGrant{std::move(grant), std::string(bytes), sha256(as_bytes(bytes)),
                       std::move(note)};
}

Result<std::string> check_grant_signer(const SignedGrant& grant, const ledger::NoteKey& owner,
                                       const Policy& policy) {
    if (ledger::verify_single(grant.note, owner)) return std::string("owner");
    for (const PolicyApprover& a : policy.approvers)
        if (ledger::verify_single(grant.note, a.note)) return a.name;
    return refuse_grant("signature: must be by the owner or an approver of the policy");
}

Result<std::vector<ByteView>> split_headers(ByteView file, const Grant& grant) {
    const auto bad = [](std::string rule) {
        return Error{ErrorCode::corrupt, fmt::format("new headers: {}", rule)};
    };
    if (file.size() > kMaxHeadersBytes) return bad("too large");
    if (sha256(file) != grant.headers_sha256) return bad("are not those that the grant signs");
    std::vector<ByteView> out;
    for (ByteView rest = file; !rest.empty();) {
        const auto parsed = seal::parse_header(rest);
        if (!parsed) return parsed.error().in(fmt::format("new header {}", out.size()));
        out.push_back(rest.first(parsed->size));
        rest = rest.subspan(parsed->size);
        if (out.size() > grant.headers) break;
    }
    if (out.size() != grant.headers) return bad(fmt::format("must be {}", grant.headers));
    return out;
}

Result<Request> check_grant(const GrantContext& context, const SignedGrant& grant) {
    const Grant& g = grant.grant;
    HD_TRY(check_grant_signer(grant, context.owner, context.policy));
    if (g.hub != context.policy.hub) return refuse_grant("hub: this grant is for another hub");
    const auto* entry = context.book.find(g.request);
    if (entry == nullptr) return refuse_grant("request: this hub took in no such request");
    HD_ASSIGN(const SignedRequest request, parse_request(entry->taken.note));
    if (g.recipient != request.request.recipient)
        return refuse_grant("recipient: must be the recipient of the request");
    if (context.policy.requester_by_card(entry->taken.card) == nullptr)
        return refuse_grant("request: its requester is no longer in the policy");
    if (request.request.expires <= context.now) return refuse_grant("request: has expired");
    if (g.not_after <= context.now ||
        g.not_after > context.now + std::chrono::seconds(kMaxLifetimeS))
        return refuse_grant(
            fmt::format("not-after: must be in the next {} days", kMaxLifetimeS / 86'400));
    const auto& cameras = context.policy.cameras;
    for (const PieceRange& r : g.ranges)
        if (std::find(cameras.begin(), cameras.end(), r.camera) == cameras.end())
            return refuse_grant(
                fmt::format("camera: the policy does not name {}", to_string(r.camera)));
    if (entry->granted(grant.hash)) return refuse_grant("this very grant was used before");
    return request.request;
}

Result<void> check_new_header(ByteView new_header, ByteView original_header) {
    HD_ASSIGN(const auto fresh, seal::parse_header(new_header));
    HD_ASSIGN(const auto original, seal::parse_header(original_header));
    if (fresh.size != new_header.size())
        return Error{ErrorCode::corrupt, "new header: bytes after its end"};
    const auto others = other_stanzas(fresh.header);
    if (others.size() + 1 != fresh.header.stanzas.size())
        return refuse_grant("new header: must have exactly one X25519 stanza");
    if (others != other_stanzas(original.header))
        return refuse_grant("new header: its other stanzas must be those of the original");
    return {};
}

}  // namespace hd::consent
