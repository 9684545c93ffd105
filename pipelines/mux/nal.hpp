// NAL units: walking length-prefixed access units, and turning Annex B streams into them. Total on
// any bytes. See ITU-T H.264 annex B and ISO/IEC 14496-15.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "index/base/bytes.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

// Calls `visit` for each NAL unit (without its prefix); stops when it returns false or at bytes
// that do not fit the prefixes.
void for_each_nal(ByteView sample, const std::function<bool(ByteView nal)>& visit);

int nal_type(Codec codec, ByteView nal);  // -1 if there is no header
bool is_parameter_set(Codec codec, int type);

// The NAL units between start codes, trailing zero bytes removed. Borrowed.
std::vector<ByteView> split_annexb(ByteView stream);
bool is_annexb(ByteView bytes);  // begins with a start code
Bytes to_length_prefixed(const std::vector<ByteView>& nals);

// An access unit whose prefixes have `from_size` (1 or 2) bytes, with prefixes of 4.
std::optional<Bytes> widen_prefixes(ByteView sample, std::size_t from_size);
// Bytes of a prefix as avcC or hvcC says; 4 if it is too short to be one.
std::size_t prefix_size(Codec codec, ByteView codec_config);
// The same record, saying 4.
Bytes with_prefix_size_4(Codec codec, ByteView codec_config);

}  // namespace hd::mux
