#include "pipelines/ingest/hub_encoder.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>
#include <gst/video/video-event.h>

#include "index/base/log.hpp"
#include "pipelines/ingest/branch.hpp"

namespace hd::ingest {
namespace {

// Encoders count pictures, and a camera may send fewer than its limit: key frames are asked for by
// time. The last part lets an encoder that counted to two seconds itself be first.
constexpr GstClockTime kKeyPeriod = 2 * GST_SECOND + 50 * GST_MSECOND;

void probe(GstElement* bin, const char* element, const char* pad_name, GstPadProbeType what,
           GstPadProbeCallback callback, gpointer self) {
    const GstElementPtr e{gst_bin_get_by_name(GST_BIN(bin), element)};
    if (!e) return;
    const GstPadPtr pad{gst_element_get_static_pad(e.get(), pad_name)};
    gst_pad_add_probe(pad.get(), what, callback, self, nullptr);
}

}  // namespace

void HubEncoder::attach(GstElement* bin) {
    bin_.reset(GST_ELEMENT(gst_object_ref(bin)));
    raw_.reset(gst_bin_get_by_name(GST_BIN(bin), kRawName));
    g_signal_connect(raw_.get(), "overrun", G_CALLBACK(on_overrun), this);
    feed_.reset(gst_bin_get_by_name(GST_BIN(bin), kFeedName));
    g_signal_connect(feed_.get(), "overrun", G_CALLBACK(on_overrun), this);
    const auto both = static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER |
                                                   GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM);
    probe(bin, kFeedName, "sink", GST_PAD_PROBE_TYPE_BUFFER, on_offered, this);
    probe(bin, kRawName, "sink", GST_PAD_PROBE_TYPE_BUFFER, on_decoded, this);
    probe(bin, kEncoderName, "sink", both, on_taken, this);
    probe(bin, kSinkName, "sink", GST_PAD_PROBE_TYPE_BUFFER, on_given, this);
}

GstPadProbeReturn HubEncoder::on_offered(GstPad*, GstPadProbeInfo*, gpointer user) {
    auto& self = *static_cast<HubEncoder*>(user);
    const BootTime now = self.clock_.boot();
    // A driver that hangs may hold the decoder too: it waits for an answer about memory.
    guint decoded = 0, coded = 0;
    g_object_get(self.raw_.get(), "current-level-buffers", &decoded, nullptr);
    g_object_get(self.feed_.get(), "current-level-buffers", &coded, nullptr);
    if (const auto why = self.watch_.offered(now, std::max(decoded, coded)))
        self.on_failed_(self.blame(*why));
    if (!self.desk_->allows(self.element_))
        self.on_failed_(self.element_ + ": the hub gave it to another camera");
    if (const auto rates = self.watch_.rates(now))
        self.desk_->measured(
            {self.width_, self.height_, rates->millihertz_in, rates->millihertz_out});
    return GST_PAD_PROBE_OK;
}

// Leaves pictures out that come faster than the limit.
GstPadProbeReturn HubEncoder::on_decoded(GstPad*, GstPadProbeInfo* info, gpointer user) {
    auto& self = *static_cast<HubEncoder*>(user);
    const GstClockTime pts = GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info));
    if (!GST_CLOCK_TIME_IS_VALID(pts)) return GST_PAD_PROBE_OK;
    // Half a period of tolerance: times of a camera at the limit tremble.
    if (pts + self.period_ / 2 < self.next_due_ && pts + GST_SECOND > self.next_due_)
        return GST_PAD_PROBE_DROP;
    const bool late = pts > self.next_due_ + self.period_ || pts + GST_SECOND <= self.next_due_;
    self.next_due_ = (late ? pts : self.next_due_) + self.period_;
    return GST_PAD_PROBE_OK;
}

