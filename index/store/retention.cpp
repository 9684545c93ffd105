#include "index/store/retention.hpp"

#include <algorithm>
#include <deque>

namespace hd::store {
namespace {

// A camera makes a clip a minute; an hour without any is a hub that does not record.
constexpr Micros kTrustedBeyondNewest = std::chrono::hours(1);

// One camera's clips, oldest first, looked at only as far as the plan needs.
class Queue {
  public:
    Queue(const RetentionCamera& camera, const RetentionInput& input)
        : camera_(camera), input_(input) {
        const std::uint64_t clips = camera.totals.clips;
        left_ = clips > camera.limits.keep_clips ? clips - camera.limits.keep_clips : 0;
        bytes_ = camera.totals.bytes + camera.totals.pending_bytes;
    }

    // The oldest clip that may die; held ones are passed over and stay.
    const ClipRow* front() {
        while (!front_ && left_ > 0) {
            front_ = camera_.next_oldest ? camera_.next_oldest() : std::nullopt;
            if (!front_) {
                left_ = 0;
            } else if (is_held(*front_)) {
                front_.reset();
                --left_;
            }
        }
        return front_ ? &*front_ : nullptr;
    }
    ClipRow take() {
        ClipRow row = *front_;
        front_.reset();
        --left_;
        ++taken_;
        bytes_ -= std::min(bytes_, row.size_bytes);
        return row;
    }
    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t taken() const { return taken_; }
    const RetentionCamera& camera() const { return camera_; }

  private:
    bool is_held(const ClipRow& row) const {
        for (const TimeSpan& hold : input_.holds)
            if (hold.overlaps(row.span())) return true;
        return input_.held && input_.held(row);
    }

    const RetentionCamera& camera_;
    const RetentionInput& input_;
    std::optional<ClipRow> front_;
    std::uint64_t left_ = 0;   // that may be looked at before the newest ones begin
    std::uint64_t bytes_ = 0;  // after the plan so far
    std::uint64_t taken_ = 0;
};

class Planning {
  public:
    explicit Planning(const RetentionInput& input) : input_(input) {
        queues_.reserve(input.cameras.size());
        for (const RetentionCamera& camera : input.cameras) {
            queues_.emplace_back(camera, input);
            newest_ = std::max(newest_, camera.totals.last);
        }
    }

    RetentionPlan plan() {
        for (Queue& q : queues_) by_age(q);
        for (Queue& q : queues_) by_bytes(q);
        by_total(DeleteReason::total_bytes, over_total());
        // Marked already, and on its way out: not to be freed a second time.
        std::uint64_t free = input_.free_bytes;
        for (const RetentionCamera& camera : input_.cameras) free += camera.totals.garbage_bytes;
        const std::uint64_t lack = free < input_.reserve_bytes ? input_.reserve_bytes - free : 0;
        plan_.below_reserve = input_.free_bytes < input_.reserve_bytes;
        by_total(DeleteReason::free_space, lack > plan_.bytes ? lack - plan_.bytes : 0);
        return std::move(plan_);
    }

  private:
    bool full() const { return plan_.deletions.size() >= input_.max_delete; }

    void kill(Queue& q, DeleteReason why) {
        plan_.deletions.push_back({q.take(), why});
        plan_.bytes += plan_.deletions.back().clip.size_bytes;
    }

    // Age is the one rule that a wrong clock can turn against all clips at once: it needs a clock
    // that can be trusted and a "now" that is not before the newest clip. A "now" far behind the
    // newest clip is a hub that was off or a clock that ran ahead: age is counted from that clip
    // until there are newer ones. And it takes only a share in one pass, so that somebody can
    // notice.
    void by_age(Queue& q) {
        const CameraLimits& limits = q.camera().limits;
        if (!limits.max_age) return;
        const auto& last = q.camera().totals.last;
        if (!newest_) return;
        if (input_.now_quality == ClockQuality::unsynchronised || (last && input_.now < *last)) {
            plan_.age_ignored = true;
            return;
        }
        const auto share = static_cast<std::uint64_t>(static_cast<double>(q.camera().totals.clips) *
                                                      input_.max_delete_share);
        const std::uint64_t most = std::max<std::uint64_t>(1, share);
        const WallTime now = std::min(input_.now, *newest_ + kTrustedBeyondNewest);
        for (const ClipRow* row = q.front(); row; row = q.front()) {
            const Micros over = now - row->end - *limits.max_age;
            if (over.count() <= 0) return;
            if (full() || q.taken() >= most) {
                ++plan_.lag_clips;  // at least this one
                plan_.lag_age = std::max(plan_.lag_age, over);
                return;
            }
            kill(q, DeleteReason::camera_age);
        }
    }

    void by_bytes(Queue& q) {
        const auto& limit = q.camera().limits.max_bytes;
        if (!limit) return;
        while (q.bytes() > *limit && !full() && q.front()) kill(q, DeleteReason::camera_bytes);
        if (q.bytes() > *limit) camera_lag_ += q.bytes() - *limit;
        plan_.lag_bytes = std::max(plan_.lag_bytes, camera_lag_);
    }

    std::uint64_t over_total() const {
        if (!input_.max_total_bytes) return 0;
        std::uint64_t sum = 0;
        for (const Queue& q : queues_) sum += q.bytes();
        return sum > *input_.max_total_bytes ? sum - *input_.max_total_bytes : 0;
    }

    // Frees `bytes`, always from the oldest clip of all cameras.
    void by_total(DeleteReason why, std::uint64_t bytes) {
        std::uint64_t freed = 0;
        while (freed < bytes && !full()) {
            Queue* oldest = nullptr;
            for (Queue& q : queues_)
                if (q.front() && (!oldest || answer_order(*q.front(), *oldest->front())))
                    oldest = &q;
            if (!oldest) break;
            freed += oldest->front()->size_bytes;
            kill(*oldest, why);
        }
        // The same clip may be too much by several limits: the largest lack counts, not the sum.
        if (freed < bytes) plan_.lag_bytes = std::max(plan_.lag_bytes, bytes - freed);
    }

    const RetentionInput& input_;
    std::vector<Queue> queues_;
    std::optional<WallTime> newest_;  // end of the newest clip of all cameras
    std::uint64_t camera_lag_ = 0;    // sum over cameras
    RetentionPlan plan_;
};

}  // namespace

std::string_view to_string(DeleteReason r) {
    switch (r) {
        case DeleteReason::camera_age:
            return "camera_age";
        case DeleteReason::camera_bytes:
            return "camera_bytes";
        case DeleteReason::total_bytes:
            return "total_bytes";
        case DeleteReason::free_space:
            return "free_space";
    }
    return "unknown";
}

std::uint32_t sweep_allowance(Micros since_last, std::uint32_t per_s, bool below_reserve) {
    constexpr std::int64_t kSecondUs = 1'000'000;
    constexpr std::int64_t kHurry = 10;
    const std::int64_t us = std::clamp<std::int64_t>(since_last.count(), 0, kSecondUs);
    const std::int64_t rate = std::int64_t{per_s} * (below_reserve ? kHurry : 1);
    return static_cast<std::uint32_t>(us * rate / kSecondUs);
}

RetentionPlan plan_retention(const RetentionInput& input) { return Planning(input).plan(); }

}  // namespace hd::store
