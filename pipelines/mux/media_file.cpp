#include "pipelines/mux/media_file.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "pipelines/mux/av_handles.hpp"
#include "pipelines/mux/memory_input.hpp"
#include "pipelines/mux/nal.hpp"
#include "pipelines/mux/probe.hpp"
#include "pipelines/mux/raw_stream.hpp"

namespace hd::mux {
namespace {

constexpr AVRational kMicros{1, 1'000'000};

Micros to_micros(std::int64_t ticks, AVRational base) {
    return Micros(av_rescale_q(ticks, base, kMicros));
}

class AvMediaFile final : public MediaFile {
  public:
    Result<void> open(const std::string& path) {
        // "file:" keeps libav from taking a name with a colon for a protocol.
        return open_input("file:" + path, nullptr);
    }
    Result<void> open_memory(ByteView bytes) {
        memory_ = std::make_unique<MemoryInput>(bytes);
        io_ = memory_->open();
        if (!io_) return Error{ErrorCode::exhausted, "media: no memory"};
        return open_input("", io_.get());
    }

    const VideoTrack& track() const override { return *track_; }
    Micros frame_duration() const override { return frame_duration_; }
    Micros origin() const override { return origin_.value_or(Micros(0)); }
    std::uint64_t size_bytes() const override {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(0, avio_size(in_->pb)));
    }
    std::uint64_t position_bytes() const override {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(0, avio_tell(in_->pb)));
    }
    Result<std::optional<OwnedSample>> next() override;

  private:
    Result<void> open_input(const std::string& url, AVIOContext* io);
    Result<void> take_stream(int index);
    Result<void> begin_raw(const AVStream& stream);
    Result<bool> read_packet();
    Result<std::optional<OwnedSample>> next_raw();
    Result<std::optional<OwnedSample>> next_packaged();
    Result<OwnedSample> to_sample(const AVPacket& packet);