// Asks for a key frame if the last one was long ago, or was asked for long ago.
void HubEncoder::ask_for_key(GstClockTime pts) {
    if (!GST_CLOCK_TIME_IS_VALID(pts)) return;
    if (key_given_.exchange(false)) key_at_ = taken_at_;
    taken_at_ = pts;
    if (pts >= key_at_ && pts - key_at_ < kKeyPeriod) return;
    const bool first = key_at_ == GST_CLOCK_TIME_NONE;
    key_at_ = pts;
    if (first) return;
    const GstElementPtr encoder{gst_bin_get_by_name(GST_BIN(bin_.get()), kEncoderName)};
    const GstPadPtr pad{gst_element_get_static_pad(encoder.get(), "src")};
    gst_pad_send_event(pad.get(),
                       gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
}

GstPadProbeReturn HubEncoder::on_taken(GstPad*, GstPadProbeInfo* info, gpointer user) {
    auto& self = *static_cast<HubEncoder*>(user);
    const BootTime now = self.clock_.boot();
    if ((info->type & GST_PAD_PROBE_TYPE_BUFFER) != 0) {
        self.watch_.taken(now);
        self.ask_for_key(GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info)));
        return GST_PAD_PROBE_OK;
    }
    GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
    if (GST_EVENT_TYPE(event) != GST_EVENT_CAPS) return GST_PAD_PROBE_OK;
    self.watch_.prepared(now);  // Drivers hang when they are told the format, too.
    GstCaps* caps = nullptr;
    gst_event_parse_caps(event, &caps);
    self.note_size(caps);
    return GST_PAD_PROBE_OK;
}

GstPadProbeReturn HubEncoder::on_given(GstPad*, GstPadProbeInfo* info, gpointer user) {
    auto& self = *static_cast<HubEncoder*>(user);
    if (!GST_BUFFER_FLAG_IS_SET(GST_PAD_PROBE_INFO_BUFFER(info), GST_BUFFER_FLAG_DELTA_UNIT))
        self.key_given_ = true;
    self.watch_.given(self.clock_.boot());
    return GST_PAD_PROBE_OK;
}

// The queue is full and lets its oldest picture go.
void HubEncoder::on_overrun(GstElement*, gpointer user) {
    static_cast<HubEncoder*>(user)->desk_->left_out(1);
}

void HubEncoder::note_size(GstCaps* caps) {
    const GstStructure* s = gst_caps_get_structure(caps, 0);
    int width = 0, height = 0;
    gst_structure_get_int(s, "width", &width);
    gst_structure_get_int(s, "height", &height);
    width_ = static_cast<std::uint32_t>(width);
    height_ = static_cast<std::uint32_t>(height);
    desk_->measured({width_, height_, 0, 0});
}

bool HubEncoder::is_mine(GstMessage* error) const {
    // Formats that an encoder does not take come back through the queues to whoever pushes first.
    GError* raw_error = nullptr;
    gchar* raw_debug = nullptr;
    gst_message_parse_error(error, &raw_error, &raw_debug);
    const GErrorPtr words{raw_error};
    const GCharPtr debug{raw_debug};
    if (debug && std::string_view(debug.get()).find("not-negotiated") != std::string_view::npos)
        return true;
    GstObject* source = GST_MESSAGE_SRC(error);
    if (!source || !bin_ || !gst_object_has_as_ancestor(source, GST_OBJECT(bin_.get())))
        return false;
    GstElementFactory* factory =
        GST_IS_ELEMENT(source) ? gst_element_get_factory(GST_ELEMENT(source)) : nullptr;
    if (!factory) return true;
    // What a camera sends may be broken: that is no fault of the encoder.
    const std::string_view name = GST_OBJECT_NAME(factory);
    const bool decodes = gst_element_factory_list_is_type(
        factory, GST_ELEMENT_FACTORY_TYPE_DECODER | GST_ELEMENT_FACTORY_TYPE_DEPAYLOADER);
    return !decodes && name != "rtpjpegdepay";
}

std::string HubEncoder::blame(const std::string& why) {
    std::string phrase = fmt::format("{}: {}", element_, why);
    if (!blamed_.exchange(true)) {
        log::warn("encoder.broke", "element={} why=\"{}\"", element_, why);
        desk_->failed(element_, why, clock_.boot());
    }
    return phrase;
}

}  // namespace hd::ingest
