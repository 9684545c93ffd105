#include "gateway/consent/release_check.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/seal/piece_stanza.hpp"

namespace hd::consent {
namespace {

Error refused(std::string what) { return {ErrorCode::refused, "release: " + std::move(what)}; }

bool is_for(const seal::Recipient& recipient, std::span<const seal::Identity> identities) {
    return std::any_of(identities.begin(), identities.end(),
                       [&](const seal::Identity& i) { return i.recipient == recipient; });
}

}  // namespace

ReleaseChecker::ReleaseChecker(ReleaseTrust trust) : trust_(std::move(trust)) {}

std::string ReleaseChecker::where() const {
    if (range_ == nullptr) return "before the first clip";
    return fmt::format("clip {} ({}), piece {}", next_range_, to_string(range_->clip),
                       last_sequence_);
}

Result<void> ReleaseChecker::refuse(std::string_view rule) const {
    return refused(fmt::format("{}: {}", where(), rule));
}

Result<void> ReleaseChecker::notes(std::string_view request, std::string_view answer,
                                   std::string_view grant) {
    if (has_notes()) return refused("the notes came twice");
    if (request != trust_.request_note) return refused("the request is not the one that was sent");
    HD_ASSIGN(auto parsed_request, parse_request(request));
    HD_ASSIGN(auto parsed_answer, parse_answer(answer, trust_.hub));
    if (parsed_answer.request != parsed_request.hash)
        return refused("the hub's answer is to another request");
    HD_ASSIGN(auto parsed_grant, parse_grant(grant));
    for (const ledger::NoteKey& key : trust_.granters)
        if (granter_.empty() && ledger::verify_single(parsed_grant.note, key)) granter_ = key.name;
    if (granter_.empty()) return refused("the grant is signed by nobody whom you trust to grant");
    const Grant& g = parsed_grant.grant;
    if (g.request != parsed_request.hash) return refused("the grant is for another request");
    if (g.hub != parsed_request.request.hub) return refused("the grant is for another hub");
    if (g.recipient != parsed_request.request.recipient)
        return refused("the grant is for another recipient than the request names");
    if (!is_for(g.recipient, trust_.identities))
        return refused("the grant is for another key than yours");
    request_ = std::move(parsed_request);
    answer_ = std::move(parsed_answer);
    grant_ = std::move(parsed_grant);
    return {};
}

Result<void> ReleaseChecker::end_clip() {
    if (range_ == nullptr) return {};
    if (!init_seen_) return refuse("the init piece is missing");
    if (last_sequence_ != range_->last) return refuse("pieces are missing at the end of the clip");
    summary_.spans.emplace_back(range_->camera, span_);
    ++summary_.clips;
    return {};
}

Result<void> ReleaseChecker::clip(ByteView clip_header) {
    if (!has_notes()) return refused("a clip came before the notes");
    HD_TRY(end_clip());
    std::size_t size = 0;
    HD_ASSIGN(const auto header, clip::decode_header(clip_header, size));
    if (size != clip_header.size()) return refuse("bytes after a clip header");
    if (next_range_ == grant_->grant.ranges.size()) return refuse("more clips than were granted");
    range_ = &grant_->grant.ranges[next_range_++];
    init_seen_ = false;
    last_sequence_ = 0;
    clip_header_.assign(clip_header.begin(), clip_header.end());
    if (header.clip != range_->clip || header.camera != range_->camera)
        return refuse("not the clip that is granted here");
    if (header.hub != grant_->grant.hub) return refuse("was recorded by another hub");
    return {};
}

// Whether this piece is the next one that the grant names.
Result<void> ReleaseChecker::place(const clip::PieceIdentity& identity) {
    if (range_ == nullptr) return refuse("a piece came before its clip");
    if (identity.clip != range_->clip || identity.camera != range_->camera)
        return refuse("a piece of another camera or clip");
    if (!init_seen_) {
        if (identity.kind != clip::PieceKind::init || identity.sequence != 0)
            return refuse("the init piece must come first");
        init_seen_ = true;
        return {};
    }
    const bool first = last_sequence_ == 0;
    if (first ? identity.sequence != range_->first
              : identity.sequence <= last_sequence_ || identity.sequence > range_->last)
        return refuse(fmt::format("piece {} came where it does not belong", identity.sequence));
    last_sequence_ = identity.sequence;
    if (identity.kind != clip::PieceKind::video) return refuse("is not video");
    const TimeSpan span{identity.utc_begin, identity.utc_end};
    if (span.empty() || !request_->request.window.contains(span))
        return refuse("does not lie wholly inside the window that was asked for");
    if (first && identity.start == clip::PieceStart::none)
        return refuse("a decoder cannot begin at the first piece");
    span_ = {first ? span.begin : span_.begin, span.end};
    summary_.frames += identity.frames;
    return {};
}

Result<VerifiedPiece> ReleaseChecker::piece(const ReceivedPiece& in) {
    HD_ASSIGN(auto identity, clip::decode_identity(in.identity));
    HD_TRY(place(identity));
    const auto bad = [&](const Error& e) { return refused(where() + ": " + e.what); };

    headers_hash_.update(in.new_header);
    ++summary_.pieces;
    auto opened = seal::open_header(in.new_header, trust_.identities);
    if (!opened) return bad(opened.error());
    if (opened->parsed.size != in.new_header.size())
        return refused(where() + ": bytes after the new header");
    // With the released file key, the original header proves itself, and with it the identity.
    const auto original = seal::parse_header(in.original_header);
    if (!original) return bad(original.error());
    if (original->size != in.original_header.size())
        return refused(where() + ": bytes after the original header");
    if (const auto mac = seal::verify_header_mac(in.original_header, *original, opened->key); !mac)
        return bad(mac.error());
    const auto bound = seal::check_piece_stanza(original->header, clip_header_, in.identity);
    if (!bound) return bad(bound.error());
    if (const auto same = check_new_header(in.new_header, in.original_header); !same)
        return bad(same.error());

    Sha256 hash;
    hash.update(in.original_header);
    hash.update(in.payload);
    if (hash.finish() != in.recorded_sha256)
        return refused(where() + ": the original file has another SHA-256 than was recorded");

    VerifiedPiece out{.identity = std::move(identity),
                      .clip_header = clip_header_,
                      .identity_bytes = in.identity,
                      .original_header = in.original_header};
    if (const auto plain = seal::open_payload(opened->key, in.payload, out.plain); !plain)
        return bad(plain.error());
    age_file_.assign(in.new_header.begin(), in.new_header.end());
    age_file_.insert(age_file_.end(), in.payload.begin(), in.payload.end());
    out.age_file = age_file_;
    out.new_header_size = in.new_header.size();
    out.recorded_sha256 = in.recorded_sha256;
    summary_.video_bytes += out.plain.size();
    return out;
}

Result<ReleaseSummary> ReleaseChecker::finish(std::uint32_t pieces) {
    if (!has_notes()) return refused("is empty");
    HD_TRY(end_clip());
    if (next_range_ != grant_->grant.ranges.size())
        return refused("clips that were granted are missing");
    if (pieces != summary_.pieces || summary_.pieces != grant_->grant.headers)
        return refused("not as many pieces as were granted");
    if (headers_hash_.finish() != grant_->grant.headers_sha256)
        return refused("the new headers are not those that the grant signs");
    summary_.grant = std::move(*grant_);
    summary_.answer = std::move(*answer_);
    summary_.granter = granter_;
    return std::move(summary_);
}

}  // namespace hd::consent
