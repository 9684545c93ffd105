// The H.264 encoders that we know, as GStreamer elements with the caps and properties that each
// wants: names and units differ from one to the next. Pure. Sources: docs/boards.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hd::ingest {

// What the hub is to make of a camera's pictures. They keep their shape and never grow.
struct EncodeTarget {
    unsigned max_width = 1920, max_height = 1080;
    // At most; a key frame comes at least every two seconds of this rate.
    unsigned frames_per_s = 25;
    unsigned kbit_per_s = 2000;  // at most, where the encoder knows a limit
};

// In GStreamer's launch notation: what stands before the encoder (raw pictures of any size and rate
// go in), its properties, the caps behind it.
struct EncoderLine {
    std::string before, properties, after;
};

// Nothing: an element that we do not know.
std::optional<EncoderLine> encoder_line(std::string_view element, EncodeTarget target);

bool is_software_encoder(std::string_view element);

// For pictures of that size and rate; about 2 Mbit/s for 1280x720 at 25.
unsigned usual_kbit_per_s(unsigned width, unsigned height, unsigned frames_per_s);

}  // namespace hd::ingest
