// The packets of one session become frames: order, depacketizing, times, sound, sender reports. One
// thread, except where said.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "index/base/clock.hpp"
#include "index/base/log.hpp"
#include "pipelines/ingest/depacketizer.hpp"
#include "pipelines/ingest/encode_feed.hpp"
#include "pipelines/ingest/frame_times.hpp"
#include "pipelines/ingest/media_clock.hpp"
#include "pipelines/ingest/receive_buffer.hpp"
#include "pipelines/ingest/reorder_buffer.hpp"
#include "pipelines/ingest/rtsp_client.hpp"
#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

class StreamReceiver {
  public:
    // `client` and `clock` must outlive it. `push` takes what the session has to tell. When it
    // begins it asks `encoder` once: who takes the video instead, and must outlive it; null: it is
    // kept as sent.
    StreamReceiver(const link::RecorderSettings& settings, const RtspClient& client, Clock& clock,
                   std::function<void(SourceEvent)> push, std::function<EncodeFeed*()> encoder);

    // The camera plays: says so, once.
    void begin();
    bool begun() const { return begun_; }

    // Of an interleaved channel, or from the ports that stand for it. `arrival`: when the last of
    // what was read with it came.
    void take(std::uint8_t channel, ByteView payload, BootTime arrival);
    // Set from the first packet on.
    std::optional<ReceiveBuffer::Known> known() const;

    // A receiver report on the video, if one is due; else empty.
    Bytes report(BootTime now);

    // Any thread.
    std::uint64_t unusable_frames() const { return unusable_.load(); }
    std::optional<CameraClock> camera_clock() const;

  private:
    void take_video(const RtpPacket& packet, ByteView whole, BootTime arrival);
    void take_jpeg(const RtpPacket& packet, ByteView whole, BootTime arrival);
    const PacketCounts& counts() const {
        return depacketizer_ ? depacketizer_->counts() : jpeg_.counts;
    }
    void release_held(BootTime now);
    void order_audio(const RtpPacket& packet, ByteView whole, BootTime arrival);
    void take_audio(const RtpPacket& packet, BootTime arrival);
    void take_rtcp(ByteView payload, BootTime arrival);
    void deliver(AccessUnit&& unit);
    void deliver_format(const AccessUnit::Format& format);
    void say_losses(BootTime now);

    const CameraId camera_;
    const RtspClient& client_;
    Clock& clock_;
    const std::function<void(SourceEvent)> push_;
    const std::function<EncodeFeed*()> encoder_;

    std::atomic<std::uint64_t> unusable_{0};
    mutable std::mutex clock_mutex_;  // Lock order: alone.
    CameraClockEstimate camera_clock_;

    bool begun_ = false;
    ReorderBuffer reorder_;
    EncodeFeed* feed_ = nullptr;
    std::optional<Depacketizer> depacketizer_;  // of H.264 and H.265
    struct {
        PacketOrder order;
        PacketCounts counts;
        std::optional<std::uint32_t> timestamp;  // of the picture that is coming
        BootTime pts;                            // of it
        bool damaged = false;                    // it, and counted
    } jpeg_;
    std::optional<MediaClock> media_clock_;
    std::optional<std::uint32_t> ssrc_;
    std::vector<AccessUnit> units_;
    std::optional<StreamFormat> format_;
    std::optional<AudioReceiver> audio_;
    std::optional<std::uint32_t> audio_ssrc_;
    ReorderBuffer audio_reorder_;  // only by UDP: a connection has its order
    std::vector<AudioFrame> audio_frames_;
    DecodeTimes times_;
    BootTime next_report_{};
    std::optional<SenderReport> last_report_;
    BootTime last_report_at_{};
    std::uint64_t losses_said_ = 0;
    log::RateLimit loss_log_{60'000'000};
};

}  // namespace hd::ingest
