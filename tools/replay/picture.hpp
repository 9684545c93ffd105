// Pictures for generated footage: something moves in every one, and each says its number.
#pragma once

#include <cstdint>
#include <span>

namespace hd::replay {

// Planes of an I420 picture that somebody else owns.
struct Picture {
    int width = 0, height = 0;  // even
    std::uint8_t* luma = nullptr;
    int luma_stride = 0;
    std::uint8_t* chroma_u = nullptr;
    std::uint8_t* chroma_v = nullptr;
    int chroma_stride = 0;
};

// Picture `number` of a loop of `total`: the last leads over into the first.
void draw(const Picture& picture, int number, int total);

}  // namespace hd::replay
