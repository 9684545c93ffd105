// The lean reader: an RTSP session over TCP without GStreamer, for H.264 and H.265 as the camera
// sends them. One thread for each source; it sleeps a moment after each read, so that a picture's
// packets are taken in few system calls. docs/decisions/0008-rtsp-reader.md says why it exists.
#pragma once

#include <functional>
#include <memory>

#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

// `on_jpeg`: called on the reader's thread, as the last thing that it does, if the camera offers
// JPEG only; empty: that is Lost{refused}. Otherwise as make_rtsp_source().
std::unique_ptr<Source> make_lean_source(const link::RecorderSettings& settings, Clock& clock,
                                         Ingress& ingress, std::function<void()> on_jpeg,
                                         std::shared_ptr<Dialer> dialer);

}  // namespace hd::ingest
