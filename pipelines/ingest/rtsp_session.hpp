// One RTSP session as a GStreamer pipeline: rtspsrc, depayloader, parser, appsink. No main loop and
// no thread of its own: everything happens on GStreamer's threads and goes to the ingress.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "pipelines/ingest/frame_sink.hpp"
#include "pipelines/ingest/gst_handles.hpp"
#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

// Must stay in memory for as long as its pipeline's threads run: until stop() succeeded.
class RtspSession {
  public:
    RtspSession(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress)
        : settings_(settings), clock_(clock), sink_(clock, ingress) {}

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
    static GstBusSyncReply on_message(GstBus*, GstMessage* message, gpointer self);

    Result<void> configure(GstElement* rtspsrc);
    Result<void> link_branch(GstPad* pad, std::string_view encoding);
    void lose(Lost lost);

    // Constant after start().
    const link::RecorderSettings settings_;
    Clock& clock_;
    GstElementPtr pipeline_;

    FrameSink sink_;                      // Thread-safe where it is used from here.
    std::atomic<bool> connected_{false};  // Set once, when video pads appear.
    std::atomic<bool> lost_{false};       // Set once, by whoever says Lost.

    mutable std::mutex clock_mutex_;  // Lock order: alone.
    CameraClockEstimate camera_clock_;
    std::string offered_;  // What the SDP offers that we cannot take; for the error's words.
};

}  // namespace hd::ingest
