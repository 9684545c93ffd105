// What the thread of a lean source does: one connection, from dialling to its end.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "index/base/files.hpp"
#include "pipelines/ingest/byte_stream.hpp"
#include "pipelines/ingest/datagrams.hpp"
#include "pipelines/ingest/dialer.hpp"
#include "pipelines/ingest/receive_buffer.hpp"
#include "pipelines/ingest/rtsp_client.hpp"
#include "pipelines/ingest/rtsp_url.hpp"
#include "pipelines/ingest/source.hpp"
#include "pipelines/ingest/stream_receiver.hpp"

namespace hd::ingest {

class LeanReader {
  public:
    // Without a dialer it connects by itself.
    LeanReader(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
               std::shared_ptr<EncoderDesk> desk, std::shared_ptr<Dialer> dialer);

    Result<void> prepare();     // before run(): checks settings, opens what close() needs
    void run();                 // the thread; returns soon after close() or when all is over
    void close();               // any thread; nothing enters the ingress after it returned
    SourceStats stats() const;  // any thread

  private:
    // Any thread.
    void push(SourceEvent event);
    void say_lost(Lost lost);
    void wake();

    EncodeFeed* begin_encoding();
    void lose(journal::GapCause cause, std::string detail, Remedy remedy = Remedy::new_source);
    void lose_connection();
    bool asked_to_stop() const { return stop_.load(); }

    void run_once();
    bool connect_camera();
    bool open_stream(Fd connected);
    bool reserve_ports();
    bool join_ports();
    void give_up_network(Error error);
    void converse();
    bool wait_for_bytes();
    void tick(BootTime now);
    void take_datagrams(BootTime now);
    BootTime silence_until() const;
    bool receive();
    bool take_items();
    bool take_message(const RtspMessage& message);
    bool send_output();
    void hang_up();
    // Milliseconds for poll().
    int patience_ms() const;

    // Constant after prepare().
    const link::RecorderSettings settings_;
    Clock& clock_;
    Ingress& ingress_;
    const std::shared_ptr<EncoderDesk> desk_;
    std::shared_ptr<Dialer> dialer_;
    RtspUrl url_;
    Fd wake_;  // an eventfd: close() ends every wait

    std::atomic<bool> stop_{false};
    std::atomic<bool> lost_{false};                    // Set once, by whoever says Lost.
    std::atomic<std::uint64_t> frames_{0}, bytes_{0};  // that entered the ingress
    std::mutex closing_mutex_;  // Held while an event enters the ingress, so that close() is final.
    bool closed_ = false;       // Guarded by closing_mutex_.

    // Only the thread.
    RtspClient client_;
    EncodeFeed feed_;          // if the hub encodes; its events come on threads of its own
    StreamReceiver receiver_;  // what it counts: any thread
    std::unique_ptr<ByteStream> stream_;
    ReceiveBuffer buffer_;
    std::optional<Datagrams> datagrams_;  // with `udp`
    std::string output_;                  // not sent yet
    BootTime deadline_;                   // for the answer to PLAY
    BootTime read_at_{};                  // when the last bytes came
    bool rest_due_ = false;
    bool camera_spoke_ = false;  // on this connection
    bool again_without_audio_ = false;
};

}  // namespace hd::ingest
