#include "pipelines/mux/sound.hpp"

#include "pipelines/mux/memory_input.hpp"

namespace hd::mux {

Result<std::optional<Sound>> read_sound(ByteView fragmented) {
    quiet_av();
    MemoryInput memory(fragmented);
    const AvIo io = memory.open();
    AVFormatContext* raw = avformat_alloc_context();
    if (!io || !raw) return Error{ErrorCode::exhausted, "sound: no memory"};
    raw->pb = io.get();
    raw->flags |= AVFMT_FLAG_CUSTOM_IO;
    AvOptions options;
    options.set("format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2");
    // On failure libav frees `raw` itself.
    if (const int rc = avformat_open_input(&raw, "", nullptr, &options.raw); rc < 0)
        return av_error(rc, "open media");
    const AvInput in(raw);
    std::optional<Sound> out;
    int index = -1;
    for (unsigned i = 0; i < in->nb_streams; ++i) {
        if (in->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && index < 0)
            index = static_cast<int>(i);
        else
            in->streams[i]->discard = AVDISCARD_ALL;
    }
    if (index < 0) return out;
    out.emplace();
    out->parameters.reset(avcodec_parameters_alloc());
    const AvPacket packet{av_packet_alloc()};
    if (!packet || !out->parameters ||
        avcodec_parameters_copy(out->parameters.get(), in->streams[index]->codecpar) < 0)
        return Error{ErrorCode::exhausted, "sound: no memory"};
    while (av_read_frame(in.get(), packet.get()) >= 0) {
        if (packet->stream_index == index && packet->size > 0 && packet->pts != AV_NOPTS_VALUE) {
            const auto us = [&](std::int64_t t) {
                return Micros(av_rescale_q(t, in->streams[index]->time_base, {1, 1'000'000}));
            };
            out->units.push_back(
                {std::make_shared<const Bytes>(packet->data, packet->data + packet->size),
                 us(packet->pts), us(packet->duration)});
        }
        av_packet_unref(packet.get());
    }
    if (out->units.empty()) out.reset();
    return out;
}

bool same_sound(const AVCodecParameters& a, const AVCodecParameters& b) {
    return a.codec_id == b.codec_id && a.sample_rate == b.sample_rate &&
           a.ch_layout.nb_channels == b.ch_layout.nb_channels &&
           a.extradata_size == b.extradata_size &&
           (a.extradata_size == 0 ||
            std::memcmp(a.extradata, b.extradata, static_cast<std::size_t>(a.extradata_size)) == 0);
}

}  // namespace hd::mux
