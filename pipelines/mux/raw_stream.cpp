#include "pipelines/mux/raw_stream.hpp"

#include <algorithm>

#include "pipelines/mux/boxes.hpp"
#include "pipelines/mux/fragment_writer.hpp"
#include "pipelines/mux/nal.hpp"
#include "pipelines/mux/probe.hpp"

namespace hd::mux {
namespace {

// The most pictures that H.264 and H.265 hold back for reordering (max_dec_frame_buffering).
constexpr std::size_t kMaxReorder = 16;

}  // namespace

Result<RawStream> RawStream::begin(Codec codec, Micros frame_duration, int reorder) {
    RawStream s;
    s.codec_ = codec;
    s.frame_duration_ = frame_duration;
    s.delay_ = std::clamp(reorder, 0, static_cast<int>(kMaxReorder));
    const AVCodecID id = codec == Codec::h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_HEVC;
    s.context_.reset(avcodec_alloc_context3(nullptr));
    s.parser_.reset(av_parser_init(id));
    if (!s.context_ || !s.parser_)
        return Error{ErrorCode::unavailable, "this libavcodec has no parser for raw streams"};
    s.context_->codec_id = id;
    s.parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
    return s;
}

Result<void> RawStream::read_parameters(const std::vector<ByteView>& nals, ByteView annexb) {
    Bytes sets;
    for (const ByteView nal : nals)
        if (is_parameter_set(codec_, nal_type(codec_, nal))) {
            sets.insert(sets.end(), {0, 0, 0, 1});
            sets.insert(sets.end(), nal.begin(), nal.end());
        }
    std::uint8_t* ignored = nullptr;
    int ignored_size = 0;
    av_parser_parse2(parser_.get(), context_.get(), &ignored, &ignored_size, annexb.data(),
                     static_cast<int>(annexb.size()), AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
    if (sets.empty() || parser_->width <= 0 || sets == parameter_sets_) return {};
    // A lone PPS (some cameras repeat it before each picture) changes nothing that a file names.
    const auto is_sps = [this](ByteView nal) {
        return nal_type(codec_, nal) == (codec_ == Codec::h264 ? 7 : 33);
    };
    if (std::none_of(nals.begin(), nals.end(), is_sps)) return {};
    parameter_sets_ = std::move(sets);
    // libav knows how to make avcC and hvcC of parameter sets; its mp4 writer shows them.
    VideoTrack track{.codec = codec_,
                     .width = static_cast<std::uint16_t>(parser_->width),
                     .height = static_cast<std::uint16_t>(parser_->height),
                     .codec_config = parameter_sets_,
                     .rfc6381 = {}};
    HD_ASSIGN(const auto writer, FragmentWriter::begin(track, Micros(0)));
    const auto config = find_codec_config(writer->init());
    if (!config) return Error{ErrorCode::corrupt, "raw stream: no codec parameters in its SPS"};
    track.codec_config.assign(config->begin(), config->end());
    track.rfc6381 = rfc6381_of(codec_, track.codec_config);
    track_ = std::make_shared<const VideoTrack>(std::move(track));
    return {};
}

Result<void> RawStream::push(ByteView annexb) {
    const std::vector<ByteView> nals = split_annexb(annexb);
    if (nals.empty()) return {};
    HD_TRY(read_parameters(nals, annexb));
    if (!track_) return {};
    auto bytes = std::make_shared<const Bytes>(to_length_prefixed(nals));
    const KeyKind kind = key_kind(codec_, *bytes);
    // Picture order counts begin again at an IDR: everything before is shown before.
    if (kind.idr) rank_all();
    int order = parser_->output_picture_number;
    while (unranked_.contains(order)) ++order;  // damaged stream: keep decode order
    unranked_.emplace(order, popped_ + waiting_.size());
    waiting_.push_back({Unit{OwnedSample{.bytes = std::move(bytes),
                                         .duration = frame_duration_,
                                         .idr = kind.idr,
                                         .cra = kind.cra},
                             track_},
                        std::nullopt});
    if (unranked_.size() > kMaxReorder) rank_first();
    return {};
}

void RawStream::rank_first() {
    const std::size_t decode_number = unranked_.begin()->second;
    unranked_.erase(unranked_.begin());
    waiting_[decode_number - popped_].rank = ranked_;
    // Until the first unit is handed out, the delay can still grow to what the stream needs.
    if (popped_ == 0) delay_ = std::max(delay_, static_cast<std::int64_t>(decode_number) - ranked_);
    ++ranked_;
}

void RawStream::rank_all() {
    while (!unranked_.empty()) rank_first();
}

Result<std::optional<RawStream::Unit>> RawStream::pop() {
    if (waiting_.empty() || !waiting_.front().rank) return std::optional<Unit>{};
    Unit unit = std::move(waiting_.front().unit);
    const std::int64_t rank = *waiting_.front().rank;
    waiting_.pop_front();
    const std::int64_t decode_number = static_cast<std::int64_t>(popped_++);
    unit.sample.pts = frame_duration_ * rank;
    unit.sample.dts = frame_duration_ * (decode_number - delay_);
    if (unit.sample.dts > unit.sample.pts)
        return Error{ErrorCode::corrupt,
                     "raw stream: its picture order cannot be followed; put it into an mp4 first"};
    return std::optional<Unit>{std::move(unit)};
}

}  // namespace hd::mux
