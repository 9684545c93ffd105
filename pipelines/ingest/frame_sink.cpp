#include "pipelines/ingest/frame_sink.hpp"

#include "pipelines/ingest/access_unit.hpp"

namespace hd::ingest {
namespace {

Bytes codec_config_of(const GstStructure* caps) {
    const GValue* value = gst_structure_get_value(caps, "codec_data");
    if (!value) return {};
    const MappedBuffer data(gst_value_get_buffer(value));
    return {data.bytes().begin(), data.bytes().end()};
}

}  // namespace

void FrameSink::attach(GstElement* appsink) {
    GstAppSinkCallbacks callbacks{};
    callbacks.new_sample = &FrameSink::on_new_sample;
    gst_app_sink_set_callbacks(GST_APP_SINK(appsink), &callbacks, this, nullptr);
}

void FrameSink::close() {
    const std::lock_guard lock(closing_mutex_);
    closed_ = true;
}

void FrameSink::push(SourceEvent event) {
    const std::lock_guard lock(closing_mutex_);
    if (!closed_) push_(std::move(event));
}

// On a GStreamer streaming thread.
GstFlowReturn FrameSink::on_new_sample(GstAppSink* sink, gpointer self) {
    const GstSamplePtr sample{gst_app_sink_pull_sample(sink)};
    if (!sample) return GST_FLOW_EOS;
    static_cast<FrameSink*>(self)->take(sample.get());
    return GST_FLOW_OK;
}

void FrameSink::take(GstSample* sample) {
    GstBuffer* buffer = gst_sample_get_buffer(sample);
    GstCaps* caps = gst_sample_get_caps(sample);
    if (!buffer || !caps) return;
    if (caps != caps_.get() && !take_format(caps)) return;
    const GstClockTime running = gst_segment_to_running_time(
        gst_sample_get_segment(sample), GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    // The parser loses the time of some access units (seen: parameter sets twice in front of a key
    // frame). They came one frame after the one before.
    if (GST_CLOCK_TIME_IS_VALID(running))
        last_running_ = running;
    else if (GST_CLOCK_TIME_IS_VALID(last_running_))
        last_running_ += static_cast<GstClockTime>(times_.frame_duration().count()) * 1000;
    if (!GST_CLOCK_TIME_IS_VALID(last_running_)) return;
    auto mapped = std::make_shared<const MappedBuffer>(buffer);
    Frame frame;
    frame.bytes = mapped->bytes();
    const EntryPoint entry = entry_point(format_->codec, frame.bytes);
    frame.idr = entry == EntryPoint::idr;
    frame.cra = entry == EntryPoint::cra;
    const auto times = times_.next(base_ + Micros(static_cast<std::int64_t>(last_running_ / 1000)));
    frame.pts = times.pts;
    frame.dts = times.dts;
    frame.owner = std::move(mapped);
    push(std::move(frame));
}

bool FrameSink::take_format(GstCaps* caps) {
    const GstStructure* s = gst_caps_get_structure(caps, 0);
    StreamFormat format;
    format.codec_config = codec_config_of(s);
    auto name = rfc6381_codec(format.codec, format.codec_config);
    if (!name) return false;  // No parameter sets yet.
    format.rfc6381 = *std::move(name);
    int width = 0, height = 0, rate_n = 0, rate_d = 1;
    gst_structure_get_int(s, "width", &width);
    gst_structure_get_int(s, "height", &height);
    gst_structure_get_fraction(s, "framerate", &rate_n, &rate_d);
    format.width = static_cast<std::uint16_t>(width);
    format.height = static_cast<std::uint16_t>(height);
    if (rate_n > 0) format.frame_duration = Micros(std::int64_t{1'000'000} * rate_d / rate_n);
    format.encoder = encoder_.name;
    format.encoder_why = encoder_.why;

    caps_.reset(gst_caps_ref(caps));
    // Caps also change when a claimed frame rate does; a clip need not be cut for that.
    const bool same =
        format_ && format_->codec == format.codec && format_->codec_config == format.codec_config;
    if (same) return true;
    times_.restart(reorder_depth(format.codec, format.codec_config), format.frame_duration);
    format_ = format;
    push(std::move(format));
    return true;
}

}  // namespace hd::ingest
