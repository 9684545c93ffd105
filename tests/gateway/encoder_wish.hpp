// What a camera at 25 fps asks of the board's encoders.
#pragma once

#include <string>
#include <utility>

#include "gateway/daemon/encoder_planner.hpp"

namespace hd::daemon {

inline EncoderWish wish(std::uint8_t id, std::uint32_t width, std::uint32_t height,
                        std::string in_use) {
    EncoderWish w;
    w.camera.bytes[0] = id;
    w.report = {.needed = true, .width = width, .height = height, .millihertz_in = 25'000};
    w.report.element = std::move(in_use);
    return w;
}

}  // namespace hd::daemon