    std::unique_ptr<MemoryInput> memory_;
    AvIo io_;
    AvInput in_;
    AvPacket packet_;
    int stream_ = -1;
    Codec codec_ = Codec::h264;
    std::shared_ptr<const VideoTrack> track_;
    Micros frame_duration_{40'000};
    std::size_t prefix_size_ = 4;
    bool annexb_ = false;
    std::optional<RawStream> raw_;
    std::optional<RawStream::Unit> first_raw_;
    bool ended_ = false;
    std::optional<Micros> origin_;  // the first sample's pts
    std::optional<Micros> last_dts_;
};

Result<void> AvMediaFile::open_input(const std::string& url, AVIOContext* io) {
    quiet_av();
    AVFormatContext* raw = avformat_alloc_context();
    if (!raw) return Error{ErrorCode::exhausted, "media: no memory"};
    if (io) {
        raw->pb = io;
        raw->flags |= AVFMT_FLAG_CUSTOM_IO;
    }
    AvOptions options;
    // Only what the name says: a playlist inside a "video file" must not open other files.
    options.set("protocol_whitelist", "file");
    options.set("format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,h264,hevc");
    // On failure libav frees `raw` itself.
    if (const int rc = avformat_open_input(&raw, url.c_str(), nullptr, &options.raw); rc < 0)
        return av_error(rc, "open media");
    in_.reset(raw);
    packet_.reset(av_packet_alloc());
    if (const int rc = avformat_find_stream_info(in_.get(), nullptr); rc < 0)
        return av_error(rc, "read media");
    const int index = av_find_best_stream(in_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    if (index < 0) return Error{ErrorCode::invalid, "media: no video track"};
    return take_stream(index);
}

Result<void> AvMediaFile::take_stream(int index) {
    const AVStream& stream = *in_->streams[index];
    const AVCodecParameters& par = *stream.codecpar;
    if (par.codec_id != AV_CODEC_ID_H264 && par.codec_id != AV_CODEC_ID_HEVC)
        return Error{ErrorCode::invalid,
                     fmt::format("media: the video is {}, only H.264 and H.265 can be recorded",
                                 avcodec_get_name(par.codec_id))};
    stream_ = index;
    codec_ = par.codec_id == AV_CODEC_ID_H264 ? Codec::h264 : Codec::h265;
    for (unsigned i = 0; i < in_->nb_streams; ++i)
        if (static_cast<int>(i) != index) in_->streams[i]->discard = AVDISCARD_ALL;
    const AVRational rate =
        stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
    if (rate.num > 0 && rate.den > 0 && rate.num / rate.den <= 1000)
        frame_duration_ = Micros(av_rescale(1'000'000, rate.den, rate.num));

    const ByteView config{par.extradata, static_cast<std::size_t>(std::max(0, par.extradata_size))};
    // A container that keeps Annex B (or nothing) in front: treat the track as a raw stream's
    // bytes.
    annexb_ = config.empty() || is_annexb(config) || config[0] != 1;
    if (annexb_) return begin_raw(stream);
    prefix_size_ = prefix_size(codec_, config);
    if (prefix_size_ == 3) return Error{ErrorCode::corrupt, "media: length prefixes of 3 bytes"};
    VideoTrack track{.codec = codec_,
                     .width = static_cast<std::uint16_t>(std::clamp(par.width, 0, 65535)),
                     .height = static_cast<std::uint16_t>(std::clamp(par.height, 0, 65535)),
                     .codec_config = with_prefix_size_4(codec_, config),
                     .rfc6381 = {}};
    track.rfc6381 = rfc6381_of(codec_, track.codec_config);
    track_ = std::make_shared<const VideoTrack>(std::move(track));
    return {};
}

Result<void> AvMediaFile::begin_raw(const AVStream& stream) {
    HD_ASSIGN(RawStream raw,
              RawStream::begin(codec_, frame_duration_, stream.codecpar->video_delay));
    raw_ = std::move(raw);
    // The first unit brings the parameters that track() promises.
    while (!first_raw_ && !ended_) {
        HD_ASSIGN(first_raw_, raw_->pop());
        if (first_raw_) break;
        HD_ASSIGN(const bool more, read_packet());
        if (more) HD_TRY(raw_->push({packet_->data, static_cast<std::size_t>(packet_->size)}));
        if (!more) {
            ended_ = true;
            raw_->finish();
            HD_ASSIGN(first_raw_, raw_->pop());
        }
    }
    if (!first_raw_) return Error{ErrorCode::corrupt, "raw stream: no picture with its parameters"};
    track_ = first_raw_->track;
    return {};
}

// False at the end. A file that breaks off ends there, as a camera that was unplugged would.
Result<bool> AvMediaFile::read_packet() {
    for (;;) {
        av_packet_unref(packet_.get());
        const int rc = av_read_frame(in_.get(), packet_.get());
        if (rc == AVERROR_EOF || rc == AVERROR_INVALIDDATA || rc == AVERROR(EIO)) return false;
        if (rc < 0) return av_error(rc, "read media");
        if (packet_->stream_index == stream_ && packet_->size > 0) return true;
    }
}

Result<std::optional<OwnedSample>> AvMediaFile::next() {
    return raw_ ? next_raw() : next_packaged();
}

Result<std::optional<OwnedSample>> AvMediaFile::next_raw() {
    std::optional<RawStream::Unit> unit = std::exchange(first_raw_, std::nullopt);
    while (!unit) {
        HD_ASSIGN(unit, raw_->pop());
        if (unit || ended_) break;
        HD_ASSIGN(const bool more, read_packet());
        if (more) HD_TRY(raw_->push({packet_->data, static_cast<std::size_t>(packet_->size)}));
        if (!more) {
            ended_ = true;
            raw_->finish();
        }
    }
    if (!unit) return std::optional<OwnedSample>{};
    track_ = unit->track;
    return std::optional<OwnedSample>{std::move(unit->sample)};
}

Result<std::optional<OwnedSample>> AvMediaFile::next_packaged() {
    HD_ASSIGN(const bool more, read_packet());
    if (!more) return std::optional<OwnedSample>{};
    HD_ASSIGN(auto sample, to_sample(*packet_));
    return std::optional<OwnedSample>{std::move(sample)};
}

Result<OwnedSample> AvMediaFile::to_sample(const AVPacket& packet) {
    const AVRational base = in_->streams[stream_]->time_base;
    const ByteView bytes{packet.data, static_cast<std::size_t>(packet.size)};
    OwnedSample s;
    if (prefix_size_ == 4) {
        s.bytes = std::make_shared<const Bytes>(bytes.begin(), bytes.end());
    } else {
        auto wide = widen_prefixes(bytes, prefix_size_);
        if (!wide)
            return Error{ErrorCode::corrupt, "media: a frame's length prefixes do not add up"};
        s.bytes = std::make_shared<const Bytes>(std::move(*wide));
    }
    const KeyKind kind = key_kind(codec_, *s.bytes);
    s.idr = kind.idr;
    s.cra = kind.cra;
    const std::int64_t dts = packet.dts != AV_NOPTS_VALUE ? packet.dts : packet.pts;
    const std::int64_t pts = packet.pts != AV_NOPTS_VALUE ? packet.pts : dts;
    if (dts == AV_NOPTS_VALUE) {
        s.dts = s.pts = last_dts_ ? *last_dts_ + frame_duration_ : Micros(0);
    } else {
        s.dts = to_micros(dts, base);
        s.pts = to_micros(pts, base);
    }
    if (!origin_) origin_ = s.pts;
    s.dts -= *origin_;
    s.pts -= *origin_;
    // Decode times must grow; a container's rounding or damage may say otherwise.
    if (last_dts_ && s.dts <= *last_dts_) s.dts = *last_dts_ + Micros(1);
    s.pts = std::max(s.pts, s.dts);
    last_dts_ = s.dts;
    s.duration = packet.duration > 0 ? to_micros(packet.duration, base) : frame_duration_;
    return s;
}

}  // namespace

Result<std::unique_ptr<MediaFile>> MediaFile::open(const std::string& path) {
    auto file = std::make_unique<AvMediaFile>();
    if (auto opened = file->open(path); !opened) return opened.error().in(path);
    return std::unique_ptr<MediaFile>(std::move(file));
}

Result<std::unique_ptr<MediaFile>> MediaFile::open_bytes(ByteView bytes) {
    auto file = std::make_unique<AvMediaFile>();
    HD_TRY(file->open_memory(bytes));
    return std::unique_ptr<MediaFile>(std::move(file));
}

}  // namespace hd::mux
