#include "tests/support/fake_encoders.hpp"

#include <array>
#include <cstdlib>
#include <string>

#include <gst/gst.h>
#include <gst/video/gstvideoencoder.h>
#include <gst/video/video.h>

namespace hd::test {
namespace {

struct FakeObject {
    GstVideoEncoder parent;
    guint64 frames;
};
struct FakeClass {
    GstVideoEncoderClass parent;
    FakeEncoder behaviour;
};

FakeEncoder behaviour_of(GstVideoEncoder* e) {
    return reinterpret_cast<FakeClass*>(G_OBJECT_GET_CLASS(e))->behaviour;
}

gboolean open_device(GstVideoEncoder* e) {
    if (behaviour_of(e) != FakeEncoder::open_fails) return TRUE;
    GST_ELEMENT_ERROR(e, RESOURCE, BUSY, ("device busy"), (nullptr));
    return FALSE;
}

gboolean set_format(GstVideoEncoder* e, GstVideoCodecState* input) {
    const FakeEncoder b = behaviour_of(e);
    if (b == FakeEncoder::refuses) return FALSE;
    if (b == FakeEncoder::aborts) std::abort();
    while (b == FakeEncoder::hangs) g_usleep(G_USEC_PER_SEC);
    // avcC of a constrained baseline stream with an SPS and a PPS that a parser accepts.
    constexpr std::array<guint8, 29> kConfig{1,    66, 0xc0, 30,   0xff, 0xe1, 0,    11,   0x67, 66,
                                             0xc0, 30, 0xda, 0x02, 0x80, 0xf6, 0x84, 0x00, 0x00, 1,
                                             0,    4,  0x68, 0xce, 0x3c, 0x80, 0,    0,    0};
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
    const bool silent = b == FakeEncoder::mute || (b == FakeEncoder::one_frame && self->frames > 0);
    if (silent) {
        gst_video_codec_frame_unref(frame);
        return GST_FLOW_OK;
    }
    const bool key = self->frames % 50 == 0;
    const std::array<guint8, 8> nal{0,    0,    0, 4, static_cast<guint8>(key ? 0x65 : 0x41),
                                    0x88, 0x80, 0};
    frame->output_buffer = gst_buffer_new_memdup(nal.data(), nal.size());
    if (key) GST_VIDEO_CODEC_FRAME_SET_SYNC_POINT(frame);
    ++self->frames;
    return gst_video_encoder_finish_frame(e, frame);
}

void ignore_property(GObject*, guint, const GValue*, GParamSpec*) {}
void zero_property(GObject*, guint, GValue*, GParamSpec*) {}

// The properties that the candidates' lines set: a fake without them would fail for a wrong reason.
void add_properties(GObjectClass* object) {
    guint id = 1;
    for (const char* name : {"bitrate", "key-int-max", "gop-size", "keyframe-period", "bps", "gop",
                             "header-mode", "iframeinterval", "idrinterval"})
        g_object_class_install_property(
            object, id++, g_param_spec_int(name, "", "", 0, G_MAXINT, 0, G_PARAM_READWRITE));
    g_object_class_install_property(
        object, id++, g_param_spec_boolean("insert-sps-pps", "", "", FALSE, G_PARAM_READWRITE));
    g_object_class_install_property(
        object, id++,
        g_param_spec_boxed("extra-controls", "", "", GST_TYPE_STRUCTURE, G_PARAM_READWRITE));
}

void init_class(gpointer type_class, gpointer behaviour) {
    static_cast<FakeClass*>(type_class)->behaviour = *static_cast<FakeEncoder*>(behaviour);
    GObjectClass* object = G_OBJECT_CLASS(type_class);
    object->set_property = ignore_property;
    object->get_property = zero_property;
    add_properties(object);
    GstElementClass* element = GST_ELEMENT_CLASS(type_class);
    gst_element_class_set_static_metadata(element, "fake encoder", "Codec/Encoder/Video/Hardware",
                                          "test double", "halfdoor");
    gst_element_class_add_pad_template(
        element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS,
                                      gst_caps_from_string("video/x-raw,format={NV12,I420}")));
    gst_element_class_add_pad_template(
        element,
        gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS,
                             gst_caps_from_string("video/x-h264,stream-format=avc,alignment=au")));
    GstVideoEncoderClass* encoder = GST_VIDEO_ENCODER_CLASS(type_class);
    encoder->open = open_device;
    encoder->set_format = set_format;
    encoder->handle_frame = handle_frame;
}

}  // namespace

void register_fake_encoder(const char* element, FakeEncoder behaviour) {
    // The class keeps a pointer until it is first used.
    static std::array<FakeEncoder, 16> kept{};
    static std::size_t used = 0;
    FakeEncoder& mine = kept.at(used++);
    mine = behaviour;
    GTypeInfo info{};
    info.class_size = sizeof(FakeClass);
    info.class_init = init_class;
    info.class_data = &mine;
    info.instance_size = sizeof(FakeObject);
    const std::string name = std::string("HalfdoorFake_") + element;
    const GType type = g_type_register_static(GST_TYPE_VIDEO_ENCODER, name.c_str(), &info,
                                              static_cast<GTypeFlags>(0));
    gst_element_register(nullptr, element, GST_RANK_NONE, type);
}

}  // namespace hd::test
