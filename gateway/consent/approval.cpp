#include "gateway/consent/approval.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "index/clip/clip_format.hpp"
#include "index/seal/piece_stanza.hpp"

namespace hd::consent {
namespace {

Error refuse_approval(std::string what) { return {ErrorCode::refused, std::move(what)}; }

bool contains(std::span<const CameraId> cameras, const CameraId& camera) {
    return std::find(cameras.begin(), cameras.end(), camera) != cameras.end();
}

// A clip of which the claims agree with each other; nothing is proven before its headers open.
struct ClaimedClip {
    clip::ClipHeader header;
    std::vector<clip::PieceIdentity> pieces;
};

Result<ClaimedClip> read_claims(const ClipBundle& bundle) {
    ClaimedClip out;
    std::size_t size = 0;
    HD_ASSIGN(out.header, clip::decode_header(bundle.clip_header, size));
    if (size != bundle.clip_header.size())
        return Error{ErrorCode::corrupt, "clip header: bytes after its end"};
    const std::string name = fmt::format("clip {}", to_string(out.header.clip));
    for (const PieceBundle& piece : bundle.pieces) {
        auto identity = clip::decode_identity(piece.identity);
        if (!identity) return identity.error().in(name);
        if (identity->camera != out.header.camera || identity->clip != out.header.clip)
            return refuse_approval(fmt::format("{}, piece {}: is of another camera or clip", name,
                                               identity->sequence));
        if (!out.pieces.empty() && identity->sequence <= out.pieces.back().sequence)
            return refuse_approval(
                fmt::format("{}, piece {}: out of order", name, identity->sequence));
        out.pieces.push_back(std::move(*identity));
    }
    return out;
}

Result<void> check_claims(const ClaimedClip& clip, const ApprovalInput& input) {
    const std::string name = fmt::format("clip {}", to_string(clip.header.clip));
    if (clip.header.hub != input.policy.policy.hub)
        return refuse_approval(name + ": was recorded by another hub");
    if (!contains(input.cameras, clip.header.camera))
        return refuse_approval(
            fmt::format("{}: camera {} was not approved", name, to_string(clip.header.camera)));
    return {};
}

Result<void> check_input(const ApprovalInput& input) {
    const TimeSpan asked = input.request.request.request.window;
    if (input.window.empty() || !asked.contains(input.window))
        return refuse_approval(
            "the window that is approved must lie inside the one that was asked for");
    if (input.cameras.empty()) return refuse_approval("no camera was approved");
    for (const CameraId& camera : input.cameras)
        if (!contains(input.policy.policy.cameras, camera))
            return refuse_approval(
                fmt::format("camera {} is not one that may be asked about", to_string(camera)));
    if (input.not_after.us % 1'000'000 != 0)
        return Error{ErrorCode::invalid, "not-after: must be in whole seconds"};
    return {};
}

// Which pieces go out, before any of them is opened.
struct Chosen {
    const ClipBundle* bundle = nullptr;
    PieceRange range;
    std::vector<std::size_t> pieces;       // indices, init first
    std::vector<std::uint32_t> sequences;  // of the same pieces
    Micros length{0};
};

Result<std::vector<Chosen>> choose(const ApprovalInput& input, Micros& before_key) {
    std::vector<Chosen> out;
    std::set<ClipId> clips;
    for (const ClipBundle& bundle : input.clips) {
        HD_ASSIGN(const ClaimedClip clip, read_claims(bundle));
        HD_TRY(check_claims(clip, input));
        if (!clips.insert(clip.header.clip).second)
            return refuse_approval(fmt::format("clip {}: came twice", to_string(clip.header.clip)));
        before_key += length_before_key(clip.pieces, input.window);
        const auto range = select_pieces(clip.pieces, input.window);
        if (!range) continue;
        HD_TRY(check_range(clip.pieces, *range, input.window));
        HD_ASSIGN(auto pieces, pieces_of_range(clip.pieces, *range));
        const Micros length = clip.pieces[pieces.back()].utc_end - clip.pieces[pieces[1]].utc_begin;
        std::vector<std::uint32_t> sequences;
        sequences.reserve(pieces.size());
        for (const std::size_t i : pieces) sequences.push_back(clip.pieces[i].sequence);
        out.push_back({&bundle, *range, std::move(pieces), std::move(sequences), length});
    }
    // The clips of a camera stand together in a grant.
    std::stable_sort(out.begin(), out.end(), [](const Chosen& a, const Chosen& b) {
        return a.range.camera < b.range.camera;
    });
    if (out.size() > kMaxRanges)
        return Error{ErrorCode::exhausted,
                     fmt::format("more than {} clips: approve a shorter window", kMaxRanges)};
    return out;
}

}  // namespace

Result<TrustedRequest> trust_request(std::string_view note, const SignedPolicy& policy) {
    HD_ASSIGN(SignedRequest request, parse_request(note));
    const Request& r = request.request;
    if (r.hub != policy.policy.hub) return refuse_approval("request: is for another hub");
    for (const PolicyRequester& who : policy.policy.requesters) {
        if (!ledger::verify_single(request.note, who.note)) continue;
        if (const auto b = breach_of_signer(request, who)) return b->error().in("request");
        // As its hub may have judged it: within the allowed difference of clocks. How old a window
        // must be is the hub's rule of that day; whoever approves sees the window itself.
        const WallTime then = r.posted + std::chrono::seconds(kMaxClockDifferenceS);
        for (const auto& b : {breach_of_window(r.window, then, 0), breach_of_area(r.area),
                              breach_of_expiry(r.posted, r.expires, r.posted)})
            if (b) return b->error().in("request");
        return TrustedRequest{std::move(request), who};
    }
    return refuse_approval("request: is signed by nobody whom the policy names");
}

Result<seal::FileKey> open_piece_key(ByteView clip_header, const PieceBundle& piece,
                                     std::span<const seal::Identity> identities) {
    HD_ASSIGN(auto opened, seal::open_header(piece.original_header, identities));
    if (opened.parsed.size != piece.original_header.size())
        return Error{ErrorCode::corrupt, "age header: bytes after its end"};
    HD_TRY(seal::check_piece_stanza(opened.parsed.header, clip_header, piece.identity));
    return std::move(opened.key);
}

Result<Approval> approve(const ApprovalInput& input, const ledger::NoteSigner& signer) {
    HD_TRY(check_input(input));
    Micros before_key{0};
    HD_ASSIGN(const auto chosen, choose(input, before_key));
    std::size_t total = 0;
    for (const Chosen& c : chosen) total += c.pieces.size();
    if (total == 0 && before_key > Micros(0))
        return Error{ErrorCode::not_found,
                     fmt::format("inside the window lie {} s of video, but no key frame: they "
                                 "build on one from before it, and cannot go out without it",
                                 before_key.count() / 1'000'000)};
    if (total == 0)
        return Error{ErrorCode::not_found,
                     "no piece of the approved cameras lies wholly inside the window"};
    Grant grant{.hub = input.policy.policy.hub,
                .request = input.request.request.hash,
                .recipient = input.request.who.age,
                .not_after = input.not_after};
    Bytes headers;
    Micros length{0};
    for (const Chosen& c : chosen) {
        for (std::size_t n = 0; n < c.pieces.size(); ++n) {
            if (input.progress) input.progress(grant.headers, total);
            const PieceBundle& piece = c.bundle->pieces[c.pieces[n]];
            const std::string name =
                fmt::format("clip {}, piece {}", to_string(c.range.clip), c.sequences[n]);
            auto key = open_piece_key(c.bundle->clip_header, piece, input.identities);
            if (!key) return refuse_approval(name + ": " + key.error().what);
            auto header = seal::replace_header(piece.original_header, *key,
                                               std::span(&input.request.who.age, 1));
            if (!header) return header.error().in(name);
            headers.insert(headers.end(), header->begin(), header->end());
            ++grant.headers;
        }
        grant.ranges.push_back(c.range);
        length += c.length;
    }
    if (headers.size() > kMaxHeadersBytes)
        return Error{ErrorCode::exhausted, "too much video: approve a shorter window"};
    if (input.progress) input.progress(total, total);
    grant.headers_sha256 = sha256(headers);
    return Approval{.grant = sign_grant(grant, signer),
                    .headers = std::move(headers),
                    .pieces = total,
                    .length = length,
                    .before_key = before_key};
}

}  // namespace hd::consent
