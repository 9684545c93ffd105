#include "pipelines/ingest/gst_errors.hpp"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace hd::ingest {
namespace {

using journal::GapCause;

// rtspsrc says which answer of the camera it did not like only in the debug text, as
// "Unauthorized (401)" or "Error (454): Session Not Found".
struct Answer {
    std::string_view code;
    GapCause cause;
    std::string_view words;
};
constexpr std::array kAnswers{
    Answer{"(401)", GapCause::refused, "camera refused user or password (401)"},
    Answer{"(403)", GapCause::refused, "camera forbids this stream to this user (403)"},
    Answer{"(404)", GapCause::refused, "camera has no such stream (404)"},
    Answer{"(454)", GapCause::refused, "camera lost the session (454)"},
    Answer{"(453)", GapCause::refused, "camera has not enough bandwidth for one more client (453)"},
    Answer{"(461)", GapCause::refused, "camera does not offer this transport (461)"},
    Answer{"(503)", GapCause::unreachable, "camera is busy (503)"},
};

Lost from_resource(int code, bool was_connected, std::string words) {
    switch (code) {
        case GST_RESOURCE_ERROR_NOT_AUTHORIZED:
            return {GapCause::refused, "camera refused user or password (401)"};
        case GST_RESOURCE_ERROR_NOT_FOUND:
            // Also an unknown host name, which is no answer of a camera.
            return was_connected ? Lost{GapCause::refused, "camera has no such stream (404)"}
                                 : Lost{GapCause::unreachable, std::move(words)};
        case GST_RESOURCE_ERROR_READ:
        case GST_RESOURCE_ERROR_WRITE:
        case GST_RESOURCE_ERROR_CLOSE:
            return {was_connected ? GapCause::closed : GapCause::unreachable, std::move(words)};
        case GST_RESOURCE_ERROR_OPEN_READ:
        case GST_RESOURCE_ERROR_OPEN_WRITE:
        case GST_RESOURCE_ERROR_OPEN_READ_WRITE:
            return {GapCause::unreachable, std::move(words)};
        default:
            return {was_connected ? GapCause::closed : GapCause::unreachable, std::move(words)};
    }
}

// Decoders and encoders, by what their factories say that they are.
bool from_codec(GstMessage* message) {
    GstObject* source = GST_MESSAGE_SRC(message);
    if (!source || !GST_IS_ELEMENT(source)) return false;
    GstElementFactory* factory = gst_element_get_factory(GST_ELEMENT(source));
    return factory &&
           gst_element_factory_list_is_type(
               factory, GST_ELEMENT_FACTORY_TYPE_DECODER | GST_ELEMENT_FACTORY_TYPE_ENCODER);
}

}  // namespace

Lost lost_from_error(GstMessage* message, bool was_connected) {
    GError* raw_error = nullptr;
    gchar* raw_debug = nullptr;
    gst_message_parse_error(message, &raw_error, &raw_debug);
    const GErrorPtr error{raw_error};
    const GCharPtr debug{raw_debug};
    const std::string_view why = debug ? debug.get() : "";
    for (const Answer& a : kAnswers)
        if (why.find(a.code) != std::string_view::npos) return {a.cause, std::string(a.words)};
    if (from_codec(message))
        return {GapCause::encoder,
                fmt::format(
                    "{}: {}",
                    GST_OBJECT_NAME(gst_element_get_factory(GST_ELEMENT(GST_MESSAGE_SRC(message)))),
                    error->message)};
    // The message text is GStreamer's fixed phrase; the debug text may hold a URL and stays here.
    if (error->domain == GST_RESOURCE_ERROR)
        return from_resource(error->code, was_connected, error->message);
    if (error->domain == GST_STREAM_ERROR)
        return {was_connected ? GapCause::closed : GapCause::refused, error->message};
    return {was_connected ? GapCause::closed : GapCause::unreachable, error->message};
}

}  // namespace hd::ingest
