// What a session over UDP receives: RTP of the video and the sound, and the video's RTCP, from the
// ports that the camera named. Nothing here waits. One thread.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "index/base/bytes.hpp"
#include "index/base/clock.hpp"
#include "pipelines/ingest/dialer.hpp"
#include "pipelines/ingest/rtsp_client.hpp"

struct pollfd;

namespace hd::ingest {

class Datagrams {
  public:
    Datagrams(CameraId camera, Clock& clock);
    ~Datagrams();

    // Reserves ports on the host that was dialled last and has `client` ask for UDP; `sound`: for
    // two tracks. Errors as of Dialer::reserve_ports().
    Result<void> begin(Dialer& dialer, RtspClient& client, bool sound, int wake);
    // Connects what the client was given since the last call, and says a word there, which opens
    // the way for what comes back. Errors as of Dialer::join_ports().
    Result<void> join(Dialer& dialer, const RtspClient& client, int wake);

    // For poll(): what receive() reads. Those that are not there are negative, which it passes
    // over.
    static constexpr std::size_t kSockets = 3;
    void to_poll(std::span<pollfd, kSockets> out) const;

    // Of each packet: the channel that stands for its port, and when it came.
    using Take = std::function<void(std::uint8_t, ByteView, BootTime)>;
    void receive(const Take& take);

    // True: what comes within kRest has room in the kernel's buffer, as far as the last minute
    // tells.
    static constexpr Micros kRest = std::chrono::milliseconds(80);
    bool may_rest() const;
    // A receiver report on the video.
    void send(ByteView report);

    // The video comes by UDP, and nothing came yet.
    bool silent() const { return video_.rtp && !heard_; }
    // Why that may be, for who has to mend it.
    std::string silence() const;

  private:
    struct Batch;
    struct Port {
        int socket = -1;
        std::uint8_t channel = 0;
    };
    std::array<Port, kSockets> ports() const;
    std::size_t receive_batch(const Port& port, const Take& take);
    void note_burst(BootTime now, std::size_t bytes);
    void note_dropped(std::uint32_t dropped, int socket);

    const CameraId camera_;
    Clock& clock_;
    RtspClient::OurPorts ours_;
    PortPair video_, audio_;
    std::uint8_t video_channel_ = 0, report_channel_ = 1, audio_channel_ = 2;
    CameraPorts camera_ports_;  // of the video
    std::string source_;        // from where the camera says that it sends
    bool heard_ = false;
    std::unique_ptr<Batch> batch_;
    BootTime drained_at_{};  // what is read came after this

    // How many bytes came within kRest at most, in this minute and in the one before.
    std::size_t room_ = 0;  // of the video's port
    BootTime joined_at_{}, span_begin_{}, minute_begin_{};
    std::size_t span_bytes_ = 0, most_ = 0, most_before_ = 0;
    std::array<std::uint32_t, kSockets> dropped_{};
};

}  // namespace hd::ingest
