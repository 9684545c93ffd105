// The queue between a source's streaming threads and the recorder. Bounded in bytes and in events;
// when it is full frames are refused and counted, never waited for.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>

#include "pipelines/ingest/frame.hpp"

namespace hd::ingest {

struct IngressLimits {
    std::uint64_t bytes = 32ull << 20;  // RecorderSettings::buffer_bytes
    std::size_t frames = 4096;          // over two minutes of 30 fps: bytes are the real limit
    // Beside the video's, so that neither takes the other's room. Some 15 s of 64 kbit/s.
    std::uint64_t audio_bytes = 128 << 10;
    std::size_t audio_frames = 1024;
};

// Any thread may push; one thread pops. No call blocks, except pop() up to its timeout.
class Ingress {
  public:
    explicit Ingress(IngressLimits limits) : limits_(limits) {}

    // False: this frame was refused. After a refusal of video every frame is refused until a key
    // frame fits again; a Dropped event then goes in front of it. Sound has its own, small room;
    // what does not fit is left out alone. Other events are never refused: a session
    // has few of them (a StreamFormat that no frame followed is replaced by the next one).
    bool push(SourceEvent event);

    // The oldest event; nothing after `timeout`, or earlier if somebody called wake().
    std::optional<SourceEvent> pop(Micros timeout);

    // Lets the current or the next pop() return at once.
    void wake();

    // Forgets what is queued. For a new session with the same ingress, after the old source has
    // stopped.
    void clear();

    struct Stats {
        std::uint64_t frames = 0;            // accepted since the start
        std::uint64_t bytes = 0;             // accepted since the start
        std::uint64_t refused_frames = 0;    // since the start
        std::uint64_t refused_audio = 0;     // since the start
        std::uint64_t bytes_queued = 0;      // now
        std::uint64_t bytes_queued_max = 0;  // since the start
        // Refused since a frame was last taken, for want of room or of a key frame: 0, none is.
        std::uint64_t dropping = 0;
    };
    Stats stats() const;

  private:
    bool admit(const Frame& frame);
    bool admit(const AudioFrame& frame);

    const IngressLimits limits_;  // Constant after construction.

    // Guarded by mutex_. No lock is taken under it.
    mutable std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<SourceEvent> queue_;
    std::size_t frames_queued_ = 0;
    std::size_t audio_queued_ = 0;
    std::uint64_t audio_bytes_queued_ = 0;
    bool woken_ = false;
    std::optional<Dropped> dropping_;
    Stats stats_;
};

}  // namespace hd::ingest
