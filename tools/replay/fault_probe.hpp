// Where the faults of one camera's packets happen: behind its payloader, before TCP or UDP.
// GStreamer's streaming threads call in; begin() may come from any thread.
#pragma once

#include <functional>
#include <mutex>

#include <gst/rtsp-server/rtsp-server.h>

#include "tools/replay/packet_faults.hpp"

namespace hd::replay {

// Must outlive the media that it watches.
class FaultProbe {
  public:
    FaultProbe(std::uint64_t seed, std::function<Tick()> now);

    void begin(const Fault& fault);
    void watch_packets(GstElement* payloader);  // of a new media, before it runs
    void watch_reports(GstRTSPMedia* media);    // of a media that is prepared

  private:
    static GstPadProbeReturn on_packets(GstPad* pad, GstPadProbeInfo* info, gpointer self);
    static gboolean on_report(GObject*, GstBuffer* buffer, gboolean, gpointer self);
    std::vector<GstBuffer*> through_faults(GstBuffer* const* packets, std::size_t count);

    const std::function<Tick()> now_;
    std::mutex mutex_;
    PacketFaults faults_;  // Guarded by mutex_.
};

}  // namespace hd::replay
