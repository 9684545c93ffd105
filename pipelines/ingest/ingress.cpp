#include "pipelines/ingest/ingress.hpp"

#include <algorithm>
#include <utility>

namespace hd::ingest {

bool Ingress::admit(const Frame& frame) {
    const bool fits = frames_queued_ < limits_.frames &&
                      stats_.bytes_queued + frame.bytes.size() <= limits_.bytes;
    if (fits && !dropping_) return true;
    // Frames that refer to a lost one are useless to every decoder, so the gap lasts to a key
    // frame.
    if (fits && frame.key()) {
        queue_.emplace_back(*std::exchange(dropping_, std::nullopt));
        return true;
    }
    if (!dropping_) dropping_ = Dropped{0, frame.pts};
    ++dropping_->frames;
    dropping_->first_pts = std::min(dropping_->first_pts, frame.pts);
    ++stats_.refused_frames;
    return false;
}

bool Ingress::admit(const AudioFrame& frame) {
    const bool fits = audio_queued_ < limits_.audio_frames &&
                      audio_bytes_queued_ + frame.bytes.size() <= limits_.audio_bytes;
    if (!fits || dropping_) {
        ++stats_.refused_audio;
        return false;
    }
    ++audio_queued_;
    audio_bytes_queued_ += frame.bytes.size();
    return true;
}

bool Ingress::push(SourceEvent event) {
    {
        const std::lock_guard lock(mutex_);
        if (auto* frame = std::get_if<Frame>(&event)) {
            if (!admit(*frame)) return false;
            ++frames_queued_;
            ++stats_.frames;
            stats_.bytes += frame->bytes.size();
            stats_.bytes_queued += frame->bytes.size();
            stats_.bytes_queued_max = std::max(stats_.bytes_queued_max, stats_.bytes_queued);
        } else if (const auto* audio = std::get_if<AudioFrame>(&event)) {
            if (!admit(*audio)) return false;
        } else if (std::holds_alternative<StreamFormat>(event) && !queue_.empty() &&
                   std::holds_alternative<StreamFormat>(queue_.back())) {
            queue_.pop_back();  // A camera that changes its format faster than it sends frames.
        }
        queue_.push_back(std::move(event));
    }
    ready_.notify_one();
    return true;
}

std::optional<SourceEvent> Ingress::pop(Micros timeout) {
    std::unique_lock lock(mutex_);
    // A wait for no time would still be a turn of the scheduler's.
    if (timeout > Micros(0))
        ready_.wait_for(lock, timeout, [this] { return woken_ || !queue_.empty(); });
    woken_ = false;
    if (queue_.empty()) return std::nullopt;
    std::optional<SourceEvent> event(std::move(queue_.front()));
    queue_.pop_front();
    if (const auto* frame = std::get_if<Frame>(&*event)) {
        --frames_queued_;
        stats_.bytes_queued -= frame->bytes.size();
    } else if (const auto* audio = std::get_if<AudioFrame>(&*event)) {
        --audio_queued_;
        audio_bytes_queued_ -= audio->bytes.size();
    }
    return event;
}

void Ingress::wake() {
    {
        const std::lock_guard lock(mutex_);
        woken_ = true;
    }
    ready_.notify_one();
}

void Ingress::clear() {
    std::deque<SourceEvent> gone;  // Frames are released outside the lock.
    {
        const std::lock_guard lock(mutex_);
        gone.swap(queue_);
        frames_queued_ = audio_queued_ = 0;
        audio_bytes_queued_ = 0;
        stats_.bytes_queued = 0;
        dropping_.reset();
    }
}

Ingress::Stats Ingress::stats() const {
    const std::lock_guard lock(mutex_);
    Stats now = stats_;
    if (dropping_) now.dropping = dropping_->frames;
    return now;
}

}  // namespace hd::ingest
