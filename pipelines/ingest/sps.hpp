// What H.264 and H.265 parameter sets say about size, rate and identity. Pure; every byte comes
// from a camera.
#pragma once

#include <optional>

#include "pipelines/ingest/frame.hpp"

namespace hd::ingest {

enum class NalKind : std::uint8_t { slice, vps, sps, pps, delimiter, prefix_sei, end, other };

// `nal` is not empty. `prefix_sei` also stands for what, like it, can only begin an access unit.
NalKind nal_kind(Codec codec, ByteView nal);

// Of a slice with its two-byte (H.265) or one-byte header: is it the first of its picture?
bool begins_picture(Codec codec, ByteView slice);

// The id that a VPS, SPS or PPS gives itself; nothing if it cannot be read or is out of range.
std::optional<unsigned> set_id(Codec codec, NalKind kind, ByteView nal);

struct SpsFacts {
    unsigned width = 0, height = 0;  // cropped, in luma samples
    unsigned chroma_format = 1, luma_depth = 8, chroma_depth = 8;
    unsigned sub_layers = 1;           // H.265
    bool temporal_id_nesting = false;  // H.265
    Micros frame_duration{0};          // 0: it says nothing
    // How many frames may precede another in decoding and follow it in display: of H.265 always
    // known, of H.264 if profile, order type or VUI say so.
    std::optional<unsigned> reorder;
};
// Nothing: cut off or nonsense.
std::optional<SpsFacts> sps_facts(Codec codec, ByteView sps);

// vps_timing_info of H.265; 0: it says nothing.
Micros vps_frame_duration(ByteView vps);

}  // namespace hd::ingest
