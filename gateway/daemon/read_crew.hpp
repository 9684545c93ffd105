// A few threads that read files for a walk over the clips (index/store/rebuild.hpp, RunJobs). They
// live as long as the walk, at the lowest I/O priority that is still served on a busy disk, so that
// a recorder's fsync goes first. Header-only: the daemon and the command line tool both use it.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <sys/syscall.h>
#include <unistd.h>

namespace hd::daemon {

// Of the calling thread alone: best effort, the last of its eight levels (ioprio_set(2)). A disk
// scheduler that knows no priorities ignores it.
inline void lower_io_priority() {
    constexpr int kWhoProcess = 1, kBestEffort = 2, kClassShift = 13, kLast = 7;
    (void)::syscall(SYS_ioprio_set, kWhoProcess, 0, kBestEffort << kClassShift | kLast);
}

class ReadCrew {
  public:
    explicit ReadCrew(unsigned threads) {
        for (unsigned i = 0; i < std::clamp(threads, 1u, 4u); ++i)
            threads_.emplace_back([this] { work(); });
    }
    ~ReadCrew() {
        {
            const std::lock_guard lock(mutex_);
            end_ = true;
        }
        wake_.notify_all();
        for (std::thread& t : threads_) t.join();
    }
    ReadCrew(const ReadCrew&) = delete;
    ReadCrew& operator=(const ReadCrew&) = delete;

    // One caller at a time. `job` must not throw.
    void run(std::size_t count, const std::function<void(std::size_t)>& job) {
        std::unique_lock lock(mutex_);
        job_ = &job;
        next_ = 0;
        count_ = count;
        open_ = count;
        wake_.notify_all();
        done_.wait(lock, [this] { return open_ == 0; });
        job_ = nullptr;
    }

  private:
    // A lock for each file is nothing beside its read.
    void work() {
        lower_io_priority();
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return end_ || next_ < count_; });
            if (end_) return;
            const std::size_t mine = next_++;
            const auto* job = job_;
            lock.unlock();
            (*job)(mine);
            lock.lock();
            if (--open_ == 0) done_.notify_one();
        }
    }

    std::mutex mutex_;  // A leaf.
    std::condition_variable wake_, done_;
    const std::function<void(std::size_t)>* job_ = nullptr;  // guarded, as all below
    std::size_t next_ = 0, count_ = 0, open_ = 0;
    bool end_ = false;
    std::vector<std::thread> threads_;  // Constant after construction.
};

}  // namespace hd::daemon
