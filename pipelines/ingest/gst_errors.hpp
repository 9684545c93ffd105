// GStreamer's errors in our words: translated once, here.
#pragma once

#include <string>

#include "pipelines/ingest/frame.hpp"
#include "pipelines/ingest/gst_handles.hpp"

namespace hd::ingest {

// `message` is GST_MESSAGE_ERROR. `was_connected`: PLAY had been accepted before. The detail holds
// no URL and no credentials.
Lost lost_from_error(GstMessage* message, bool was_connected);

}  // namespace hd::ingest
