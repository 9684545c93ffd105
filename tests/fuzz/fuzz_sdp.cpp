// Invariants checked, on any bytes that a camera gives as its session description:
//  - parsing never crashes or hangs; there are at most 64 media and 128 parameter sets;
//  - control URLs and the codec configuration made of the sets are sane.
#include <cstdint>

#include "index/base/check.hpp"
#include "pipelines/ingest/access_unit.hpp"
#include "pipelines/ingest/parameter_sets.hpp"
#include "pipelines/ingest/sdp.hpp"

using namespace hd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes(data, size);
    const auto sdp = ingest::parse_sdp(as_text(bytes));
    if (!sdp) return 0;
    HD_CHECK(!sdp->media.empty() && sdp->media.size() <= 64);
    for (const auto& media : sdp->media) {
        HD_CHECK(!media.payload_type || *media.payload_type < 128);
        const auto url = ingest::control_url("rtsp://c/s", sdp->control, media.control);
        HD_CHECK(!url.empty() && url.size() <= size + 16);
        const auto sets = ingest::parameter_sets_of(media);
        HD_CHECK(sets.size() <= 128);
        for (const auto codec : {ingest::Codec::h264, ingest::Codec::h265}) {
            ingest::ParameterSets kept(codec);
            for (const Bytes& set : sets) kept.add(ingest::nal_kind(codec, set), set);
            if (const auto config = kept.codec_config())
                HD_CHECK(ingest::rfc6381_codec(codec, *config).ok());
            if (const auto facts = kept.facts())
                HD_CHECK(facts->width > 0 && facts->width <= 16384 && facts->height > 0);
        }
    }
    return 0;
}
