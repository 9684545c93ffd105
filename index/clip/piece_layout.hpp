// How a piece begins in a clip file; shared by codec, reader and checker of this room.
#pragma once

#include <cstddef>
#include <string_view>

namespace hd::clip {

constexpr std::string_view kPieceMagic = "\x9DHDP";
// Magic, identity size, age size, SHA-256, checksum (docs/formats/clip.md).
constexpr std::size_t kPieceHeadFixed = 4 + 2 + 8 + 32 + 4;

}  // namespace hd::clip
