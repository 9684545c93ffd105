// Invariants checked, on any bytes: an identity that decodes encodes to the same bytes, so its hash
// in the piece stanza has one meaning, and its times never run backwards.
#include <cstdint>

#include "index/clip/clip_format.hpp"

using namespace hd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in(data, size);
    const auto identity = clip::decode_identity(in);
    if (!identity) {
        HD_CHECK(identity.error().code == ErrorCode::corrupt && !identity.error().what.empty());
        return 0;
    }
    HD_CHECK(equal(clip::encode_identity(*identity), in));
    HD_CHECK(identity->boot_begin <= identity->boot_end);
    HD_CHECK(identity->utc_end - identity->utc_begin >= Micros(0));
    return 0;
}
