#include "pipelines/mux/audio_transcoder.hpp"

#include <array>
#include <cstdlib>

#include "pipelines/mux/av_handles.hpp"

namespace hd::mux {
namespace {

// Speech of a camera's microphone; AAC-LC allows 48 kbit/s at most for one channel at 8 kHz.
constexpr std::int64_t kBitsPerSample = 4;
// Times come from a clock that follows arrivals; what is further off is a hole, not jitter.
constexpr std::int64_t kHoleUs = 120'000;

// ITU-T G.711.
float expand_a(std::uint8_t v) {
    v ^= 0x55;
    const int exponent = (v >> 4) & 7, mantissa = v & 15;
    const int level = exponent == 0 ? mantissa * 16 + 8 : (mantissa * 16 + 264) << (exponent - 1);
    return static_cast<float>(v & 0x80 ? level : -level) / 32768.0f;
}

float expand_mu(std::uint8_t v) {
    v = static_cast<std::uint8_t>(~v);
    const int level = ((((v & 15) << 3) + 132) << ((v >> 4) & 7)) - 132;
    return static_cast<float>(v & 0x80 ? -level : level) / 32768.0f;
}

class AvTranscoder final : public AudioTranscoder {
  public:
    explicit AvTranscoder(Law law) {
        for (std::size_t i = 0; i < table_.size(); ++i)
            table_[i] = law == Law::a ? expand_a(static_cast<std::uint8_t>(i))
                                      : expand_mu(static_cast<std::uint8_t>(i));
    }

    Result<void> open(std::uint32_t rate) {
        quiet_av();
        const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_AAC);
        if (!codec) return Error{ErrorCode::unavailable, "libavcodec has no AAC encoder"};
        encoder_.reset(avcodec_alloc_context3(codec));
        packet_.reset(av_packet_alloc());
        frame_.reset(av_frame_alloc());
        if (!encoder_ || !packet_ || !frame_)
            return Error{ErrorCode::exhausted, "AAC encoder: no memory"};
        encoder_->sample_fmt = AV_SAMPLE_FMT_FLTP;
        encoder_->sample_rate = static_cast<int>(rate);
        encoder_->bit_rate = kBitsPerSample * rate;
        encoder_->time_base = {1, static_cast<int>(rate)};
        encoder_->thread_count = 1;
        encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
        av_channel_layout_default(&encoder_->ch_layout, 1);
        if (const int rc = avcodec_open2(encoder_.get(), codec, nullptr); rc < 0)
            return av_error(rc, "open AAC encoder");
        frame_->format = AV_SAMPLE_FMT_FLTP;
        frame_->sample_rate = encoder_->sample_rate;
        frame_->nb_samples = encoder_->frame_size;
        av_channel_layout_default(&frame_->ch_layout, 1);
        if (const int rc = av_frame_get_buffer(frame_.get(), 0); rc < 0)
            return av_error(rc, "AAC encoder");
        track_ = {
            .codec = AudioCodec::aac,
            .rate = rate,
            .channels = 1,
            .codec_config = {encoder_->extradata, encoder_->extradata + encoder_->extradata_size}};
        return {};
    }

    const AudioTrack& track() const override { return track_; }

    Result<void> add(ByteView samples, BootTime pts, std::vector<EncodedAudio>& out) override {
        const std::int64_t expected = begin_.us + time_of(filled_);
        if (filled_ > 0 && std::abs(pts.us - expected) > kHoleUs) {
            // The rest of the block is silence, and the next one begins where the sound does.
            while (filled_ > 0) HD_TRY(put(0.0f, out));
        }
        // The begin of the open block, as the newest time says.
        if (!samples.empty()) begin_ = BootTime{pts.us - time_of(filled_)};
        for (std::size_t i = 0; i < samples.size(); ++i) {
            if (filled_ == 0) begin_ = BootTime{pts.us + time_of(static_cast<int>(i))};
            HD_TRY(put(table_[samples[i]], out));
        }
        return {};
    }

  private:
    std::int64_t time_of(int samples) const {
        return std::int64_t{samples} * 1'000'000 / track_.rate;
    }

    Result<void> put(float sample, std::vector<EncodedAudio>& out) {
        if (filled_ == 0)
            if (const int rc = av_frame_make_writable(frame_.get()); rc < 0)
                return av_error(rc, "AAC encoder");
        reinterpret_cast<float*>(frame_->data[0])[filled_++] = sample;
        if (filled_ < encoder_->frame_size) return {};
        filled_ = 0;
        frame_->pts = fed_;
        fed_ += encoder_->frame_size;
        if (const int rc = avcodec_send_frame(encoder_.get(), frame_.get()); rc < 0)
            return av_error(rc, "encode AAC");
        return drain(out);
    }

    Result<void> drain(std::vector<EncodedAudio>& out) {
        for (;;) {
            const int rc = avcodec_receive_packet(encoder_.get(), packet_.get());
            if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF) return {};
            if (rc < 0) return av_error(rc, "encode AAC");
            auto bytes =
                std::make_shared<const Bytes>(packet_->data, packet_->data + packet_->size);
            // A decoder gives the block that went in last but its delay; libav says how many
            // samples that is by the packet's time.
            const auto late = static_cast<int>(fed_ - encoder_->frame_size - packet_->pts);
            out.push_back({std::move(bytes), BootTime{begin_.us - time_of(late)},
                           Micros(time_of(encoder_->frame_size))});
            av_packet_unref(packet_.get());
        }
    }

    std::array<float, 256> table_{};
    AvCodec encoder_;
    AvPacket packet_;
    AvFrame frame_;
    AudioTrack track_;
    BootTime begin_;  // of the open block's first sample
    int filled_ = 0;  // samples of it
    std::int64_t fed_ = 0;
};

}  // namespace

Result<std::unique_ptr<AudioTranscoder>> AudioTranscoder::begin(Law law, std::uint32_t rate) {
    auto transcoder = std::make_unique<AvTranscoder>(law);
    HD_TRY(transcoder->open(rate));
    return std::unique_ptr<AudioTranscoder>(std::move(transcoder));
}

}  // namespace hd::mux
