// What an access unit and its parameter sets say, as far as a recorder must know. Pure; every byte
// here comes from a camera and is not trusted.
#pragma once

#include <optional>
#include <string>

#include "pipelines/ingest/frame.hpp"

namespace hd::ingest {

enum class EntryPoint : std::uint8_t { none, idr, cra };

// `au`: NAL units with 4-byte length prefixes. H.264: IDR by NAL type; a recovery point SEI with
// recovery_frame_cnt 0 counts as cra. H.265: IDR by NAL type, CRA and BLA as cra. Broken lengths
// end the search.
EntryPoint entry_point(Codec codec, ByteView au);

// RFC 6381 with ISO/IEC 14496-15 annex E: "avc1.4D401F", "hvc1.1.6.L93.B0". corrupt: too short or
// not version 1.
Result<std::string> rfc6381_codec(Codec codec, ByteView codec_config);

// How many frames may precede another in decoding and follow it in display: of H.265 always known,
// of H.264 if its profile or VUI says so. Nothing: unknown, or unreadable parameter sets.
std::optional<unsigned> reorder_depth(Codec codec, ByteView codec_config);

}  // namespace hd::ingest
