// The GStreamer reader: everything that rtspsrc can receive (UDP, TLS, MJPEG), and encoding.
#pragma once

#include <memory>

#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

// As make_rtsp_source().
std::unique_ptr<Source> make_gst_source(const link::RecorderSettings& settings, Clock& clock,
                                        Ingress& ingress, std::shared_ptr<EncoderDesk> desk);

}  // namespace hd::ingest
