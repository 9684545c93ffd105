#include "pipelines/mux/activity.hpp"

#include <cstdlib>
#include <cstring>

extern "C" {
#include <libavutil/pixdesc.h>
}

#include "pipelines/mux/av_handles.hpp"

namespace hd::mux {
namespace {

constexpr int kBlock = 16;
// 16 of a block's 256 pixels say its mean well enough, and cost a sixteenth of the memory traffic.
constexpr int kStep = 4;
constexpr int kMaxWidth = 4096, kMaxHeight = 2304;

// Brightness of one pixel of the first plane, as 8 bits.
class Luma {
  public:
    static std::optional<Luma> of(const AVFrame& frame) {
        const AVPixFmtDescriptor* format =
            av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
        if (!format || (format->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_RGB |
                                         AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_BITSTREAM)) != 0)
            return std::nullopt;
        const AVComponentDescriptor& y = format->comp[0];
        if (y.plane != 0 || y.offset != 0 || y.shift != 0 || y.depth < 8 || y.depth > 16 ||
            y.step != (y.depth > 8 ? 2 : 1))
            return std::nullopt;
        return Luma(frame, y.depth);
    }
    int at(int x, int y) const {
        const std::uint8_t* row = frame_.data[0] + std::ptrdiff_t{y} * frame_.linesize[0];
        if (depth_ == 8) return row[x];
        std::uint16_t wide = 0;
        std::memcpy(&wide, row + std::ptrdiff_t{x} * 2, sizeof wide);
        return (wide >> (depth_ - 8)) & 0xff;
    }

  private:
    Luma(const AVFrame& frame, int depth) : frame_(frame), depth_(depth) {}
    const AVFrame& frame_;
    int depth_;
};

BlockMeans means_of(const AVFrame& frame, const Luma& luma) {
    BlockMeans out;
    out.columns = static_cast<std::uint16_t>(frame.width / kBlock);
    out.rows = static_cast<std::uint16_t>(frame.height / kBlock);
    out.means.reserve(std::size_t{out.columns} * out.rows);
    for (int row = 0; row < out.rows; ++row) {
        for (int column = 0; column < out.columns; ++column) {
            int sum = 0;
            for (int y = 0; y < kBlock; y += kStep)
                for (int x = 0; x < kBlock; x += kStep)
                    sum += luma.at(column * kBlock + x, row * kBlock + y);
            out.means.push_back(static_cast<std::uint8_t>(sum * kStep * kStep / kBlock / kBlock));
        }
    }
    return out;
}

class AvMeter final : public ActivityMeter {
  public:
    Result<void> open(const VideoTrack& track) {
        quiet_av();
        if (track.width > kMaxWidth || track.height > kMaxHeight)
            return Error{ErrorCode::invalid, "the picture is larger than 4096 x 2304"};
        const AVCodec* codec =
            avcodec_find_decoder(track.codec == Codec::h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_HEVC);
        if (!codec) return Error{ErrorCode::unavailable, "libavcodec has no decoder for it"};
        decoder_.reset(avcodec_alloc_context3(codec));
        packet_.reset(av_packet_alloc());
        frame_.reset(av_frame_alloc());
        if (!decoder_ || !packet_ || !frame_)
            return Error{ErrorCode::exhausted, "decoder: no memory"};
        const std::size_t size = track.codec_config.size();
        decoder_->extradata =
            static_cast<std::uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
        if (!decoder_->extradata) return Error{ErrorCode::exhausted, "decoder: no memory"};
        std::memcpy(decoder_->extradata, track.codec_config.data(), size);
        decoder_->extradata_size = static_cast<int>(size);
        decoder_->thread_count = 1;
        // What it would smooth is far below a block.
        decoder_->skip_loop_filter = AVDISCARD_ALL;
        // A stream that claims more in its own parameter sets gets no memory for it.
        decoder_->max_pixels = std::int64_t{kMaxWidth} * kMaxHeight;
        if (const int rc = avcodec_open2(decoder_.get(), codec, nullptr); rc < 0)
            return Error{ErrorCode::unavailable, av_error(rc, "open decoder").what};
        return {};
    }

    Result<std::optional<std::uint16_t>> score(ByteView key_frame) override {
        HD_TRY(decode(key_frame));
        const auto luma = Luma::of(*frame_);
        if (!luma) return Error{ErrorCode::unavailable, "pixels of an unknown kind"};
        BlockMeans now = means_of(*frame_, *luma);
        av_frame_unref(frame_.get());
        const auto changed = changed_blocks(before_, now);
        before_ = std::move(now);
        return changed;
    }

  private:
    // The key frame alone: whatever came before is forgotten, nothing after it is waited for.
    Result<void> decode(ByteView key_frame) {
        avcodec_flush_buffers(decoder_.get());
        if (const int rc = av_new_packet(packet_.get(), static_cast<int>(key_frame.size())); rc < 0)
            return av_error(rc, "decode");
        std::memcpy(packet_->data, key_frame.data(), key_frame.size());
        packet_->flags |= AV_PKT_FLAG_KEY;
        int rc = avcodec_send_packet(decoder_.get(), packet_.get());
        av_packet_unref(packet_.get());
        if (rc >= 0) rc = avcodec_send_packet(decoder_.get(), nullptr);
        if (rc >= 0) rc = avcodec_receive_frame(decoder_.get(), frame_.get());
        if (rc < 0) return Error{ErrorCode::corrupt, av_error(rc, "decode").what};
        return {};
    }

    AvCodec decoder_;
    AvPacket packet_;
    AvFrame frame_;
    BlockMeans before_;
};

}  // namespace

std::optional<std::uint16_t> changed_blocks(const BlockMeans& before, const BlockMeans& now) {
    const std::size_t blocks = now.means.size();
    if (blocks == 0 || before.columns != now.columns || before.rows != now.rows)
        return std::nullopt;
    std::size_t changed = 0;
    for (std::size_t i = 0; i < blocks; ++i)
        changed += std::abs(int{before.means[i]} - int{now.means[i]}) > kBlockChange ? 1 : 0;
    return static_cast<std::uint16_t>((changed * 1000 + blocks - 1) / blocks);
}

Result<std::unique_ptr<ActivityMeter>> ActivityMeter::begin(const VideoTrack& track) {
    auto meter = std::make_unique<AvMeter>();
    HD_TRY(meter->open(track));
    return std::unique_ptr<ActivityMeter>(std::move(meter));
}

}  // namespace hd::mux
