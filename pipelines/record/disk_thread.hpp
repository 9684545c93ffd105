// The queue in front of ClipDisk, and the loop that the thread `disk` runs. Bounded: whoever fills
// it asks has_room() first and waits, so that frames pile up in one place only, the ingress.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "pipelines/record/clip_disk.hpp"

namespace hd::record {

class DiskThread final : public DiskSink {
  public:
    struct Options {
        // Sealed pieces that wait for the disk. A second of eight 64 Mbit/s cameras.
        std::uint64_t queue_bytes = 8ull << 20;
        Micros sync_period = std::chrono::seconds(1);
        // False: pieces are synced only when their clip ends (recording from a file, which can be
        // done again).
        bool sync_pieces = true;
    };
    // `disk` and `clock` must outlive this. `on_event` is called on the thread `disk`, without a
    // lock; it must not block.
    DiskThread(ClipDisk& disk, Clock& clock, Options options, std::function<void()> on_event);

    // Any thread. Accepts beyond queue_bytes what one frame can cause; false after close() or at
    // four times the limit.
    bool offer(DiskJob job) override;
    bool has_room() const;
    // Waits until has_room(), at most `timeout`.
    bool wait_for_room(Micros timeout);
    std::vector<DiskEvent> take_events();
    std::uint32_t sync_ms_max() const;

    // Returns when close() was called and everything offered before is done.
    void run();
    // One turn of run() that does not wait, for a program without that thread.
    void step();
    void close();

  private:
    struct Jobs {
        std::deque<DiskJob> jobs;
        std::optional<BootTime> waited_since;  // the first of them
    };
    Jobs take_jobs();  // mutex_ is held
    void work(Jobs offered);

    ClipDisk& disk_;  // Only the thread `disk`.
    Clock& clock_;
    const Options options_;                 // Constant after construction.
    const std::function<void()> on_event_;  // Constant after construction.
    std::optional<BootTime> sync_at_;       // Only the thread `disk`.

    // Guarded by mutex_. No lock is taken under it, and no I/O done.
    mutable std::mutex mutex_;
    std::condition_variable work_ready_, room_ready_;
    std::deque<DiskJob> queue_;
    BootTime waits_since_{};          // the first of it
    std::uint64_t queued_bytes_ = 0;  // the ones being worked on included
    std::vector<DiskEvent> events_;
    std::uint32_t sync_ms_max_ = 0;
    bool closed_ = false;
};

}  // namespace hd::record
