// A queue between two threads with a limit. What happens when it is full is the caller's policy:
// try_push says no, and the caller counts.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace hd::daemon {

template <typename T>
class BoundedQueue {
  public:
    explicit BoundedQueue(std::size_t max) : max_(max) {}

    // False if it is full or closed; `item` is then left as it was.
    bool try_push(T&& item) {
        {
            const std::lock_guard lock(mutex_);
            if (closed_ || items_.size() >= max_) {
                ++refused_;
                return false;
            }
            items_.push_back(std::move(item));
        }
        filled_.notify_one();
        return true;
    }

    // Waits at most `timeout` for an item. Nothing: timed out, or closed and empty.
    std::optional<T> pop(std::chrono::milliseconds timeout) {
        std::unique_lock lock(mutex_);
        // A wait of zero would still sleep for the timer's slack: 50 us and more.
        if (timeout.count() > 0)
            filled_.wait_for(lock, timeout, [this] { return closed_ || !items_.empty(); });
        if (items_.empty()) return std::nullopt;
        std::optional<T> item(std::move(items_.front()));
        items_.pop_front();
        return item;
    }

    // No more items are taken in; what is inside can still be popped.
    void close() {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
        }
        filled_.notify_all();
    }

    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return items_.size();
    }
    std::uint64_t refused() const {
        const std::lock_guard lock(mutex_);
        return refused_;
    }

  private:
    const std::size_t max_;     // Constant after construction.
    mutable std::mutex mutex_;  // A leaf: nothing else is locked while it is held.
    std::condition_variable filled_;
    std::deque<T> items_;
    std::uint64_t refused_ = 0;
    bool closed_ = false;
};

}  // namespace hd::daemon
