#include "tools/replay/fault_probe.hpp"

namespace hd::replay {
namespace {

// What a probe pushes itself comes by again, on the same thread.
thread_local bool t_pushing = false;

Bytes bytes_of(GstBuffer* buffer) {
    Bytes out(gst_buffer_get_size(buffer));
    gst_buffer_extract(buffer, 0, out.data(), out.size());
    return out;
}

}  // namespace

FaultProbe::FaultProbe(std::uint64_t seed, std::function<Tick()> now)
    : now_(std::move(now)), faults_(seed) {}

void FaultProbe::begin(const Fault& fault) {
    const std::lock_guard lock(mutex_);
    faults_.begin(fault, now_());
}

void FaultProbe::watch_packets(GstElement* payloader) {
    GstPad* pad = gst_element_get_static_pad(payloader, "src");
    const auto what =
        static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST);
    gst_pad_add_probe(pad, what, on_packets, this, nullptr);
    gst_object_unref(pad);
}

void FaultProbe::watch_reports(GstRTSPMedia* media) {
    if (gst_rtsp_media_n_streams(media) == 0) return;
    GObject* session = gst_rtsp_stream_get_rtpsession(gst_rtsp_media_get_stream(media, 0));
    if (!session) return;
    g_signal_connect(session, "on-sending-rtcp", G_CALLBACK(on_report), this);
    g_object_unref(session);
}

gboolean FaultProbe::on_report(GObject*, GstBuffer* buffer, gboolean, gpointer self) {
    auto& probe = *static_cast<FaultProbe*>(self);
    GstMapInfo map = GST_MAP_INFO_INIT;
    if (!gst_buffer_map(buffer, &map, GST_MAP_READWRITE)) return FALSE;
    {
        const std::lock_guard lock(probe.mutex_);
        probe.faults_.pass_report({map.data, map.size}, probe.now_());
    }
    gst_buffer_unmap(buffer, &map);
    return FALSE;
}

std::vector<GstBuffer*> FaultProbe::through_faults(GstBuffer* const* packets, std::size_t count) {
    std::vector<GstBuffer*> out;
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < count; ++i) {
        std::vector<Bytes> passed;
        faults_.pass(bytes_of(packets[i]), now_(), passed);
        for (const Bytes& bytes : passed) {
            GstBuffer* made = gst_buffer_new_memdup(bytes.data(), bytes.size());
            // The server goes by these times; a packet that was held back takes its follower's.
            gst_buffer_copy_into(made, packets[i], GST_BUFFER_COPY_METADATA, 0, gsize(-1));
            out.push_back(made);
        }
    }
    return out;
}

GstPadProbeReturn FaultProbe::on_packets(GstPad* pad, GstPadProbeInfo* info, gpointer self) {
    auto& probe = *static_cast<FaultProbe*>(self);
    if (t_pushing) return GST_PAD_PROBE_OK;
    {
        const std::lock_guard lock(probe.mutex_);
        if (!probe.faults_.active()) return GST_PAD_PROBE_OK;
    }
    std::vector<GstBuffer*> packets;
    if (info->type & GST_PAD_PROBE_TYPE_BUFFER) {
        packets.push_back(GST_PAD_PROBE_INFO_BUFFER(info));
    } else {
        GstBufferList* list = GST_PAD_PROBE_INFO_BUFFER_LIST(info);
        for (guint i = 0; i < gst_buffer_list_length(list); ++i)
            packets.push_back(gst_buffer_list_get(list, i));
    }
    t_pushing = true;
    for (GstBuffer* packet : probe.through_faults(packets.data(), packets.size()))
        gst_pad_push(pad, packet);
    t_pushing = false;
    return GST_PAD_PROBE_DROP;
}

}  // namespace hd::replay
