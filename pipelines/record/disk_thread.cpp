#include "pipelines/record/disk_thread.hpp"

#include <algorithm>

namespace hd::record {
namespace {

// Events are small; a loop that takes none for so long has stopped looking.
constexpr std::size_t kMostEvents = 4096;

std::uint64_t cost(const DiskJob& job) {
    const auto* piece = std::get_if<WritePiece>(&job);
    return piece ? piece->age_file.size() + 512 : 512;
}

}  // namespace

DiskThread::DiskThread(ClipDisk& disk, Clock& clock, Options options,
                       std::function<void()> on_event)
    : disk_(disk), clock_(clock), options_(options), on_event_(std::move(on_event)) {}

bool DiskThread::offer(DiskJob job) {
    const BootTime now = clock_.boot();
    {
        const std::lock_guard lock(mutex_);
        if (closed_ || queued_bytes_ > 4 * options_.queue_bytes) return false;
        if (queue_.empty()) waits_since_ = now;
        queued_bytes_ += cost(job);
        queue_.push_back(std::move(job));
    }
    work_ready_.notify_one();
    return true;
}

bool DiskThread::has_room() const {
    const std::lock_guard lock(mutex_);
    return queued_bytes_ < options_.queue_bytes;
}

bool DiskThread::wait_for_room(Micros timeout) {
    std::unique_lock lock(mutex_);
    return room_ready_.wait_for(lock, timeout,
                                [this] { return queued_bytes_ < options_.queue_bytes; });
}

std::vector<DiskEvent> DiskThread::take_events() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
}

std::uint32_t DiskThread::sync_ms_max() const {
    const std::lock_guard lock(mutex_);
    return sync_ms_max_;
}

void DiskThread::close() {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    work_ready_.notify_one();
}

void DiskThread::run() {
    for (;;) {
        Jobs jobs;
        {
            std::unique_lock lock(mutex_);
            const auto ready = [this] { return closed_ || !queue_.empty(); };
            if (sync_at_) {
                const Micros left = std::max(*sync_at_ - clock_.boot(), Micros(0));
                work_ready_.wait_for(lock, left, ready);
            } else {
                work_ready_.wait(lock, ready);
            }
            if (closed_ && queue_.empty()) return;
            jobs = take_jobs();
        }
        work(std::move(jobs));
    }
}

void DiskThread::step() {
    Jobs jobs;
    {
        const std::lock_guard lock(mutex_);
        jobs = take_jobs();
    }
    work(std::move(jobs));
}

DiskThread::Jobs DiskThread::take_jobs() {
    Jobs out;
    if (!queue_.empty()) out.waited_since = waits_since_;
    out.jobs.swap(queue_);
    return out;
}

void DiskThread::work(Jobs offered) {
    std::uint64_t done_bytes = 0;
    for (DiskJob& job : offered.jobs) {
        done_bytes += cost(job);
        disk_.apply(std::move(job));
    }
    offered.jobs.clear();
    const BootTime now = clock_.boot();
    if (!disk_.unsynced()) sync_at_.reset();
    if (disk_.unsynced() && options_.sync_pieces) {
        // What waited here while the disk was slow missed no instant by that: its sync is due.
        if (!sync_at_)
            sync_at_ = next_sync(offered.waited_since.value_or(now), disk_.oldest_unsynced(),
                                 options_.sync_period);
        if (now >= *sync_at_) {
            disk_.sync();
            sync_at_.reset();
        }
    }
    std::vector<DiskEvent> events = disk_.take_events();
    const bool any = !events.empty();
    {
        const std::lock_guard lock(mutex_);
        queued_bytes_ -= done_bytes;
        sync_ms_max_ = disk_.sync_ms_max();
        for (DiskEvent& e : events)
            if (events_.size() < kMostEvents) events_.push_back(std::move(e));
    }
    room_ready_.notify_all();
    if (any && on_event_) on_event_();
}

}  // namespace hd::record
