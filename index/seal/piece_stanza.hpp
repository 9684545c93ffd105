// The stanza that binds a piece's identity to its age file:
//
//   -> halfdoor-piece
//   <base64 of SHA-256("halfdoor-piece/v1\n" || u32le(size of clip header) || clip header ||
//    identity)>
//
// The age header's MAC is keyed by the file key, so whoever can open the piece can tell that clip,
// camera, sequence and time are those it was sealed with.
#pragma once

#include "index/seal/age_header.hpp"

namespace hd::seal {

constexpr std::string_view kPieceStanza = "halfdoor-piece";

// Both as encoded bytes, exactly as they stand in the clip file (clip::encode_header,
// clip::encode_identity).
Digest piece_binding(ByteView clip_header, ByteView identity);

Stanza make_piece_stanza(ByteView clip_header, ByteView identity);

// refused: no such stanza, more than one, one with arguments, or one that binds something else.
// Means nothing before the header's MAC is verified (open_header does that).
Result<void> check_piece_stanza(const AgeHeader& header, ByteView clip_header, ByteView identity);

}  // namespace hd::seal
