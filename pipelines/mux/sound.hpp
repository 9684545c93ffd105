// Inside pipelines/mux only: the sound of a clip's opened pieces, for the export.
#pragma once

#include <optional>
#include <vector>

#include "pipelines/mux/av_handles.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

struct AvParametersFree {
    void operator()(AVCodecParameters* p) const { avcodec_parameters_free(&p); }
};
using AvParameters = std::unique_ptr<AVCodecParameters, AvParametersFree>;

struct SoundUnit {
    std::shared_ptr<const Bytes> bytes;
    Micros pts{0}, duration{0};  // 0 is what the clip shows at 0
};
struct Sound {
    AvParameters parameters;
    std::vector<SoundUnit> units;  // at least one
};

// Nothing: no track, or an empty one.
Result<std::optional<Sound>> read_sound(ByteView fragmented);
bool same_sound(const AVCodecParameters& a, const AVCodecParameters& b);

}  // namespace hd::mux
