// GStreamer's beginning, in the processes that need it.
#pragma once

#include "index/base/result.hpp"

namespace hd::ingest {

// Called by whoever needs GStreamer, the first time that it is needed: a recorder whose camera's
// stream is kept as sent never loads a plugin. Later calls do nothing. Quiet: GStreamer's own log
// is turned off.
Result<void> init_gstreamer();

}  // namespace hd::ingest
