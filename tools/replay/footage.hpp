// Recorded (or generated) footage in memory, ready to be sent in a loop: access units in decode
// order with their times. Immutable once made; any number of cameras share one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/base/time.hpp"
#include "tools/replay/annexb.hpp"

namespace hd::replay {

// Times count from the first access unit's dts, which is 0.
struct VideoUnit {
    std::size_t offset = 0, size = 0;  // in Footage::video_bytes
    std::size_t first_vcl = 0;         // from offset; where a counter SEI goes
    Micros dts{0}, pts{0};             // pts >= dts
    bool key = false;
};

struct AudioUnit {
    std::size_t offset = 0, size = 0;  // in AudioTrack::bytes
    Micros pts{0};
};

enum class AudioCodec : std::uint8_t { aac, pcma, pcmu, opus };

struct AudioTrack {
    AudioCodec codec = AudioCodec::aac;
    int rate = 0, channels = 0;
    Bytes codec_config;  // AAC: AudioSpecificConfig
    Bytes bytes;
    std::vector<AudioUnit> units;
};

struct Footage {
    std::string name;    // last part of the URL: lower case letters, digits, '-', '_'
    std::string origin;  // file name or generator, for people
    VideoCodec codec = VideoCodec::h264;
    int width = 0, height = 0;
    Bytes video_bytes;  // Annex B; every key frame brings its parameter sets
    std::vector<VideoUnit> video;
    std::optional<AudioTrack> audio;
    std::string
        audio_left_out;  // why the file's audio is not served; empty: it is, or there is none
    Micros length{
        0};  // after this the loop begins again; at least one frame longer than the last dts

    double frames_per_second() const {
        return static_cast<double>(video.size()) * 1e6 / static_cast<double>(length.count());
    }
};

// Bytes of video that one file may hold in memory.
constexpr std::uint64_t kMaxFootageBytes = 2ull << 30;

// Reads a whole mp4, mkv, mov, .h264 or .h265. The error names the file and the rule it breaks.
Result<Footage> load_footage(const std::string& path);

// The video files of a folder (by extension), sorted by name; a file is returned as it is.
Result<std::vector<std::string>> video_files(const std::string& path);

// A file name as the last part of a URL: "Front Door.mp4" -> "front-door".
std::string url_name(std::string_view file_name);

}  // namespace hd::replay
