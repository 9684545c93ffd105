// Which H.264 encoders a board may have, which ones are worth trying, what they can do, and in
// which order to use those that work. Pure: facts in, choice with its reason out. The table comes
// from board documentation and bug reports (docs/boards.md names them); no board is believed before
// the probe has counted frames.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/base/time.hpp"

namespace hd::ingest {

struct BoardFacts {
    std::string model;                    // /proc/device-tree/model; empty on a PC
    std::vector<std::string> compatible;  // /proc/device-tree/compatible
    std::vector<std::string> nodes;       // those of device_nodes_of_interest() that exist
    // Nodes of these that are no encoder, and what is wrong with them.
    std::vector<std::pair<std::string, std::string>> defects;
};

// Device files whose existence says something about an encoder.
const std::vector<std::string>& device_nodes_of_interest();
// Of these: the one that a V4L2 driver answers for (VIDIOC_QUERYCAP).
bool is_v4l2_node(std::string_view node);

// An encoder that is worth trying; pipelines/ingest/encoder_lines.hpp knows how.
struct Candidate {
    std::string element;
    bool hardware = false;
    std::string why;  // why it is worth trying on this board
};

struct Excluded {
    std::string element;
    std::string why;
};

// What all hardware encoders of a board do together.
struct HardwareBudget {
    std::uint64_t pixels_per_s = 0;  // 0: there is none
    std::string why;                 // where the number comes from
};

// Best first; software is always last, and always there.
struct EncoderPlan {
    std::vector<Candidate> candidates;
    std::vector<Excluded> excluded;  // must not even be probed
    HardwareBudget hardware;
};
EncoderPlan plan_encoders(const BoardFacts& board);

struct ProbeResult {
    std::string element;
    bool works = false;
    int frames = 0;  // encoded ones that came out
    Micros took{0};
    std::string detail;              // a phrase
    std::uint64_t pixels_per_s = 0;  // by the processor time of its frames
};

struct EncoderChoice {
    std::vector<std::string> encoders;  // those that work, best first
    std::string why;                    // a phrase, for status and clip headers
    HardwareBudget hardware;            // none if no hardware encoder works
    // Half of what was measured: decoding, recording and the owner's other programs need the rest.
    std::uint64_t software_pixels_per_s = 0;
};
// Candidates without a result do not work.
EncoderChoice choose_encoder(const EncoderPlan& plan, const std::vector<ProbeResult>& results);

}  // namespace hd::ingest
