#include "pipelines/mux/fragment_writer.hpp"

#include <array>
#include <cstring>

#include "index/base/crypto.hpp"
#include "pipelines/mux/audio_fragment.hpp"
#include "pipelines/mux/audio_parameters.hpp"
#include "pipelines/mux/av_handles.hpp"
#include "pipelines/mux/boxes.hpp"

namespace hd::mux {
namespace {

// libav's own buffer in front of our callback. Small, so that a piece's bytes go straight through.
constexpr int kWriteBufferBytes = 4096;
// moof, mdat header, and 16 bytes a sample: what a piece needs besides its samples.
constexpr std::size_t kPieceOverheadBytes = 1024;

class AvFragmentWriter final : public FragmentWriter {
  public:
    ~AvFragmentWriter() override { clear(); }

    Result<void> open(const VideoTrack& track, Micros start,
                      const std::optional<AudioTrack>& audio) {
        quiet_av();
        AVFormatContext* raw = nullptr;
        if (const int rc = avformat_alloc_output_context2(&raw, nullptr, "mp4", nullptr); rc < 0)
            return av_error(rc, "mp4 writer");
        // Declared after io_, so that it goes first: it refers to the I/O context.
        out_.reset(raw);
        auto* buffer = static_cast<unsigned char*>(av_malloc(kWriteBufferBytes));
        io_.reset(avio_alloc_context(buffer, kWriteBufferBytes, 1, this, nullptr, &write, nullptr));
        packet_.reset(av_packet_alloc());
        if (!io_ || !packet_) return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
        out_->pb = io_.get();
        out_->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
        // Times are ours; libav must not move them.
        out_->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
        HD_TRY(add_track(track));
        if (audio) HD_TRY(add_audio(*audio));

        AvOptions options;
        options.set("movflags", "frag_custom+empty_moov+default_base_moof+skip_trailer");
        // Every microsecond of the hub's clock survives; 90 kHz would round to 11 us.
        options.set("video_track_timescale", "1000000");
        options.set("use_editlist", "0");  // It cannot be right before the first sample is known.
        if (const int rc = avformat_write_header(out_.get(), &options.raw); rc < 0)
            return av_error(rc, "mp4 header");
        avio_flush(io_.get());
        if (audio) HD_TRY(insert_edit_list(bytes_, 1, audio_ticks(audio->rate, kAudioPreroll)));
        return insert_edit_list(bytes_, 0, start.count());
    }

    ByteView init() const override { return bytes_; }

    Result<void> add(const Sample& sample) override {
        if (samples_ == 0 && open_bytes_ == 0) clear();
        AVPacket* p = packet_.get();
        // Borrowed for the call: without a buffer reference libav copies what it keeps.
        p->data = const_cast<std::uint8_t*>(sample.bytes.data());
        p->size = static_cast<int>(sample.bytes.size());
        p->stream_index = 0;
        p->dts = sample.dts.count();
        p->pts = sample.pts.count();
        p->duration = sample.duration.count();
        p->flags = sample.key ? AV_PKT_FLAG_KEY : 0;
        const int rc = av_write_frame(out_.get(), p);
        p->data = nullptr;
        p->size = 0;
        if (rc < 0) return av_error(rc, "mp4 sample");
        ++samples_;
        open_bytes_ += sample.bytes.size();
        return {};
    }

    Result<ByteView> cut() override {
        if (samples_ == 0) return Error{ErrorCode::invalid, "a piece without a sample"};
        clear();
        // In one block, so that no copy of the plain bytes stays behind in freed memory.
        bytes_.reserve(open_bytes_ + 16 * samples_ + kPieceOverheadBytes);
        if (const int rc = av_write_frame(out_.get(), nullptr); rc < 0)
            return av_error(rc, "mp4 piece");
        avio_flush(io_.get());
        if (io_->error < 0) return av_error(io_->error, "mp4 piece");
        samples_ = 0;
        open_bytes_ = 0;
        return ByteView{bytes_};
    }

    void clear() override {
        wipe(bytes_);
        bytes_.clear();
    }

  private:
    Result<void> add_track(const VideoTrack& track) {
        AVStream* stream = avformat_new_stream(out_.get(), nullptr);
        if (!stream) return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
        AVCodecParameters* par = stream->codecpar;
        par->codec_type = AVMEDIA_TYPE_VIDEO;
        par->codec_id = track.codec == Codec::h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_HEVC;
        par->codec_tag =
            track.codec == Codec::h264 ? MKTAG('a', 'v', 'c', '1') : MKTAG('h', 'v', 'c', '1');
        par->width = track.width;
        par->height = track.height;
        const std::size_t size = track.codec_config.size();
        par->extradata =
            static_cast<std::uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
        if (!par->extradata) return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
        std::memcpy(par->extradata, track.codec_config.data(), size);
        par->extradata_size = static_cast<int>(size);
        stream->time_base = {1, 1'000'000};
        return {};
    }

    Result<void> add_audio(const AudioTrack& track) {
        AVStream* stream = avformat_new_stream(out_.get(), nullptr);
        if (!stream) return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
        return set_audio_parameters(*stream, track);
    }

    static int write(void* self, AvWriteByte* data, int size) {
        auto& bytes = static_cast<AvFragmentWriter*>(self)->bytes_;
        bytes.insert(bytes.end(), data, data + size);
        return size;
    }

    AvIo io_;
    AvOutput out_;
    AvPacket packet_;
    Bytes bytes_;
    std::size_t samples_ = 0;
    std::size_t open_bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<FragmentWriter>> FragmentWriter::begin(
    const VideoTrack& track, Micros start, const std::optional<AudioTrack>& audio) {
    if (track.codec_config.size() < 7 || track.codec_config.size() > 65535 || track.width == 0 ||
        track.height == 0)
        return Error{ErrorCode::invalid, "a video track without size or codec parameters"};
    auto writer = std::make_unique<AvFragmentWriter>();
    HD_TRY(writer->open(track, start, audio));
    return std::unique_ptr<FragmentWriter>(std::move(writer));
}

}  // namespace hd::mux
