// The lean reader: an RTSP session over TCP, for H.264 and H.265 as the camera sends them, or by
// way of the hub's encoder. One thread for each source; it sleeps a moment after each read, so that
// a picture's packets are taken in few system calls. docs/decisions/0008-rtsp-reader.md says why it
// exists.
#pragma once

#include <memory>

#include "pipelines/ingest/source.hpp"

namespace hd::ingest {

// As make_rtsp_source().
std::unique_ptr<Source> make_lean_source(const link::RecorderSettings& settings, Clock& clock,
                                         Ingress& ingress, std::shared_ptr<EncoderDesk> desk,
                                         std::shared_ptr<Dialer> dialer);

}  // namespace hd::ingest
