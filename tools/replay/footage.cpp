#include "tools/replay/footage.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "tools/replay/av_handles.hpp"

namespace hd::replay {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kExtensions{".mp4", ".m4v",  ".mov", ".mkv", ".h264",
                                                      ".264", ".h265", ".265", ".hevc"};
constexpr AVRational kMicroseconds{1, 1'000'000};

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

// A packet's times before they are made to begin at zero. Microseconds.
struct RawTimes {
    std::int64_t dts = AV_NOPTS_VALUE, pts = AV_NOPTS_VALUE;
    int display_order = 0;  // picture order count, of streams without times
};

// Reads one file's packets into a Footage.
class Loader {
  public:
    explicit Loader(const std::string& path) : path_(path) {}
    Result<Footage> load();

  private:
    Result<void> open();
    Result<void> open_video();
    void open_audio();
    Result<void> read_all();
    Result<void> take_video(AVPacket* packet);
    void take_audio(const AVPacket& packet);
    Result<void> set_times();
    void invent_times(Micros frame);
    Micros frame_duration() const;
    Error error(std::string_view rule) const {
        return {ErrorCode::invalid, fmt::format("{}: {}", path_, rule)};
    }

    const std::string path_;
    AvInput input_;
    AVStream* video_ = nullptr;
    AVStream* audio_ = nullptr;
    AvBsf to_annexb_;
    AvParser parser_;
    AvCodec parser_codec_;
    Bytes parameter_sets_;  // Annex B, from the header of the file
    std::vector<RawTimes> times_;
    std::vector<std::int64_t> audio_pts_;
    Footage out_;
};

Result<void> Loader::open() {
    AVFormatContext* raw = nullptr;
    if (const int rc = avformat_open_input(&raw, path_.c_str(), nullptr, nullptr); rc < 0)
        return av_error(rc, path_);
    input_.reset(raw);
    if (const int rc = avformat_find_stream_info(raw, nullptr); rc < 0) return av_error(rc, path_);
    return {};
}

Result<void> Loader::open_video() {
    const int index = av_find_best_stream(input_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    if (index < 0) return error("has no video track");
    video_ = input_->streams[index];
    const AVCodecParameters& par = *video_->codecpar;
    if (par.codec_id != AV_CODEC_ID_H264 && par.codec_id != AV_CODEC_ID_HEVC)
        return error(fmt::format("video is {}; only H.264 and H.265 can be served",
                                 avcodec_get_name(par.codec_id)));
    out_.codec = par.codec_id == AV_CODEC_ID_H264 ? VideoCodec::h264 : VideoCodec::h265;
    out_.width = par.width;
    out_.height = par.height;

    const char* filter = out_.codec == VideoCodec::h264 ? "h264_mp4toannexb" : "hevc_mp4toannexb";
    AVBSFContext* raw = nullptr;
    if (const int rc = av_bsf_alloc(av_bsf_get_by_name(filter), &raw); rc < 0)
        return av_error(rc, path_);
    to_annexb_.reset(raw);
    avcodec_parameters_copy(raw->par_in, &par);
    raw->time_base_in = video_->time_base;
    if (const int rc = av_bsf_init(raw); rc < 0) return av_error(rc, path_);
    const AVCodecParameters& annexb = *raw->par_out;
    if (annexb.extradata_size > 4 && annexb.extradata[0] == 0)
        parameter_sets_.assign(annexb.extradata, annexb.extradata + annexb.extradata_size);

    // Only raw streams need it: their packets have no display times.
    parser_.reset(av_parser_init(par.codec_id));
    parser_codec_.reset(avcodec_alloc_context3(nullptr));
    if (!parser_ || !parser_codec_) return error("no memory for a parser");
    parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
    avcodec_parameters_to_context(parser_codec_.get(), &annexb);
    return {};
}

void Loader::open_audio() {
    const int index = av_find_best_stream(input_.get(), AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
    if (index < 0) return;
    const AVCodecParameters& par = *input_->streams[index]->codecpar;
    AudioTrack track;
    track.rate = par.sample_rate;
    track.channels = par.ch_layout.nb_channels;
    if (par.codec_id == AV_CODEC_ID_AAC && par.extradata_size >= 2) {
        track.codec = AudioCodec::aac;
        track.codec_config.assign(par.extradata, par.extradata + par.extradata_size);
    } else if (par.codec_id == AV_CODEC_ID_PCM_ALAW || par.codec_id == AV_CODEC_ID_PCM_MULAW) {
        track.codec = par.codec_id == AV_CODEC_ID_PCM_ALAW ? AudioCodec::pcma : AudioCodec::pcmu;
    } else if (par.codec_id == AV_CODEC_ID_OPUS) {
        track.codec = AudioCodec::opus;
    } else {
        out_.audio_left_out =
            fmt::format("{} (only AAC, Opus and G.711 are)", avcodec_get_name(par.codec_id));
        return;
    }
    audio_ = input_->streams[index];
    out_.audio = std::move(track);
}

Result<void> Loader::take_video(AVPacket* packet) {
    RawTimes times;
    const auto us = [&](std::int64_t t) {
        return t == AV_NOPTS_VALUE ? t : av_rescale_q(t, video_->time_base, kMicroseconds);
    };
    times.dts = us(packet->dts);
    times.pts = us(packet->pts);
    std::uint8_t* ignored = nullptr;
    int ignored_size = 0;
    av_parser_parse2(parser_.get(), parser_codec_.get(), &ignored, &ignored_size, packet->data,
                     packet->size, AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
    times.display_order = parser_->output_picture_number;

    const Bytes bytes =
        without_repeats(out_.codec, {packet->data, static_cast<std::size_t>(packet->size)});
    AccessUnitFacts facts = inspect(out_.codec, bytes);
    if (facts.first_vcl == bytes.size()) return {};   // No picture in it.
    if (out_.video.empty() && !facts.key) return {};  // Nothing can be decoded before a key frame.
    VideoUnit unit;
    unit.offset = out_.video_bytes.size();
    unit.key = facts.key;
    if (facts.key && !facts.has_parameter_sets) {
        out_.video_bytes.insert(out_.video_bytes.end(), parameter_sets_.begin(),
                                parameter_sets_.end());
        facts.first_vcl += parameter_sets_.size();
    }
    out_.video_bytes.insert(out_.video_bytes.end(), bytes.begin(), bytes.end());
    unit.size = out_.video_bytes.size() - unit.offset;
    unit.first_vcl = facts.first_vcl;
    if (out_.video_bytes.size() > kMaxFootageBytes)
        return error(fmt::format("more than {} bytes of video; cut the file", kMaxFootageBytes));
    out_.video.push_back(unit);
    times_.push_back(times);
    return {};
}

void Loader::take_audio(const AVPacket& packet) {
    if (packet.pts == AV_NOPTS_VALUE) return;
    AudioTrack& track = *out_.audio;
    track.units.push_back({track.bytes.size(), static_cast<std::size_t>(packet.size), {}});
    track.bytes.insert(track.bytes.end(), packet.data, packet.data + packet.size);
    audio_pts_.push_back(av_rescale_q(packet.pts, audio_->time_base, kMicroseconds));
}

Result<void> Loader::read_all() {
    const AvPacketPtr packet{av_packet_alloc()};
    if (!packet) return error("no memory for a packet");
    while (av_read_frame(input_.get(), packet.get()) >= 0) {
        if (audio_ && packet->stream_index == audio_->index) take_audio(*packet);
        if (packet->stream_index == video_->index) {
            if (const int rc = av_bsf_send_packet(to_annexb_.get(), packet.get()); rc < 0)
                return av_error(rc, path_);
            while (av_bsf_receive_packet(to_annexb_.get(), packet.get()) >= 0) {
                HD_TRY(take_video(packet.get()));
                av_packet_unref(packet.get());
            }
        }
        av_packet_unref(packet.get());
    }
    if (out_.video.empty()) return error("holds no key frame");
    return {};
}

Micros Loader::frame_duration() const {
    AVRational rate = av_guess_frame_rate(input_.get(), video_, nullptr);
    const bool sane = rate.num > 0 && rate.den > 0 && av_q2d(rate) >= 0.1 && av_q2d(rate) <= 240;
    if (!sane) rate = {25, 1};
    return Micros(av_rescale(1'000'000, rate.den, rate.num));
}

// A raw stream: constant rate, display order from the pictures' order counts between key frames.
void Loader::invent_times(Micros frame) {
    std::vector<std::size_t> shown(times_.size());
    for (std::size_t i = 0; i < shown.size(); ++i) shown[i] = i;
    for (std::size_t begin = 0; begin < shown.size();) {
        std::size_t end = begin + 1;
        while (end < shown.size() && !out_.video[end].key) ++end;
        std::stable_sort(shown.begin() + static_cast<std::ptrdiff_t>(begin),
                         shown.begin() + static_cast<std::ptrdiff_t>(end),
                         [&](std::size_t a, std::size_t b) {
                             return times_[a].display_order < times_[b].display_order;
                         });
        begin = end;
    }
    std::int64_t delay = 0;  // In frames: how far a picture is shown before its turn to be decoded.
    for (std::size_t place = 0; place < shown.size(); ++place)
        delay = std::max(
            delay, static_cast<std::int64_t>(shown[place]) - static_cast<std::int64_t>(place));
    for (std::size_t place = 0; place < shown.size(); ++place) {
        RawTimes& t = times_[shown[place]];
        t.dts = static_cast<std::int64_t>(shown[place]) * frame.count();
        t.pts = (static_cast<std::int64_t>(place) + delay) * frame.count();
    }
}

Result<void> Loader::set_times() {
    const Micros frame = frame_duration();
    const bool no_times = std::any_of(times_.begin(), times_.end(), [](const RawTimes& t) {
        return t.pts == AV_NOPTS_VALUE || t.dts == AV_NOPTS_VALUE;
    });
    if (no_times) invent_times(frame);
    const std::int64_t origin = times_.front().dts;
    Micros last{-1};
    for (std::size_t i = 0; i < times_.size(); ++i) {
        VideoUnit& unit = out_.video[i];
        // A file may repeat a decode time; a camera never sends two frames at once.
        unit.dts = std::max(Micros(times_[i].dts - origin), last + Micros(1));
        unit.pts = std::max(Micros(times_[i].pts - origin), unit.dts);
        last = unit.dts;
    }
    out_.length = last + frame;
    if (!out_.audio) return {};
    auto& units = out_.audio->units;
    for (std::size_t i = 0; i < units.size(); ++i) units[i].pts = Micros(audio_pts_[i] - origin);
    std::erase_if(units, [&](const AudioUnit& u) {
        return u.pts < Micros(0) || u.pts >= out_.length;  // Outside the loop of the video.
    });
    if (units.empty()) out_.audio.reset();
    return {};
}

Result<Footage> Loader::load() {
    const fs::path path(path_);
    out_.name = url_name(path.stem().string());
    out_.origin = path.filename().string();
    HD_TRY(open());
    HD_TRY(open_video());
    open_audio();
    HD_TRY(read_all());
    HD_TRY(set_times());
    return std::move(out_);
}

}  // namespace

Result<Footage> load_footage(const std::string& path) {
    av_log_set_level(AV_LOG_FATAL);
    return Loader(path).load();
}

Result<std::vector<std::string>> video_files(const std::string& path) {
    std::error_code ec;
    if (!fs::exists(path, ec))
        return Error{ErrorCode::not_found, path + ": no such file or folder"};
    if (!fs::is_directory(path, ec)) return std::vector<std::string>{path};
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(path, ec)) {
        const std::string extension = lower(entry.path().extension().string());
        if (std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end())
            files.push_back(entry.path().string());
    }
    if (ec) return Error{ErrorCode::unavailable, path + ": " + ec.message()};
    if (files.empty())
        return Error{
            ErrorCode::invalid,
            path + ": no video file in it (.mp4 .m4v .mov .mkv .h264 .264 .h265 .265 .hevc)"};
    std::sort(files.begin(), files.end());
    return files;
}

std::string url_name(std::string_view file_name) {
    std::string out;
    for (const char c : lower(file_name)) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (plain)
            out.push_back(c);
        else if (!out.empty() && out.back() != '-')
            out.push_back('-');
    }
    while (!out.empty() && out.back() == '-') out.pop_back();
    return out.empty() ? "camera" : out;
}

}  // namespace hd::replay
