// Which pieces of a clip a window gives: video pieces wholly inside [from, to), from the first at
// which a decoder can begin (IDR, or the CRA that H.265 cameras send in its place), plus the `init`
// piece. Pure; the owner's tool, the hub and the requester use the same code.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "index/clip/clip_format.hpp"

namespace hd::consent {

struct PieceRange {
    CameraId camera;
    ClipId clip;
    std::uint32_t first = 0, last = 0;  // sequence numbers of video pieces, inclusive; first >= 1
    bool operator==(const PieceRange&) const = default;
};

// `pieces`: identities of one clip in rising sequence (other kinds are skipped). Nothing if no
// piece qualifies or the init piece is missing. The stretch ends before the first video piece that
// does not lie wholly inside, and before a missing sequence number; what follows is not taken.
std::optional<PieceRange> select_pieces(std::span<const clip::PieceIdentity> pieces,
                                        TimeSpan window);

// How much video lies wholly inside the window and in front of what select_pieces takes: it builds
// on a key frame from before the window or from another clip, and cannot go out.
Micros length_before_key(std::span<const clip::PieceIdentity> pieces, TimeSpan window);

// Indices into `pieces` of exactly what `range` grants: init first, then its video pieces in order.
// invalid: the init piece, or a number in the range, is missing from `pieces`, or a piece is out
// of order.
Result<std::vector<std::size_t>> pieces_of_range(std::span<const clip::PieceIdentity> pieces,
                                                 const PieceRange& range);

// The rule by which owner, hub and requester each check a range: every video piece wholly inside
// the window, and a decoder can begin at the first one. refused: names the piece.
Result<void> check_range(std::span<const clip::PieceIdentity> pieces, const PieceRange& range,
                         TimeSpan window);

}  // namespace hd::consent
