// A camera's clips in a window, as its hub lists them and gives out their sealed bytes.
#pragma once

#include <string>
#include <vector>

#include "index/clip/clip_reader.hpp"
#include "tools/cli/hub.hpp"

namespace hd::cli {

// The id of the camera of this id or name; of the only one if `wanted` is empty.
Result<std::string> pick_camera(wire::Client& hub, const std::string& wanted);

struct ListedClip {
    std::string path;
    WallTime begin, end;
};
enum class Unfinished : bool { leave_out, take };
Result<std::vector<ListedClip>> list_clips(wire::Client& hub, const std::string& camera,
                                           TimeSpan window, Unfinished unfinished);

// Bytes [offset, offset + size) of a sealed clip; fewer where the file ends.
struct ClipBytes {
    Bytes bytes;
    std::uint64_t file_bytes = 0;
};
Result<ClipBytes> read_clip(wire::Client& hub, const std::string& clip, std::uint64_t offset,
                            std::uint64_t size);

Result<clip::HeaderBytes> read_header(wire::Client& hub, const std::string& clip,
                                      std::uint64_t& file_bytes);

// The clips before `clip`, which begins without a key frame, from the one on that holds it, oldest
// first; or why there are none, in words.
struct ClipsToDecode {
    std::vector<ListedClip> clips;
    std::string missing;
};
Result<ClipsToDecode> clips_to_decode(wire::Client& hub, const std::string& camera,
                                      const ListedClip& clip, const clip::ClipHeader& header);

// The pieces of one kind of a finished clip, without the bytes between them.
struct SealedPieces {
    clip::HeaderBytes header;
    std::vector<clip::PieceFile> pieces;
};
Result<SealedPieces> read_pieces(wire::Client& hub, const std::string& clip, clip::PieceKind kind);

}  // namespace hd::cli
