// Keeps real time for all cameras on one thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <vector>

#include "tools/replay/camera_feed.hpp"

namespace hd::replay {

class Pacer {
  public:
    Pacer();

    Tick now() const;  // any thread
    // Looks at all cameras again at once; any thread.
    void wake();
    // Steps the feeds, which must outlive the call, until stopped.
    void run(std::stop_token stop, const std::vector<CameraFeed*>& feeds);

  private:
    const std::int64_t start_us_;  // CLOCK_MONOTONIC when the program began
    std::mutex mutex_;
    std::condition_variable_any woken_changed_;
    bool woken_ = false;  // Guarded by mutex_.
};

}  // namespace hd::replay
