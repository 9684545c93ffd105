// Which hardware encoder a board may have, which ones are worth trying, and which one to take.
// Pure: facts in, choice with its reason out. The table comes from board documentation and bug
// reports (docs/decisions names them); no board is believed before the probe has counted frames.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/time.hpp"

namespace hd::ingest {

struct BoardFacts {
    std::string model;                    // /proc/device-tree/model; empty on a PC
    std::vector<std::string> compatible;  // /proc/device-tree/compatible
    std::vector<std::string> nodes;       // those of device_nodes_of_interest() that exist
};

// Device files whose existence says something about an encoder.
const std::vector<std::string>& device_nodes_of_interest();

// An encoder as GStreamer calls it, with what has to stand before and after it.
struct Candidate {
    std::string element;
    bool hardware = false;
    std::string before;  // elements and caps between raw video and the encoder
    std::string
        properties;     // "name=value ..." for about 2 Mbit/s and a key frame every two seconds
    std::string after;  // caps behind it
    std::string why;    // why it is worth trying on this board
};

struct Excluded {
    std::string element;
    std::string why;
};

// Best first; software is always last, and always there.
struct EncoderPlan {
    std::vector<Candidate> candidates;
    std::vector<Excluded> excluded;  // must not even be probed
};
EncoderPlan plan_encoders(const BoardFacts& board);

struct ProbeResult {
    std::string element;
    bool works = false;
    int frames = 0;  // encoded ones that came out
    Micros took{0};
    std::string detail;  // a phrase
};

struct EncoderChoice {
    std::optional<Candidate> encoder;  // nothing: nothing on this machine encodes H.264
    std::string why;                   // a phrase, for status and clip headers
};
// Takes the first candidate of the plan that works. Candidates without a result do not.
EncoderChoice choose_encoder(const EncoderPlan& plan, const std::vector<ProbeResult>& results);

}  // namespace hd::ingest
