#include "tools/replay/tone.hpp"

#include <cmath>

#include <fmt/format.h>

#include "tools/replay/av_handles.hpp"

namespace hd::replay {
namespace {

constexpr double kHertz = 440, kLoudness = 0.25;

const char* encoder_name(AudioCodec codec) {
    switch (codec) {
        case AudioCodec::aac:
            return "aac";
        case AudioCodec::opus:
            return "libopus";
        case AudioCodec::pcma:
            return "pcm_alaw";
        case AudioCodec::pcmu:
            return "pcm_mulaw";
    }
    return "";
}

int rate_of(AudioCodec codec) {
    return codec == AudioCodec::aac ? 16'000 : codec == AudioCodec::opus ? 48'000 : 8'000;
}

Result<AvCodec> open_encoder(AudioCodec codec) {
    const AVCodec* found = avcodec_find_encoder_by_name(encoder_name(codec));
    if (!found)
        return Error{ErrorCode::unavailable,
                     fmt::format("this libavcodec has no {}", encoder_name(codec))};
    AvCodec out{avcodec_alloc_context3(found)};
    if (!out) return Error{ErrorCode::exhausted, "no memory for an encoder"};
    out->sample_rate = rate_of(codec);
    out->sample_fmt = codec == AudioCodec::aac ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_S16;
    out->bit_rate = 32'000;
    out->time_base = {1, out->sample_rate};
    out->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    av_channel_layout_default(&out->ch_layout, 1);
    if (const int rc = avcodec_open2(out.get(), found, nullptr); rc < 0)
        return av_error(rc, encoder_name(codec));
    return out;
}

void take_packets(AVCodecContext& encoder, AVPacket& packet, AudioTrack& out) {
    while (avcodec_receive_packet(&encoder, &packet) >= 0) {
        const Micros pts(av_rescale_q(packet.pts, encoder.time_base, AVRational{1, 1'000'000}));
        if (pts >= Micros(0)) {  // not the encoder's way in
            out.units.push_back({out.bytes.size(), static_cast<std::size_t>(packet.size), pts});
            out.bytes.insert(out.bytes.end(), packet.data, packet.data + packet.size);
        }
        av_packet_unref(&packet);
    }
}

}  // namespace

Result<AudioTrack> make_tone(AudioCodec codec, Micros length) {
    HD_ASSIGN(const AvCodec encoder, open_encoder(codec));
    const AvFramePtr frame{av_frame_alloc()};
    const AvPacketPtr packet{av_packet_alloc()};
    if (!frame || !packet) return Error{ErrorCode::exhausted, "no memory for sound"};
    AudioTrack out;
    out.codec = codec;
    out.rate = encoder->sample_rate;
    out.channels = 1;
    if (encoder->extradata)
        out.codec_config.assign(encoder->extradata, encoder->extradata + encoder->extradata_size);
    // G.711 encoders take any length: 20 ms, as cameras do.
    const int size = encoder->frame_size > 0 ? encoder->frame_size : out.rate / 50;
    const std::int64_t total = length.count() * out.rate / 1'000'000;
    for (std::int64_t at = 0; at + size <= total; at += size) {
        av_frame_unref(frame.get());
        frame->format = encoder->sample_fmt;
        frame->sample_rate = out.rate;
        frame->nb_samples = size;
        av_channel_layout_default(&frame->ch_layout, 1);
        if (const int rc = av_frame_get_buffer(frame.get(), 0); rc < 0)
            return av_error(rc, "sound buffer");
        for (int i = 0; i < size; ++i) {
            const double v = kLoudness * std::sin(static_cast<double>(at + i) * 2 *
                                                  3.14159265358979 * kHertz / out.rate);
            if (encoder->sample_fmt == AV_SAMPLE_FMT_FLTP)
                reinterpret_cast<float*>(frame->data[0])[i] = static_cast<float>(v);
            else
                reinterpret_cast<std::int16_t*>(frame->data[0])[i] =
                    static_cast<std::int16_t>(v * 32767);
        }
        frame->pts = at;
        if (const int rc = avcodec_send_frame(encoder.get(), frame.get()); rc < 0)
            return av_error(rc, "encode sound");
        take_packets(*encoder, *packet, out);
    }
    avcodec_send_frame(encoder.get(), nullptr);
    take_packets(*encoder, *packet, out);
    std::erase_if(out.units, [&](const AudioUnit& u) { return u.pts >= length; });
    if (out.units.empty()) return Error{ErrorCode::invalid, "no room for a unit of sound"};
    return out;
}

}  // namespace hd::replay
