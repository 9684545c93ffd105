#include "pipelines/ingest/gst_start.hpp"

#include <fmt/format.h>

#include "pipelines/ingest/gst_handles.hpp"

namespace hd::ingest {

Result<void> init_gstreamer() {
    static const Result<void> result = []() -> Result<void> {
        // The macro of this name compares function and object pointers; NULL means the default log.
        (gst_debug_remove_log_function)(nullptr);
        GError* raw = nullptr;
        if (gst_init_check(nullptr, nullptr, &raw)) {
            gst_debug_set_active(FALSE);
            return {};
        }
        const GErrorPtr error{raw};
        return Error{ErrorCode::unavailable,
                     fmt::format("GStreamer: {}", error ? error->message : "did not start")};
    }();
    return result;
}

}  // namespace hd::ingest
