// What the thread of a lean source does: one TCP connection, from connect to its end.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>

#include <sys/socket.h>

#include "index/base/files.hpp"
#include "index/base/log.hpp"
#include "pipelines/ingest/depacketizer.hpp"
#include "pipelines/ingest/dialer.hpp"
#include "pipelines/ingest/frame_times.hpp"
#include "pipelines/ingest/media_clock.hpp"
#include "pipelines/ingest/reorder_buffer.hpp"
#include "pipelines/ingest/rtsp_client.hpp"
#include "pipelines/ingest/rtsp_url.hpp"
#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

class LeanReader {
  public:
    // Without a dialer it connects by itself.
    LeanReader(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
               std::function<void()> on_jpeg, std::shared_ptr<Dialer> dialer);

    Result<void> prepare();     // before run(): checks settings, opens what close() needs
    void run();                 // the thread; returns soon after close() or when all is over
    void close();               // any thread; nothing enters the ingress after it returned
    SourceStats stats() const;  // any thread

  private:
    void push(SourceEvent event);
    void lose(journal::GapCause cause, std::string detail, Remedy remedy = Remedy::new_source);
    bool asked_to_stop() const { return stop_.load(); }

    void run_once();
    bool connect_camera();
    void converse();
    bool wait_for_bytes();
    void tick(BootTime now);
    BootTime arrival_of(const msghdr& read) const;
    bool surely_ours(ByteView head) const;
    bool receive();
    bool take_items();
    void take_packet(std::uint8_t channel, ByteView payload, BootTime arrival);
    void take_video(const RtpPacket& packet, BootTime arrival);
    void release_held(BootTime now);
    void take_rtcp(ByteView payload, BootTime arrival);
    void begin_stream();
    void deliver(AccessUnit&& unit);
    void take_audio(const RtpPacket& packet, BootTime arrival);
    void deliver_format(const AccessUnit::Format& format);
    void report_losses(BootTime now);
    void say_alive(BootTime now);
    bool send_output();
    void hang_up();
    journal::GapCause closed_cause() const;
    // Milliseconds for poll().
    int patience_ms() const;

    // Constant after prepare().
    const link::RecorderSettings settings_;
    Clock& clock_;
    Ingress& ingress_;
    const std::function<void()> on_jpeg_;
    std::shared_ptr<Dialer> dialer_;
    Fd wake_;  // an eventfd: close() ends every wait

    std::atomic<bool> stop_{false};
    std::mutex closing_mutex_;  // Held while an event enters the ingress, so that close() is final.
    bool closed_ = false;       // Guarded by closing_mutex_.

    std::atomic<std::uint64_t> frames_{0}, bytes_{0}, unusable_{0};
    mutable std::mutex clock_mutex_;  // Lock order: alone.
    CameraClockEstimate camera_clock_;

    // Only the thread.
    Fd socket_;
    RtspClient client_;
    std::string output_;  // not sent yet
    std::unique_ptr<std::uint8_t[]> buffer_;
    std::size_t begin_ = 0, end_ = 0;  // of what was received and not taken yet
    std::size_t garbage_bytes_ = 0;    // in a row
    bool lost_track_ = false;          // garbage came, and no packet of ours since
    BootTime deadline_;                // for the answer to PLAY
    BootTime read_at_{};               // when the last bytes came
    bool rest_due_ = false;
    BootTime next_report_{};
    bool connected_ = false;
    ReorderBuffer reorder_;
    std::optional<Depacketizer> depacketizer_;
    std::optional<MediaClock> media_clock_;
    std::optional<std::uint32_t> ssrc_;
    std::vector<AccessUnit> units_;
    std::optional<StreamFormat> format_;
    std::optional<AudioReceiver> audio_;
    std::vector<AudioFrame> audio_frames_;
    bool again_without_audio_ = false;
    DecodeTimes times_;
    std::optional<SenderReport> last_report_;
    BootTime last_report_at_{};
    std::uint64_t losses_said_ = 0;
    log::RateLimit loss_log_{60'000'000};
};

}  // namespace hd::ingest
