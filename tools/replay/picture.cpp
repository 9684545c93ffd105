#include "tools/replay/picture.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

namespace hd::replay {
namespace {

// Digits 0 to 9, three columns of five rows, one row an octal digit from the top.
constexpr std::array<std::uint16_t, 10> kDigits{075557, 026227, 071747, 071717, 055711,
                                                074717, 074757, 071111, 075757, 075717};

struct Box {
    int x, y, width, height;
};

void fill(const Picture& p, Box box, std::uint8_t luma, std::uint8_t u, std::uint8_t v) {
    const int left = std::clamp(box.x, 0, p.width),
              right = std::clamp(box.x + box.width, 0, p.width);
    const int top = std::clamp(box.y, 0, p.height),
              bottom = std::clamp(box.y + box.height, 0, p.height);
    if (right <= left) return;
    const auto columns = static_cast<std::size_t>(right - left);
    for (int y = top; y < bottom; ++y) {
        std::memset(p.luma + std::ptrdiff_t{y} * p.luma_stride + left, luma, columns);
        if (y % 2 == 1) continue;
        const std::ptrdiff_t at = std::ptrdiff_t{y / 2} * p.chroma_stride + left / 2;
        std::memset(p.chroma_u + at, u, (columns + 1) / 2);
        std::memset(p.chroma_v + at, v, (columns + 1) / 2);
    }
}

// A still garden: sky, wall, path. Fixed texture, so that the bits go where something moves.
void background(const Picture& p) {
    for (int y = 0; y < p.height; ++y) {
        const bool ground = y > p.height * 3 / 5;
        std::uint8_t* row = p.luma + std::ptrdiff_t{y} * p.luma_stride;
        for (int x = 0; x < p.width; ++x) {
            const unsigned grain = (static_cast<unsigned>(x / 8) * 2654435761u ^
                                    static_cast<unsigned>(y / 8) * 40503u) >>
                                   27;
            row[x] = static_cast<std::uint8_t>((ground ? 70 : 150) + y * 40 / p.height +
                                               static_cast<int>(grain) / 2);
        }
    }
    for (int y = 0; y < p.height / 2; ++y) {
        const bool ground = 2 * y > p.height * 3 / 5;
        const std::ptrdiff_t at = std::ptrdiff_t{y} * p.chroma_stride;
        std::memset(p.chroma_u + at, ground ? 118 : 140, static_cast<std::size_t>(p.width / 2));
        std::memset(p.chroma_v + at, ground ? 122 : 116, static_cast<std::size_t>(p.width / 2));
    }
}

void burn_number(const Picture& p, int number) {
    const int dot = std::max(2, p.width / 160);
    fill(p, {dot * 2, dot * 2, dot * 22, dot * 7}, 16, 128, 128);
    int divisor = 10000;
    for (int place = 0; place < 5; ++place, divisor /= 10) {
        const unsigned shape = kDigits[static_cast<std::size_t>(number / divisor % 10)];
        for (int bit = 0; bit < 15; ++bit)
            if (shape >> (14 - bit) & 1u)
                fill(p, {dot * (3 + place * 4 + bit % 3), dot * (3 + bit / 3), dot, dot}, 235, 128,
                     128);
    }
}

}  // namespace

void draw(const Picture& p, int number, int total) {
    background(p);
    const double turn = 2 * std::numbers::pi * number / std::max(1, total);
    const auto across = [](double part, int span) { return static_cast<int>(part * span); };
    // Somebody walks to and fro, a ball jumps, a hand goes round: all come back after the loop.
    const int person = across(0.5 - 0.42 * std::cos(turn), p.width);
    fill(p, {person, p.height * 2 / 5, p.width / 16, p.height * 2 / 5}, 60, 110, 160);
    fill(p, {person + p.width / 64, p.height / 3, p.width / 32, p.height / 14}, 180, 110, 150);
    const int ball = across(0.85 - 0.3 * std::abs(std::sin(turn * 4)), p.height);
    fill(p, {p.width * 3 / 4, ball, p.width / 24, p.width / 24}, 120, 90, 220);
    for (int i = 0; i < 12; ++i) {
        const int x = p.width * 7 / 8 + across(std::sin(turn * 2) * i / 160, p.width);
        const int y = p.height / 5 - across(std::cos(turn * 2) * i / 90, p.height);
        fill(p, {x, y, p.width / 100 + 2, p.width / 100 + 2}, 220, 100, 140);
    }
    burn_number(p, number);
}

}  // namespace hd::replay
