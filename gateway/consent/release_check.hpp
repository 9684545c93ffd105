// What a requester checks of each part of a release, apart from how it arrives. Private to the
// room: ReleaseReader is the door.
#pragma once

#include <optional>

#include "gateway/consent/release.hpp"

namespace hd::consent {

// A piece as it came, nothing verified.
struct ReceivedPiece {
    ByteView identity, original_header, new_header, payload;
    Digest recorded_sha256{};
};

class ReleaseChecker {
  public:
    explicit ReleaseChecker(ReleaseTrust trust);
    Result<void> notes(std::string_view request, std::string_view answer, std::string_view grant);
    Result<void> clip(ByteView clip_header);
    // The result borrows from `piece` and from the checker.
    Result<VerifiedPiece> piece(const ReceivedPiece& piece);
    Result<ReleaseSummary> finish(std::uint32_t pieces);
    bool has_notes() const { return grant_.has_value(); }

  private:
    Result<void> end_clip();
    Result<void> place(const clip::PieceIdentity& identity);
    Result<void> refuse(std::string_view rule) const;
    std::string where() const;

    ReleaseTrust trust_;
    std::optional<SignedRequest> request_;
    std::optional<Answer> answer_;
    std::optional<SignedGrant> grant_;
    std::string granter_;

    std::size_t next_range_ = 0;  // ranges before it are complete or under way
    Bytes clip_header_;
    const PieceRange* range_ = nullptr;  // of the clip under way
    bool init_seen_ = false;
    std::uint32_t last_sequence_ = 0;
    TimeSpan span_;

    Sha256 headers_hash_;
    Bytes age_file_;
    ReleaseSummary summary_;
};

}  // namespace hd::consent
