#include "pipelines/mux/mp4_export.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include <fcntl.h>
#include <unistd.h>

#include "index/base/files.hpp"
#include "pipelines/mux/av_handles.hpp"
#include "pipelines/mux/media_file.hpp"
#include "pipelines/mux/sound.hpp"

namespace hd::mux {
namespace {

struct AvIoClose {
    void operator()(AVIOContext* c) const { avio_closep(&c); }
};
using AvFileIo = std::unique_ptr<AVIOContext, AvIoClose>;

struct Chosen {
    std::vector<OwnedSample> samples;  // in decode order, times of the clip
    std::vector<OwnedSample> behind;   // shown after `to`; a clip that goes on may need them
    Micros show_from{0};
    std::uint64_t keyless = 0;  // would be shown, but nothing to decode them with came before
    std::vector<SoundUnit> sound;
};

// The whole clip's samples: a clip is at most 120 s, and its bytes are in memory already. Times as
// in the container.
Result<std::vector<OwnedSample>> read_all(MediaFile& file) {
    std::vector<OwnedSample> out;
    for (;;) {
        HD_ASSIGN(auto sample, file.next());
        if (!sample) break;
        if (!out.empty()) out.back().duration = sample->dts - out.back().dts;
        out.push_back(std::move(*sample));
    }
    for (OwnedSample& s : out) {
        s.pts += file.origin();
        s.dts += file.origin();
    }
    return out;
}

// From the last key picture at or before `from` (else the first key picture) to the last one, in
// decode order, that is shown before `to`. A clip that goes on needs no key picture.
Chosen choose(std::vector<OwnedSample> samples, Mp4Export::Part part, bool goes_on) {
    std::size_t begin = goes_on ? 0 : samples.size(), end = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const OwnedSample& s = samples[i];
        const bool key = s.idr || s.cra;
        if (key && (begin == samples.size() || s.pts <= part.from)) begin = i;
        if (s.pts < part.to) end = i + 1;
    }
    Chosen out;
    // The clip's begin is that of its first picture in decode order: others may be shown before it.
    const Micros from = part.from > Micros(0) ? part.from : Micros::min();
    if (!goes_on)
        for (std::size_t i = 0; i < std::min(begin, end); ++i)
            out.keyless += samples[i].pts >= from && samples[i].pts < part.to ? 1 : 0;
    if (begin >= end) return out;
    out.show_from = std::max(part.from, samples[begin].pts);
    const auto at = [&](std::size_t i) {
        return std::make_move_iterator(samples.begin() + static_cast<std::ptrdiff_t>(i));
    };
    out.samples.assign(at(begin), at(end));
    out.behind.assign(at(end), at(samples.size()));
    return out;
}

class AvMp4Export final : public Mp4Export {
  public:
    explicit AvMp4Export(std::string path) : path_(std::move(path)) {}
    ~AvMp4Export() override {
        if (created_ && !finished_) ::unlink(path_.c_str());
    }

