// The end of every ingest pipeline: turns samples of H.264 (avc) or H.265 (hvc1) access units into
// events. Lives on one GStreamer streaming thread; never blocks.
#pragma once

#include <atomic>
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
    // `clock` must outlive this; `push` takes the events, on any thread.
    FrameSink(Clock& clock, std::function<void(SourceEvent)> push)
        : clock_(clock), push_(std::move(push)) {}

    void set_encoder(Encoder encoder) { encoder_ = std::move(encoder); }  // before attach()

    // What the pipeline's time 0 is, before its first buffer; else its clock is CLOCK_MONOTONIC.
    void set_base(BootTime base) { base_ = base; }

    // Takes samples from `appsink` from now on. This must outlive the element's last sample.
    void attach(GstElement* appsink);

    // After close() nothing enters the ingress any more. Any thread.
    void close();
    void push(SourceEvent event);  // any thread; nothing after close()

    struct Counts {
        std::uint64_t frames, bytes, unusable;
    };
    Counts counts() const { return {frames_.load(), bytes_.load(), unusable_.load()}; }

    // BOOTTIME of a running time of `element`'s pipeline.
    BootTime to_boot(GstElement* element, GstClockTime running_time) const;

  private:
    static GstFlowReturn on_new_sample(GstAppSink* sink, gpointer self);
    void take(GstAppSink* sink, GstSample* sample);
    bool take_format(GstCaps* caps);
    void sample_clocks(bool force);

    Clock& clock_;                                 // Constant after construction.
    const std::function<void(SourceEvent)> push_;  // Constant after construction.
    Encoder encoder_;                              // Constant after attach().
    std::optional<BootTime> base_;                 // Constant after the first buffer.

    std::mutex closing_mutex_;  // Held while an event enters the ingress, so that close() is final.
    bool closed_ = false;       // Guarded by closing_mutex_.

    std::atomic<std::uint64_t> frames_{0}, bytes_{0}, unusable_{0};
    std::atomic<std::int64_t> boot_minus_monotonic_us_{0};

    // Only the streaming thread.
    GstCapsPtr caps_;
    std::optional<StreamFormat> format_;
    DecodeTimes times_;
    GstClockTime last_running_ = GST_CLOCK_TIME_NONE;
};

// Reads CLOCK_BOOTTIME minus CLOCK_MONOTONIC.
Micros boot_minus_monotonic(Clock& clock);

}  // namespace hd::ingest
