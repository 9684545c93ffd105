// What a source says: values only, no GStreamer. A source gives, in this order,
//   Connected, AudioFormat, StreamFormat, Frame... , (StreamFormat, Frame...)... , Lost
// with Dropped wherever the ingress was full, and AudioFrame anywhere behind an AudioFormat with a
// codec. Times are BOOTTIME (design.md section 5).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "index/base/bytes.hpp"
#include "index/base/time.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::ingest {

enum class Codec : std::uint8_t { h264 = 0, h265 = 1 };

// Holds for every frame after it, until the next StreamFormat. A second one means that the camera's
// parameter sets changed: the clip has to be cut there.
struct StreamFormat {
    Codec codec = Codec::h264;
    std::uint16_t width = 0, height = 0;
    Bytes codec_config;        // avcC or hvcC, as the MP4 sample entry wants it
    std::string rfc6381;       // "avc1.4D401F", "hvc1.1.6.L93.B0"
    std::string encoder;       // "camera", or the hub's encoder element
    std::string encoder_why;   // a phrase
    Micros frame_duration{0};  // what the stream claims (1 / frame rate); 0: it says nothing
    bool operator==(const StreamFormat&) const = default;
};

// One access unit, NAL units with 4-byte big-endian length prefixes. `bytes` points into `owner`
// (whoever put it together: nothing is copied), stays valid for as long as a copy of `owner` lives,
// and never changes. Frames come in decode order: dts grows strictly, dts <= pts.
struct Frame {
    ByteView bytes;
    std::shared_ptr<const void> owner;
    BootTime pts;
    BootTime dts;
    bool idr = false;  // decoding can begin here, nothing later refers to before it
    // H.265 only: decoding can begin here, but leading pictures after it cannot be shown then.
    bool cra = false;
    bool key() const { return idr || cra; }
};

enum class AudioCodec : std::uint8_t { none = 0, aac = 1, opus = 2, pcma = 3, pcmu = 4 };

// Once a session, before its first frame: what is recorded of the camera's sound.
struct AudioFormat {
    AudioCodec codec = AudioCodec::none;
    std::uint32_t rate = 0;  // samples per second
    std::uint8_t channels = 0;
    Bytes codec_config;  // AAC: AudioSpecificConfig
    std::string words;   // for status and log: "AAC, 16000 Hz", or why there is none
    bool operator==(const AudioFormat&) const = default;
};

// One AAC access unit or Opus packet as sent, or G.711 samples. Sound may stop, repeat itself or
// leave holes at any time; nothing waits for it.
struct AudioFrame {
    ByteView bytes;
    std::shared_ptr<const void> owner;  // as of Frame
    BootTime pts;
    Micros duration{0};  // by its content
};

// The first of a session: the camera accepted PLAY and offers video that we can record.
struct Connected {};

// The ingress was full. `frames` frames are gone; the next event is a key frame (or a StreamFormat
// and then a key frame).
struct Dropped {
    std::uint64_t frames = 0;
    BootTime first_pts;
};

// What it takes to have the camera again.
enum class Remedy : std::uint8_t {
    new_source,
    new_process,  // this one's dialer is gone
};

// The last of a session. The source has to be stopped; a new one connects again.
struct Lost {
    journal::GapCause cause = journal::GapCause::closed;  // unreachable, refused, closed, encoder
    std::string detail;                                   // a phrase without credentials
    Remedy remedy = Remedy::new_source;
};

using SourceEvent =
    std::variant<Connected, StreamFormat, Frame, AudioFormat, AudioFrame, Dropped, Lost>;

}  // namespace hd::ingest
