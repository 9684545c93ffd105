#include "tests/support/fake_encoders.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gst/base/gstbasetransform.h>
#include <gst/gst.h>
#include <gst/video/gstvideoencoder.h>
#include <gst/video/video.h>

namespace hd::test {
namespace {

struct FakeObject {
    GstVideoEncoder parent;
    guint64 frames;
};
// What a test asked for last. Read on streaming threads; the strings live as long as the program.
struct Wanted {
    std::string element;
    std::atomic<FakeEncoder> behaviour{FakeEncoder::ok};
};
struct FakeClass {
    GstVideoEncoderClass parent;
    Wanted* wanted;
};

constexpr guint64 kFramesBefore = 25;

FakeEncoder behaviour_of(GstVideoEncoder* e) {
    return reinterpret_cast<FakeClass*>(G_OBJECT_GET_CLASS(e))->wanted->behaviour;
}

// avcC of a constrained baseline stream with an SPS and a PPS that a parser accepts.
constexpr std::array<guint8, 29> kConfig{1,    66, 0xc0, 30,   0xff, 0xe1, 0,    11,   0x67, 66,
                                         0xc0, 30, 0xda, 0x02, 0x80, 0xf6, 0x84, 0x00, 0x00, 1,
                                         0,    4,  0x68, 0xce, 0x3c, 0x80, 0,    0,    0};

// As the Jetson's does.
bool makes_byte_stream(GstVideoEncoder* e) {
    return reinterpret_cast<FakeClass*>(G_OBJECT_GET_CLASS(e))->wanted->element == "nvv4l2h264enc";
}

gboolean open_device(GstVideoEncoder* e) {
    const FakeEncoder b = behaviour_of(e);
    while (b == FakeEncoder::never_opens) g_usleep(G_USEC_PER_SEC);
    if (b != FakeEncoder::open_fails) return TRUE;
    GST_ELEMENT_ERROR(e, RESOURCE, BUSY, ("device busy"), (nullptr));
    return FALSE;
}

gboolean set_format(GstVideoEncoder* e, GstVideoCodecState* input) {
    const FakeEncoder b = behaviour_of(e);
    if (b == FakeEncoder::refuses) return FALSE;
    if (b == FakeEncoder::aborts) std::abort();
    while (b == FakeEncoder::hangs) g_usleep(G_USEC_PER_SEC);
    if (b == FakeEncoder::wrong_caps) {
        gst_video_codec_state_unref(
            gst_video_encoder_set_output_state(e, gst_caps_new_empty_simple("video/x-vp8"), input));
        return TRUE;
    }
    if (makes_byte_stream(e)) {
        gst_video_codec_state_unref(gst_video_encoder_set_output_state(
            e, gst_caps_from_string("video/x-h264,stream-format=byte-stream,alignment=au"), input));
        return TRUE;
    }
    GstBuffer* config = gst_buffer_new_memdup(kConfig.data(), kConfig.size() - 3);
    GstCaps* caps = gst_caps_new_simple("video/x-h264", "stream-format", G_TYPE_STRING, "avc",
                                        "alignment", G_TYPE_STRING, "au", "profile", G_TYPE_STRING,
                                        "constrained-baseline", "level", G_TYPE_STRING, "4",
                                        "codec_data", GST_TYPE_BUFFER, config, nullptr);
    gst_buffer_unref(config);
    gst_video_codec_state_unref(gst_video_encoder_set_output_state(e, caps, input));
    return TRUE;
}

GstFlowReturn handle_frame(GstVideoEncoder* e, GstVideoCodecFrame* frame) {
    auto* self = reinterpret_cast<FakeObject*>(e);
    const FakeEncoder b = behaviour_of(e);
    const bool late = self->frames >= kFramesBefore;
    while (b == FakeEncoder::freezes && late) g_usleep(G_USEC_PER_SEC);
    if (b == FakeEncoder::slow) g_usleep(G_USEC_PER_SEC / 5);
    if (b == FakeEncoder::dies && late) {
        gst_video_codec_frame_unref(frame);
        GST_ELEMENT_ERROR(e, STREAM, ENCODE, ("the driver gave up"), (nullptr));
        return GST_FLOW_ERROR;
    }
    const bool silent = b == FakeEncoder::mute || (b == FakeEncoder::falls_mute && late) ||
                        (b == FakeEncoder::one_frame && self->frames > 0);
    if (silent) {
        gst_video_codec_frame_unref(frame);
        return GST_FLOW_OK;
    }
    const bool key = self->frames % 50 == 0 || GST_VIDEO_CODEC_FRAME_IS_FORCE_KEYFRAME(frame);
    const std::array<guint8, 8> nal{0,    0,    0, 4, static_cast<guint8>(key ? 0x65 : 0x41),
                                    0x88, 0x80, 0};
    std::vector<guint8> out(nal.begin(), nal.end());
    if (makes_byte_stream(e)) {
        out[3] = 1;
        if (key) {
            const auto* sets = kConfig.data();
            const std::array<guint8, 4> start{0, 0, 0, 1};
            std::vector<guint8> with(start.begin(), start.end());
            with.insert(with.end(), sets + 8, sets + 19);  // SPS
            with.insert(with.end(), start.begin(), start.end());
            with.insert(with.end(), sets + 22, sets + 26);  // PPS
            with.insert(with.end(), out.begin(), out.end());
            out = std::move(with);
        }
    }
    frame->output_buffer = gst_buffer_new_memdup(out.data(), out.size());
    if (key) GST_VIDEO_CODEC_FRAME_SET_SYNC_POINT(frame);
    ++self->frames;
    return gst_video_encoder_finish_frame(e, frame);
}

void ignore_property(GObject*, guint, const GValue*, GParamSpec*) {}
void zero_property(GObject*, guint, GValue*, GParamSpec*) {}

GType rate_control_type() {
    static const std::array<GEnumValue, 4> values{
        {{0, "VBR", "vbr"}, {1, "CBR", "cbr"}, {2, "Fixed QP", "fixqp"}, {0, nullptr, nullptr}}};
    static const GType type = g_enum_register_static("HalfdoorFakeRateControl", values.data());
    return type;
}

// By GStreamer's own documentation of each element (docs/boards.md).
void add_properties(GObjectClass* object, std::string_view element) {
    guint id = 1;
    const auto integer = [&](const char* name) {
        g_object_class_install_property(
            object, id++, g_param_spec_uint(name, "", "", 0, G_MAXUINT, 0, G_PARAM_READWRITE));
    };
    const auto flag = [&](const char* name) {
        g_object_class_install_property(
            object, id++, g_param_spec_boolean(name, "", "", FALSE, G_PARAM_READWRITE));
    };
    if (element == "v4l2h264enc") {
        g_object_class_install_property(
            object, id++,
            g_param_spec_boxed("extra-controls", "", "", GST_TYPE_STRUCTURE, G_PARAM_READWRITE));
    } else if (element == "nvv4l2h264enc") {
        for (const char* name : {"bitrate", "control-rate", "iframeinterval", "idrinterval"})
            integer(name);
        for (const char* name : {"insert-sps-pps", "maxperf-enable"}) flag(name);
    } else if (element == "mpph264enc") {
        for (const char* name : {"bps", "bps-min", "bps-max", "gop", "header-mode"}) integer(name);
        g_object_class_install_property(
            object, id++,
            g_param_spec_enum("rc-mode", "", "", rate_control_type(), 0, G_PARAM_READWRITE));
    } else {
        integer("bitrate");
        integer(element == "qsvh264enc"     ? "gop-size"
                : element == "vaapih264enc" ? "keyframe-period"
                                            : "key-int-max");
    }
}

const char* input_of(std::string_view element) {
    return element == "nvv4l2h264enc" ? "video/x-raw(memory:NVMM),format=NV12"
                                      : "video/x-raw,format={NV12,I420}";
}

void add_pads(GstElementClass* element, const char* sink, const char* src) {
    const auto add = [&](const char* name, GstPadDirection direction, const char* text) {
        GstCaps* caps = gst_caps_from_string(text);
        gst_element_class_add_pad_template(
            element, gst_pad_template_new(name, direction, GST_PAD_ALWAYS, caps));
        gst_caps_unref(caps);
    };
    add("sink", GST_PAD_SINK, sink);
    add("src", GST_PAD_SRC, src);
}

void init_class(gpointer type_class, gpointer wanted) {
    auto* self = static_cast<FakeClass*>(type_class);
    self->wanted = static_cast<Wanted*>(wanted);
    GObjectClass* object = G_OBJECT_CLASS(type_class);
    object->set_property = ignore_property;
    object->get_property = zero_property;
    add_properties(object, self->wanted->element);
    GstElementClass* element = GST_ELEMENT_CLASS(type_class);
    gst_element_class_set_static_metadata(element, "fake encoder", "Codec/Encoder/Video/Hardware",
                                          "test double", "halfdoor");
    add_pads(element, input_of(self->wanted->element),
             self->wanted->element == "nvv4l2h264enc"
                 ? "video/x-h264,stream-format=byte-stream,alignment=au"
                 : "video/x-h264,stream-format=avc,alignment=au");
    GstVideoEncoderClass* encoder = GST_VIDEO_ENCODER_CLASS(type_class);
    encoder->open = open_device;
    encoder->set_format = set_format;
    encoder->handle_frame = handle_frame;
}

GstCaps* change_memory(GstBaseTransform*, GstPadDirection direction, GstCaps* caps,
                       GstCaps* filter) {
    GstCaps* out = gst_caps_copy(caps);
    for (guint i = 0; i < gst_caps_get_size(out); ++i)
        gst_caps_set_features(out, i,
                              direction == GST_PAD_SINK
                                  ? gst_caps_features_new("memory:NVMM", nullptr)
                                  : gst_caps_features_new_empty());
    if (!filter) return out;
    GstCaps* both = gst_caps_intersect_full(filter, out, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(out);
    return both;
}

GstFlowReturn leave_as_it_is(GstBaseTransform*, GstBuffer*) { return GST_FLOW_OK; }

void init_nvvidconv(gpointer type_class, gpointer) {
    GstElementClass* element = GST_ELEMENT_CLASS(type_class);
    gst_element_class_set_static_metadata(element, "fake converter", "Filter/Converter/Video",
                                          "test double", "halfdoor");
    add_pads(element, "video/x-raw", "video/x-raw(memory:NVMM)");
    GstBaseTransformClass* transform = GST_BASE_TRANSFORM_CLASS(type_class);
    transform->transform_caps = change_memory;
    transform->transform_ip = leave_as_it_is;
}

void register_type(const char* element, GType parent, const GTypeInfo& info) {
    const std::string name = std::string("HalfdoorFake_") + element;
    const GType type =
        g_type_register_static(parent, name.c_str(), &info, static_cast<GTypeFlags>(0));
    gst_element_register(nullptr, element, GST_RANK_NONE, type);
}

}  // namespace

void register_fake_encoder(const char* element, FakeEncoder behaviour) {
    static std::map<std::string, Wanted> all;
    const bool fresh = !all.contains(element);
    Wanted& wanted = all[element];
    wanted.behaviour = behaviour;
    if (!fresh) return;
    wanted.element = element;
    GTypeInfo info{};
    info.class_size = sizeof(FakeClass);
    info.class_init = init_class;
    info.class_data = &wanted;
    info.instance_size = sizeof(FakeObject);
    register_type(element, GST_TYPE_VIDEO_ENCODER, info);
}

void register_fake_nvvidconv() {
    GTypeInfo info{};
    info.class_size = sizeof(GstBaseTransformClass);
    info.class_init = init_nvvidconv;
    info.instance_size = sizeof(GstBaseTransform);
    register_type("nvvidconv", GST_TYPE_BASE_TRANSFORM, info);
}

}  // namespace hd::test
