// Who may use the board's encoders: facts and needs in, shares out. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "index/base/ids.hpp"
#include "index/base/result.hpp"
#include "pipelines/link/notice.hpp"

namespace hd::daemon {

// What `halfdoor-recorder --probe` found.
struct EncoderFacts {
    std::vector<std::string> hardware, software;  // elements that work, best first
    std::string why;                              // of that order, and what did not work
    // What all cameras together may ask for.
    std::uint64_t hardware_pixels_per_s = 0, software_pixels_per_s = 0;
    std::string hardware_why;  // where the first number comes from
};
// The probe's output, one JSON object a line. corrupt: it does not end with a choice.
Result<EncoderFacts> read_probe(std::string_view lines);

struct EncoderWish {
    CameraId camera;
    link::EncoderReport report;
    // Elements that failed here and have to rest, each with the reason.
    std::map<std::string, std::string> resting;
};

struct EncoderUse {
    std::uint64_t hardware_pixels_per_s = 0, software_pixels_per_s = 0;
    std::size_t hardware_cameras = 0, software_cameras = 0, refused_cameras = 0;
};
struct EncoderShares {
    std::map<CameraId, link::EncoderGrant> grants;
    EncoderUse use;
};

// What a camera asks for. As long as nothing was measured: 1080p30 (of software: nothing yet).
std::uint64_t pixels_per_s(const link::EncoderReport& report);

// `wishes` in the order of the configuration, only those that need an encoder. A camera keeps the
// hardware that it has as long as it fits, so that nobody is interrupted for a neighbour; the rest
// goes by the order. Who gets no hardware gets software; beyond the budget of that only the first
// camera does (it is recorded slower), others are refused, because encoders that all are too slow
// lose every camera's pictures.
EncoderShares share_encoders(const EncoderFacts& facts, const std::vector<EncoderWish>& wishes);

}  // namespace hd::daemon
