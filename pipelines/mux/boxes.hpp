// The few MP4 boxes that we look into ourselves (ISO/IEC 14496-12). Total on any bytes.
#pragma once

#include <optional>
#include <string_view>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::mux {

struct Box {
    std::size_t offset = 0;  // of its size field
    std::size_t size = 0;    // header included
    std::size_t body = 0;    // offset of what follows the 8-byte header
    std::size_t end() const { return offset + size; }
};

// The first box of that type in [begin, end); nothing at a box that does not fit. Boxes with 64-bit
// sizes are not for us: nothing here is that large.
std::optional<Box> find_box(ByteView in, std::size_t begin, std::size_t end, std::string_view type);

// Puts edts/elst behind a track's tkhd: media time `start`, in the track's ticks, is shown at 0.
// Tracks are counted from 0. Nothing to do for 0. Players (and ffprobe) then begin at 0 although
// the first decode time is 0 and its picture is shown `start` later, as with B-frames.
Result<void> insert_edit_list(Bytes& init, unsigned track, std::int64_t start);

// The content of avcC or hvcC of the first track.
std::optional<ByteView> find_codec_config(ByteView init);

}  // namespace hd::mux
