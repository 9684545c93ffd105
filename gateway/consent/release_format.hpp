// The records of a release file (docs/formats/release.md). On disk and on the wire: do not
// renumber.
#pragma once

#include <cstdint>
#include <string_view>

namespace hd::consent {

constexpr std::string_view kReleaseMagic = "halfdoor-release/v1\n";
constexpr std::uint8_t kNotesRecord = 1;
constexpr std::uint8_t kClipRecord = 2;
constexpr std::uint8_t kPieceRecord = 3;
constexpr std::uint8_t kEndRecord = 9;

}  // namespace hd::consent
