#include "pipelines/mux/audio_parameters.hpp"

#include <cstring>

namespace hd::mux {
namespace {

// RFC 7845, 5.1: what MP4's dOps is made of. No samples to skip: a live stream has no beginning.
Bytes opus_head(std::uint8_t channels) {
    const std::string_view magic = "OpusHead";
    Bytes out(magic.begin(), magic.end());
    const Bytes rest{1, channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0};  // 48000 Hz, no gain
    out.insert(out.end(), rest.begin(), rest.end());
    return out;
}

}  // namespace

std::int64_t audio_ticks(std::uint32_t rate, Micros t) {
    return (t.count() * rate + 500'000) / 1'000'000;
}

Result<void> set_audio_parameters(AVStream& stream, const AudioTrack& track) {
    if (track.rate == 0 || track.channels == 0)
        return Error{ErrorCode::invalid, "an audio track without rate or channels"};
    AVCodecParameters& par = *stream.codecpar;
    const bool aac = track.codec == AudioCodec::aac;
    par.codec_type = AVMEDIA_TYPE_AUDIO;
    par.codec_id = aac ? AV_CODEC_ID_AAC : AV_CODEC_ID_OPUS;
    par.sample_rate = static_cast<int>(track.rate);
    par.frame_size = aac ? 1024 : 960;
    av_channel_layout_default(&par.ch_layout, track.channels);
    const Bytes config = aac ? track.codec_config : opus_head(track.channels);
    par.extradata =
        static_cast<std::uint8_t*>(av_mallocz(config.size() + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!par.extradata) return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
    std::memcpy(par.extradata, config.data(), config.size());
    par.extradata_size = static_cast<int>(config.size());
    stream.time_base = {1, par.sample_rate};
    return {};
}

}  // namespace hd::mux
