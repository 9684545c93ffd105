// A camera's video on its way through the hub's decoder and encoder: a reader hands over access
// units, or RTP packets of JPEG, and never waits; a thread of its own builds GStreamer's pipeline
// and feeds it. What comes out are frames in BOOTTIME, as any others.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

#include "pipelines/ingest/frame_sink.hpp"
#include "pipelines/ingest/gst_handles.hpp"
#include "pipelines/ingest/hub_encoder.hpp"
#include "pipelines/ingest/sdp.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::ingest {

class EncodeFeed {
  public:
    // Any thread calls them; neither may block. After `lose` the session is over.
    struct Listener {
        std::function<void(SourceEvent)> push;
        std::function<void(Lost)> lose;
    };
    // `clock` must outlive it.
    EncodeFeed(const link::RecorderSettings& settings, std::shared_ptr<EncoderDesk> desk,
               Clock& clock, Listener listener);
    ~EncodeFeed() { stop(); }
    EncodeFeed(const EncodeFeed&) = delete;
    EncodeFeed& operator=(const EncodeFeed&) = delete;

    // Takes the encoder that the desk picks, or loses the session with the desk's reason. Once,
    // before the first picture.
    void begin(const SdpMedia& media);

    // One thread. None waits: what does not fit is left out up to the next key frame, and counted.
    void take(const StreamFormat& format);
    void take(const Frame& frame);
    // A whole RTP packet of JPEG (RFC 2435), in order; `pts` of its picture.
    void take_packet(ByteView packet, BootTime pts);

    // Nothing is pushed afterwards. Does not return while a driver hangs.
    void stop();

    // What waits for the pipeline, at most: four seconds of 32 Mbit/s.
    static constexpr std::size_t kMaxWaiting = 16 << 20;
    // Loading plugins from a slow card takes seconds; what stands still for longer hangs.
    static constexpr Micros kPatience = std::chrono::seconds(8);

  private:
    struct Packet {
        Bytes bytes;
        BootTime pts;
    };
    struct Item {
        std::variant<StreamFormat, Frame, Packet> what;
        BootTime since;
        std::size_t bytes = 0;
    };
    void offer(Item item, BootTime pts, bool entry);
    void run();
    Result<void> build();
    void feed();
    std::optional<Item> next();
    void push(const StreamFormat& format);
    void push(const Frame& frame);
    void push(const Packet& packet);
    void push_buffer(GstBuffer* buffer, BootTime pts, BootTime dts);
    Lost lost_from(GstMessage* message);
    static GstBusSyncReply on_message(GstBus*, GstMessage* message, gpointer self);

    // Constant after begin().
    const link::RecorderSettings settings_;
    const std::shared_ptr<EncoderDesk> desk_;
    Clock& clock_;
    const Listener listener_;
    SdpMedia media_;
    std::unique_ptr<HubEncoder> encoder_;
    FrameSink sink_;
    std::thread thread_;

    std::mutex mutex_;  // Guards what follows, up to the empty line. Lock order: alone.
    std::condition_variable changed_;
    std::deque<Item> queue_;
    std::size_t waiting_ = 0;  // bytes in queue_
    bool open_ = false;

    // Only the reader's thread.
    bool skipping_ = false;  // to the next key frame
    bool hangs_ = false;
    std::optional<BootTime> left_out_;  // the last picture of which something was left out

    // Only the feeding thread.
    GstElementPtr pipeline_, entry_;
    std::optional<BootTime> base_;  // of the pipeline's times
};

}  // namespace hd::ingest
