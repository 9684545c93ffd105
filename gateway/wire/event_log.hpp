// Numbers events and remembers the newest, so that a subscriber who missed some can ask for them.
//
// Passive and not thread-safe: belongs to the thread that owns the Server. Bounded: the oldest
// events go first.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "gateway/wire/message.hpp"

namespace hd::wire {

constexpr std::size_t kEventsKept = 4096;

class EventLog {
  public:
    // `run` names this life of the daemon: 8 hex digits, random.
    explicit EventLog(std::string run, std::size_t kept = kEventsKept);

    // `fields` is a JSON object made by JsonWriter, such as {"camera":"..."}; run, n and time are
    // put before its members. Returns the frames to publish.
    Frames append(std::string_view topic, WallTime time, std::string_view fields);

    // The reply of events.since: numbers above `n`, at most `limit`. Another run than ours: from
    // the oldest on.
    std::string since(std::string_view run, std::int64_t n, std::size_t limit) const;

    const std::string& run() const { return run_; }
    std::int64_t last() const { return last_; }

  private:
    struct Kept {
        std::string topic;
        std::string json;
    };
    std::string run_;
    std::size_t kept_max_;
    std::int64_t last_ = 0;
    std::deque<Kept> kept_;  // numbers last_ - size + 1 .. last_
};

}  // namespace hd::wire
