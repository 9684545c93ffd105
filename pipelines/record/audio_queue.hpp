// The sound that waits for its clip: it is written when a piece of video closes, so that video
// never waits for it and each clip gets what was heard while its pictures were taken. Bounded; what
// is too much, too early or too late is left out and counted. One thread.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/ingest/frame.hpp"
#include "pipelines/mux/audio_transcoder.hpp"

namespace hd::record {

class AudioQueue {
  public:
    // Of a new session: forgets what waits.
    void begin(const ingest::AudioFormat& format);
    void clear();
    void add(const ingest::AudioFrame& frame);

    // What is written; nothing if there is no sound.
    const std::optional<mux::AudioTrack>& track() const { return track_; }
    // For status and log: how it is recorded, or why not.
    const std::string& words() const { return words_; }

    struct Unit {
        std::shared_ptr<const void> owner;
        ByteView bytes;
        BootTime pts;  // grows strictly
        Micros duration{0};
    };
    // Those that begin in [from, until), oldest first. Older ones are left out.
    std::vector<Unit> take(BootTime from, BootTime until);
    std::uint64_t left_out() const { return left_out_; }

    // 10 s of 64 ms units are 160. Video that stands still for longer has lost its camera.
    static constexpr std::size_t kMostUnits = 640;
    static constexpr std::size_t kMostBytes = 512 << 10;

  private:
    void put(Unit unit);

    std::optional<mux::AudioTrack> track_;
    std::string words_;
    std::unique_ptr<mux::AudioTranscoder> transcoder_;
    std::vector<mux::EncodedAudio> encoded_;
    std::deque<Unit> queue_;
    std::size_t bytes_ = 0;
    std::optional<BootTime> last_pts_;
    std::uint64_t left_out_ = 0;
};

}  // namespace hd::record
