#include "pipelines/record/audio_queue.hpp"

#include <algorithm>

namespace hd::record {

using ingest::AudioCodec;

void AudioQueue::begin(const ingest::AudioFormat& format) {
    clear();
    track_.reset();
    transcoder_.reset();
    words_ = format.words;
    if (format.codec == AudioCodec::none) return;
    if (format.codec == AudioCodec::aac || format.codec == AudioCodec::opus) {
        track_ = mux::AudioTrack{
            .codec = format.codec == AudioCodec::aac ? mux::AudioCodec::aac : mux::AudioCodec::opus,
            .rate = format.rate,
            .channels = format.channels,
            .codec_config = format.codec_config};
        return;
    }
    auto made = mux::AudioTranscoder::begin(
        format.codec == AudioCodec::pcma ? mux::Law::a : mux::Law::mu, format.rate);
    if (!made) {
        words_ = "not recorded: " + made.error().what;
        return;
    }
    transcoder_ = std::move(*made);
    track_ = transcoder_->track();
}

void AudioQueue::clear() {
    left_out_ += queue_.size();
    queue_.clear();
    bytes_ = 0;
    last_pts_.reset();
}

void AudioQueue::add(const ingest::AudioFrame& frame) {
    if (!track_) return;
    if (!transcoder_) return put({frame.owner, frame.bytes, frame.pts, frame.duration});
    encoded_.clear();
    if (auto done = transcoder_->add(frame.bytes, frame.pts, encoded_); !done) {
        // The clip's track stays, empty from here on.
        transcoder_.reset();
        track_.reset();
        words_ = "not recorded: " + done.error().what;
        return;
    }
    for (mux::EncodedAudio& e : encoded_) put({e.bytes, *e.bytes, e.pts, e.duration});
}

void AudioQueue::put(Unit unit) {
    // A clock that was set back, or one that lies: never twice the same time.
    const Micros tick(1'000'000 / track_->rate + 1);
    if (last_pts_ && unit.pts < *last_pts_ + tick) unit.pts = *last_pts_ + tick;
    last_pts_ = unit.pts;
    bytes_ += unit.bytes.size();
    queue_.push_back(std::move(unit));
    while (queue_.size() > kMostUnits || bytes_ > kMostBytes) {
        bytes_ -= queue_.front().bytes.size();
        queue_.pop_front();
        ++left_out_;
    }
}

std::vector<AudioQueue::Unit> AudioQueue::take(BootTime from, BootTime until) {
    std::vector<Unit> out;
    while (!queue_.empty() && queue_.front().pts < until) {
        Unit unit = std::move(queue_.front());
        queue_.pop_front();
        bytes_ -= unit.bytes.size();
        if (unit.pts < from)
            ++left_out_;
        else
            out.push_back(std::move(unit));
    }
    return out;
}

}  // namespace hd::record
