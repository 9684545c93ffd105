// One RTSP session as a GStreamer pipeline: rtspsrc, depayloader, parser, appsink. No main loop and
// no thread of its own: everything happens on GStreamer's threads and goes to the ingress.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include <gio/gio.h>

#include "pipelines/ingest/frame_sink.hpp"
#include "pipelines/ingest/gst_handles.hpp"
#include "pipelines/ingest/hub_encoder.hpp"
#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

// Must stay in memory for as long as its pipeline's threads run: until stop() succeeded.
class RtspSession {
  public:
    RtspSession(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
                std::shared_ptr<EncoderDesk> desk)
        : settings_(settings),
          clock_(clock),
          desk_(std::move(desk)),
          sink_(clock, [&ingress](SourceEvent e) { ingress.push(std::move(e)); }) {}

    Result<void> start();                  // as Source::start
    Result<void> stop(BootTime deadline);  // as Source::stop
    SourceStats stats() const;

  private:
    // GStreamer's callbacks; `self` is the source.
    static gboolean on_select_stream(GstElement*, guint, GstCaps* caps, gpointer self);
    static void on_pad_added(GstElement*, GstPad* pad, gpointer self);
    static void on_no_more_pads(GstElement*, gpointer self);
    static void on_new_manager(GstElement*, GstElement* manager, gpointer self);
    static void on_new_jitterbuffer(GstElement*, GstElement* jitterbuffer, guint, guint,
                                    gpointer self);
    static void on_handle_sync(GstElement*, GstStructure* sync, gpointer self);
    static gboolean on_accept_certificate(GstElement*, GTlsConnection*, GTlsCertificate* peer,
                                          GTlsCertificateFlags, gpointer self);
    static GstBusSyncReply on_message(GstBus*, GstMessage* message, gpointer self);

    Result<void> configure(GstElement* rtspsrc);
    Result<std::string> plan_branch(std::string_view encoding);
    Result<void> link_branch(GstPad* pad, std::string_view encoding);
    Lost lost_from(GstMessage* error);
    void lose(Lost lost);
    Lost refused_certificate(Lost otherwise);

    // Constant after start().
    const link::RecorderSettings settings_;
    Clock& clock_;
    const std::shared_ptr<EncoderDesk> desk_;
    GstElementPtr pipeline_;

    FrameSink sink_;                              // Thread-safe where it is used from here.
    std::atomic<bool> connected_{false};          // Set once, when video pads appear.
    std::atomic<bool> lost_{false};               // Set once, by whoever says Lost.
    std::unique_ptr<HubEncoder> hub_encoder_;     // Set once, before its pads have data.
    std::atomic<HubEncoder*> encoding_{nullptr};  // The same, for the bus.

    mutable std::mutex clock_mutex_;  // Lock order: alone.
    CameraClockEstimate camera_clock_;
    std::string fingerprint_;  // of a certificate that was not taken, for the error's words
    std::string offered_;      // What the SDP offers that we cannot take; for the error's words.
};

}  // namespace hd::ingest
