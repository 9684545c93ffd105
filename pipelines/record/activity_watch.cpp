#include "pipelines/record/activity_watch.hpp"

#include <utility>

namespace hd::record {

mux::VideoTrack track_of(const ingest::StreamFormat& f) {
    return {.codec = f.codec == ingest::Codec::h264 ? mux::Codec::h264 : mux::Codec::h265,
            .width = f.width,
            .height = f.height,
            .codec_config = f.codec_config,
            .rfc6381 = f.rfc6381};
}

void ActivityWatch::offer(const ingest::Frame& key_frame, const ingest::StreamFormat& format,
                          RunId run) {
    {
        const std::lock_guard lock(mutex_);
        const bool soon =
            newest_ && key_frame.pts >= *newest_ && key_frame.pts - *newest_ < kLeastApart;
        if (in_work_ || next_ || soon) return skip();
        newest_ = key_frame.pts;
        next_ = Job{key_frame, format, run};
    }
    ready_.notify_one();
}

void ActivityWatch::skip() {
    if (done_.skipped < UINT8_MAX) ++done_.skipped;
}

clip::Activity ActivityWatch::take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(done_, {});
}

void ActivityWatch::run() {
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            ready_.wait(lock, [this] { return next_ || closed_; });
            if (closed_) return;
        }
        step();
    }
}

void ActivityWatch::step() {
    std::optional<Job> job;
    {
        const std::lock_guard lock(mutex_);
        job = std::exchange(next_, std::nullopt);
        in_work_ = job.has_value();
    }
    if (job) work(*job);
}

void ActivityWatch::work(const Job& job) {
    const auto score = this->score(job);
    const std::lock_guard lock(mutex_);
    in_work_ = false;
    if (!score) return skip();
    if (done_.scores.size() == clip::kMostActivityScores) {
        done_.scores.erase(done_.scores.begin());
        skip();
    }
    done_.scores.push_back(*score);
}

std::optional<clip::ActivityScore> ActivityWatch::score(const Job& job) {
    const auto fail = [&](const Error& error) {
        std::uint64_t suppressed = 0;
        if (fail_log_.allow(job.frame.pts.us, suppressed))
            log::warn("activity.no_score", "error=\"{}\" suppressed={}", error.what, suppressed);
        return std::nullopt;
    };
    if (format_ != job.format || run_ != job.run) {
        format_ = job.format;
        run_ = job.run;
        meter_.reset();
        auto begun = mux::ActivityMeter::begin(track_of(job.format));
        if (!begun) return fail(begun.error());
        meter_ = std::move(*begun);
    }
    if (!meter_) return std::nullopt;
    auto changed = meter_->score(job.frame.bytes);
    if (!changed) return fail(changed.error());
    return clip::ActivityScore{job.frame.pts, *changed};
}

void ActivityWatch::close() {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    ready_.notify_one();
}

}  // namespace hd::record
