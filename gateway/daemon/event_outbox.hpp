// Events on their way from any thread to `rpc`, which numbers and publishes them. When it is full
// the event is dropped and counted: a subscriber then lists again, nothing else depends on events.
#pragma once

#include <functional>
#include <string>

#include "gateway/daemon/bounded_queue.hpp"
#include "index/base/time.hpp"

namespace hd::daemon {

struct OutEvent {
    std::string topic;  // of docs/protocol.md section 5
    WallTime time;
    std::string fields;  // a JSON object
};

class EventOutbox {
  public:
    EventOutbox() : queue_(kMax) {}
    // `wake` ends the wait of the thread that drains. Set once, before other threads publish.
    void set_wake(std::function<void()> wake) { wake_ = std::move(wake); }

    void publish(std::string topic, WallTime time, std::string fields) {
        queue_.try_push({std::move(topic), time, std::move(fields)});
        if (wake_) wake_();
    }
    std::optional<OutEvent> next() { return queue_.pop(std::chrono::milliseconds(0)); }
    std::uint64_t dropped() const { return queue_.refused(); }

  private:
    // Sixteen cameras that all change state and close a clip give 50; twenty times that.
    static constexpr std::size_t kMax = 1024;
    BoundedQueue<OutEvent> queue_;
    std::function<void()> wake_;  // Constant once the threads run.
};

}  // namespace hd::daemon
