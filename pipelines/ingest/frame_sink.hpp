// The end of an encoding pipeline: turns samples of H.264 access units (avc) into events. Lives on
// one GStreamer streaming thread; never blocks.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "pipelines/ingest/frame_times.hpp"
#include "pipelines/ingest/gst_handles.hpp"

namespace hd::ingest {

class FrameSink {
  public:
    struct Encoder {
        std::string name, why;  // as in StreamFormat
    };
    // `push` takes the events, on the streaming thread.
    explicit FrameSink(std::function<void(SourceEvent)> push) : push_(std::move(push)) {}

    void set_encoder(Encoder encoder) { encoder_ = std::move(encoder); }  // before attach()

    // What the pipeline's time 0 is. Before its first buffer.
    void set_base(BootTime base) { base_ = base; }

    // Takes samples from `appsink` from now on. This must outlive the element's last sample.
    void attach(GstElement* appsink);

    // After close() nothing enters the ingress any more. Any thread.
    void close();

  private:
    static GstFlowReturn on_new_sample(GstAppSink* sink, gpointer self);
    void push(SourceEvent event);  // nothing after close()
    void take(GstSample* sample);
    bool take_format(GstCaps* caps);

    const std::function<void(SourceEvent)> push_;  // Constant after construction.
    Encoder encoder_;                              // Constant after attach().
    BootTime base_;                                // Constant after the first buffer.

    std::mutex closing_mutex_;  // Held while an event enters the ingress, so that close() is final.
    bool closed_ = false;       // Guarded by closing_mutex_.

    // Only the streaming thread.
    GstCapsPtr caps_;
    std::optional<StreamFormat> format_;
    DecodeTimes times_;
    GstClockTime last_running_ = GST_CLOCK_TIME_NONE;
};

}  // namespace hd::ingest
