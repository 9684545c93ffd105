// Inside pipelines/mux only: an audio track as libav wants to have it told.
#pragma once

#include "pipelines/mux/av_handles.hpp"
#include "pipelines/mux/media_types.hpp"

namespace hd::mux {

Result<void> set_audio_parameters(AVStream& stream, const AudioTrack& track);

}  // namespace hd::mux
