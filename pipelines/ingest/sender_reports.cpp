// RTCP sender reports: what the camera's clock said, and when.
#include <fmt/format.h>
#include <gst/rtp/gstrtcpbuffer.h>

#include "pipelines/ingest/rtp_packet.hpp"
#include "pipelines/ingest/rtsp_session.hpp"

namespace hd::ingest {
namespace {

// One RTCP sender report: camera UTC and RTP time of one instant. UTC in microseconds; nothing if
// the camera has no clock (ntp 0).
std::optional<WallTime> report_time(GstBuffer* buffer) {
    GstRTCPBuffer rtcp = GST_RTCP_BUFFER_INIT;
    if (!gst_rtcp_buffer_map(buffer, GST_MAP_READ, &rtcp)) return std::nullopt;
    std::optional<WallTime> out;
    GstRTCPPacket packet;
    if (gst_rtcp_buffer_get_first_packet(&rtcp, &packet) &&
        gst_rtcp_packet_get_type(&packet) == GST_RTCP_TYPE_SR) {
        guint64 ntp = 0;
        gst_rtcp_packet_sr_get_sender_info(&packet, nullptr, &ntp, nullptr, nullptr, nullptr);
        out = SenderReport{.ntp = ntp}.utc();
    }
    gst_rtcp_buffer_unmap(&rtcp);
    return out;
}

}  // namespace

void RtspSession::on_handle_sync(GstElement* jitterbuffer, GstStructure* sync, gpointer self) {
    auto& source = *static_cast<RtspSession*>(self);
    guint64 report_rtp = 0, base_rtp = 0, base_time = 0;
    guint rate = 0;
    const GValue* report = gst_structure_get_value(sync, "sr-buffer");
    if (!report || !gst_structure_get_uint64(sync, "sr-ext-rtptime", &report_rtp) ||
        !gst_structure_get_uint64(sync, "base-rtptime", &base_rtp) ||
        !gst_structure_get_uint64(sync, "base-time", &base_time) ||
        !gst_structure_get_uint(sync, "clock-rate", &rate) || rate == 0)
        return;
    const auto camera = report_time(gst_value_get_buffer(report));
    if (!camera || !GST_CLOCK_TIME_IS_VALID(base_time)) return;
    const auto ticks = static_cast<std::int64_t>(report_rtp - base_rtp);
    const Micros since_base(ticks * 1'000'000 / static_cast<std::int64_t>(rate));
    const BootTime hub = source.sink_.to_boot(jitterbuffer, base_time) + since_base;
    const WallTime hub_utc{hub.us + wall_minus_boot(source.clock_).count()};
    const std::lock_guard lock(source.clock_mutex_);
    source.camera_clock_.add(*camera - hub_utc);
}

}  // namespace hd::ingest