    Result<void> create() {
        quiet_av();
        // libav opens files with mode 0666: create it ourselves, and let libav write into it.
        const Fd fd{::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
        if (!fd) return errno_error(errno, "create " + path_);
        created_ = true;
        return {};
    }

    Result<void> add_clip(ByteView fragmented, Part part) override {
        HD_ASSIGN(const auto file, MediaFile::open_bytes(fragmented));
        HD_ASSIGN(auto all, read_all(*file));
        if (track_ && *track_ != file->track())
            return Error{ErrorCode::invalid,
                         "the camera's codec parameters changed: one track cannot hold both"};
        HD_ASSIGN(auto sound, read_sound(fragmented));
        if (track_ && sound && !(sound_ && same_sound(*sound_, *sound->parameters)))
            return Error{ErrorCode::invalid,
                         "the camera's sound changed: one track cannot hold both"};
        const bool goes_on = part.after && decodable_;
        Chosen chosen = choose(std::move(all), part, goes_on);
        report_.dropped_frames += chosen.keyless;
        decodable_ = !chosen.samples.empty();
        if (!decodable_) return {};
        if (!track_) {
            if (sound) sound_ = std::move(sound->parameters);
            HD_TRY(open_output(file->track()));
            track_ = file->track();
        }
        if (sound) choose_sound(*sound, chosen, part);
        if (goes_on)
            HD_TRY(write_behind());
        else
            behind_.clear();
        shift_ = goes_on ? shift_ + *part.after : shift_of(chosen);
        HD_TRY(write_clip(chosen));
        behind_ = std::move(chosen.behind);
        return {};
    }

    std::uint64_t dropped_frames() const override { return report_.dropped_frames; }

    Result<ExportReport> finish() override {
        if (nothing_shown())
            return Error{ErrorCode::not_found, "nothing to export: no key picture in that window"};
        if (const int rc = av_write_trailer(out_.get()); rc < 0) return av_error(rc, "mp4 index");
        out_->pb = nullptr;
        io_.reset();
        const Fd fd{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
        if (!fd || ::fsync(fd.get()) != 0) return errno_error(errno, "sync " + path_);
        HD_ASSIGN(report_.size_bytes, real_file_system().size(path_));
        report_.shown = shown_end_;
        finished_ = true;
        return report_;
    }

  private:
    Result<void> open_output(const VideoTrack& track) {
        const std::string url = "file:" + path_;
        AVFormatContext* raw = nullptr;
        if (const int rc = avformat_alloc_output_context2(&raw, nullptr, "mp4", url.c_str());
            rc < 0)
            return av_error(rc, "mp4 writer");
        out_.reset(raw);
        AVIOContext* io = nullptr;
        if (const int rc = avio_open(&io, url.c_str(), AVIO_FLAG_WRITE); rc < 0)
            return av_error(rc, "open " + path_);
        io_.reset(io);
        out_->pb = io;
        out_->flags |= AVFMT_FLAG_BITEXACT;
        packet_.reset(av_packet_alloc());
        AVStream* stream = avformat_new_stream(out_.get(), nullptr);
        if (!stream || !packet_) return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
        HD_TRY(set_parameters(*stream->codecpar, track));
        stream->time_base = {1, 1'000'000};
        if (sound_) {
            AVStream* second = avformat_new_stream(out_.get(), nullptr);
            if (!second || avcodec_parameters_copy(second->codecpar, sound_.get()) < 0)
                return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
            second->codecpar->codec_tag = 0;
            second->time_base = {1, second->codecpar->sample_rate};
        }
        AvOptions options;
        options.set("movflags", "faststart");
        options.set("video_track_timescale", "1000000");
        if (const int rc = avformat_write_header(out_.get(), &options.raw); rc < 0)
            return av_error(rc, "mp4 header");
        return {};
    }

    static Result<void> set_parameters(AVCodecParameters& par, const VideoTrack& track) {
        const bool h264 = track.codec == Codec::h264;
        par.codec_type = AVMEDIA_TYPE_VIDEO;
        par.codec_id = h264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_HEVC;
        par.codec_tag = h264 ? MKTAG('a', 'v', 'c', '1') : MKTAG('h', 'v', 'c', '1');
        par.width = track.width;
        par.height = track.height;
        const std::size_t size = track.codec_config.size();
        par.extradata = static_cast<std::uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
        if (!par.extradata) return Error{ErrorCode::exhausted, "mp4 writer: no memory"};
        std::memcpy(par.extradata, track.codec_config.data(), size);
        par.extradata_size = static_cast<int>(size);
        return {};
    }

    bool nothing_shown() const { return report_.frames == report_.hidden_frames; }

    // What is heard while the chosen pictures are shown; nothing from before what was asked for.
    void choose_sound(Sound& sound, Chosen& chosen, Part part) const {
        const bool first = nothing_shown();
        Micros end{0};
        for (const OwnedSample& s : chosen.samples) end = std::max(end, s.pts + s.duration);
        end = std::min(end, part.to);
        for (SoundUnit& unit : sound.units)
            if (unit.pts < end && (!first || unit.pts >= chosen.show_from))
                chosen.sound.push_back(std::move(unit));
    }

    // Those that begin before `until`, with their times in the file.
    Result<void> write_sound(const Chosen& chosen, std::size_t& next, Micros shift, Micros until) {
        for (; next < chosen.sound.size() && chosen.sound[next].pts + shift < until; ++next) {
            const SoundUnit& unit = chosen.sound[next];
            // Heard before the cut between two clips, and perhaps written already.
            if (unit.pts + shift <= last_sound_) continue;
            last_sound_ = unit.pts + shift;
            const AVRational ticks{1, sound_->sample_rate};
            AVPacket* p = packet_.get();
            p->data = const_cast<std::uint8_t*>(unit.bytes->data());
            p->size = static_cast<int>(unit.bytes->size());
            p->stream_index = 1;
            p->pts = p->dts = av_rescale_q(last_sound_.count(), {1, 1'000'000}, ticks);
            p->duration = av_rescale_q(unit.duration.count(), {1, 1'000'000}, ticks);
            p->flags = AV_PKT_FLAG_KEY;
            const int rc = av_write_frame(out_.get(), p);
            p->data = nullptr;
            p->size = 0;
            if (rc < 0) return av_error(rc, "mp4 sound");
            ++report_.sound_units;
        }
        return {};
    }

    // What is shown first gets time 0, and what is before it a negative one, which the edit list
    // hides. Later clips: the first picture follows the last one shown.
    Micros shift_of(const Chosen& chosen) const {
        const OwnedSample& front = chosen.samples.front();
        Micros shift = nothing_shown() ? -chosen.show_from : shown_end_ - front.pts;
        if (report_.frames > 0 && front.dts + shift <= last_dts_)
            shift = last_dts_ + Micros(1) - front.dts;
        return shift;
    }

    Result<void> write_clip(const Chosen& chosen) {
        std::size_t next_sound = 0;
        for (const OwnedSample& s : chosen.samples) {
            HD_TRY(write_sound(chosen, next_sound, shift_, s.dts + shift_));
            HD_TRY(write_sample(s));
        }
        return write_sound(chosen, next_sound, shift_, Micros::max());
    }

    // The end of the clip before was left out, and now the pictures that need it came.
    Result<void> write_behind() {
        for (const OwnedSample& s : std::exchange(behind_, {})) HD_TRY(write_sample(s));
        return {};
    }

    Result<void> write_sample(const OwnedSample& s) {
        // Decode times grow, whatever two clips say of the instant between them.
        const Micros earliest = report_.frames > 0 ? last_dts_ + Micros(1) : Micros::min();
        last_dts_ = std::max(s.dts + shift_, earliest);
        const Micros pts = std::max(s.pts + shift_, last_dts_);
        const bool hidden = pts < Micros(0);
        AVPacket* p = packet_.get();
        p->data = const_cast<std::uint8_t*>(s.bytes->data());
        p->size = static_cast<int>(s.bytes->size());
        p->stream_index = 0;
        p->pts = pts.count();
        p->dts = last_dts_.count();
        p->duration = s.duration.count();
        p->flags = s.idr || s.cra ? AV_PKT_FLAG_KEY : 0;
        if (hidden) p->flags |= AV_PKT_FLAG_DISCARD;
        shown_end_ = std::max(shown_end_, pts + s.duration);
        ++report_.frames;
        report_.hidden_frames += hidden ? 1 : 0;
        const int rc = av_write_frame(out_.get(), p);
        p->data = nullptr;
        p->size = 0;
        if (rc < 0) return av_error(rc, "mp4 sample");
        return {};
    }

    std::string path_;
    bool created_ = false, finished_ = false;
    AvFileIo io_;
    AvOutput out_;  // refers to io_: goes first
    AvPacket packet_;
    std::optional<VideoTrack> track_;
    AvParameters sound_;
    Micros last_sound_{-1};
    Micros last_dts_{0};
    Micros shown_end_{0};
    Micros shift_{0};                  // from the newest clip's times to the file's
    bool decodable_ = false;           // at the end of the newest clip
    std::vector<OwnedSample> behind_;  // of it, shown after its `to`
    ExportReport report_;
};

}  // namespace

Result<std::unique_ptr<Mp4Export>> Mp4Export::begin(const std::string& path) {
    auto file = std::make_unique<AvMp4Export>(path);
    HD_TRY(file->create());
    return std::unique_ptr<Mp4Export>(std::move(file));
}

}  // namespace hd::mux
