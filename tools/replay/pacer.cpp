#include "tools/replay/pacer.hpp"

#include <algorithm>

namespace hd::replay {

Pacer::Pacer() : start_us_(g_get_monotonic_time()) {}

Tick Pacer::now() const { return Tick(g_get_monotonic_time() - start_us_); }

void Pacer::wake() {
    {
        const std::lock_guard lock(mutex_);
        woken_ = true;
    }
    woken_changed_.notify_one();
}

void Pacer::run(std::stop_token stop, const std::vector<CameraFeed*>& feeds) {
    while (!stop.stop_requested()) {
        const Tick at = now();
        Tick next = at + std::chrono::seconds(1);
        for (CameraFeed* feed : feeds) next = std::min(next, feed->step(at));
        std::unique_lock lock(mutex_);
        woken_changed_.wait_for(lock, stop, std::max(Tick(0), next - now()),
                                [this] { return woken_; });
        woken_ = false;
    }
}

}  // namespace hd::replay
