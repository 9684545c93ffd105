// The encoding part of a running pipeline: watches it from pad probes and says when it failed.
// Lives as long as its pipeline's threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "index/base/clock.hpp"
#include "pipelines/ingest/encoder_desk.hpp"
#include "pipelines/ingest/encoder_watch.hpp"
#include "pipelines/ingest/gst_handles.hpp"

namespace hd::ingest {

class HubEncoder {
  public:
    // `on_failed` may be called on any streaming thread, and must not block.
    HubEncoder(std::string element, unsigned frames_per_s, std::shared_ptr<EncoderDesk> desk,
               Clock& clock, std::function<void(std::string)> on_failed)
        : element_(std::move(element)),
          period_(GST_SECOND / frames_per_s),
          desk_(std::move(desk)),
          clock_(clock),
          on_failed_(std::move(on_failed)) {}

    // `bin`: made of an encode_branch().
    void attach(GstElement* bin);
    const std::string& element() const { return element_; }
    // An error that the pipeline reports: true if encoder or the caps around it are to blame.
    bool is_mine(GstMessage* error) const;
    // It will not be used again: the desk learns why. The phrase for status and journal.
    std::string blame(const std::string& why);

  private:
    static GstPadProbeReturn on_offered(GstPad*, GstPadProbeInfo*, gpointer self);
    static GstPadProbeReturn on_decoded(GstPad*, GstPadProbeInfo* info, gpointer self);
    static GstPadProbeReturn on_taken(GstPad* pad, GstPadProbeInfo* info, gpointer self);
    static GstPadProbeReturn on_given(GstPad*, GstPadProbeInfo* info, gpointer self);
    static void on_overrun(GstElement*, gpointer self);
    void note_size(GstCaps* caps);
    void ask_for_key(GstClockTime pts);

    const std::string element_;
    const GstClockTime period_;  // between two pictures, at least
    const std::shared_ptr<EncoderDesk> desk_;
    Clock& clock_;
    const std::function<void(std::string)> on_failed_;
    EncoderWatch watch_;
    GstElementPtr bin_, feed_, raw_;
    GstClockTime next_due_ = 0;  // Only the decoder's thread.
    // Times of pictures that went in; only the encoder's thread.
    GstClockTime taken_at_ = GST_CLOCK_TIME_NONE, key_at_ = GST_CLOCK_TIME_NONE;
    std::atomic<bool> key_given_{false};  // since the last picture went in
    std::atomic<std::uint32_t> width_{0}, height_{0};
    std::atomic<bool> blamed_{false};
};

}  // namespace hd::ingest
