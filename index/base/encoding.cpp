#include "index/base/encoding.hpp"

#include <array>

#include <fmt/format.h>

namespace hd {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kZ85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

constexpr std::array<std::int8_t, 256> reversed(std::string_view alphabet) {
    std::array<std::int8_t, 256> out{};
    for (auto& v : out) v = -1;
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        out[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
    return out;
}
constexpr auto kFromHex = reversed(kHex);
constexpr auto kFromBase64 = reversed(kBase64);
constexpr auto kFromZ85 = reversed(kZ85);

int digit(const std::array<std::int8_t, 256>& table, char c) {
    return table[static_cast<unsigned char>(c)];
}

Error bad(std::string_view what, std::size_t at) {
    return {ErrorCode::invalid, fmt::format("{} at character {}", what, at)};
}

}  // namespace

std::string to_hex(ByteView bytes) {
    std::string out;
    out.reserve(bytes.size() * 2);
    for (const std::uint8_t b : bytes) {
        out.push_back(kHex[b >> 4]);
        out.push_back(kHex[b & 15]);
    }
    return out;
}

Result<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return bad("hex: odd number of digits", text.size());
    Bytes out;
    out.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int hi = digit(kFromHex, text[i]), lo = digit(kFromHex, text[i + 1]);
        if (hi < 0 || lo < 0) return bad("hex: not a lowercase hex digit", i);
        out.push_back(static_cast<std::uint8_t>(hi << 4 | lo));
    }
    return out;
}

std::string to_base64(ByteView bytes, Padding padding) {
    std::string out;
    std::uint32_t acc = 0;
    int bits = 0;
    for (const std::uint8_t b : bytes) {
        acc = acc << 8 | b;
        bits += 8;
        while (bits >= 6) {
            bits -= 6;
            out.push_back(kBase64[acc >> bits & 63]);
        }
    }
    if (bits > 0) out.push_back(kBase64[acc << (6 - bits) & 63]);
    if (padding == Padding::with)
        while (out.size() % 4 != 0) out.push_back('=');
    return out;
}

Result<Bytes> from_base64(std::string_view text, Padding padding) {
    std::string_view body = text;
    if (padding == Padding::with) {
        if (text.size() % 4 != 0) return bad("base64: length is not a multiple of 4", text.size());
        for (int i = 0; i < 2 && body.ends_with('='); ++i) body.remove_suffix(1);
    }
    if (body.size() % 4 == 1) return bad("base64: impossible length", body.size());
    if (padding == Padding::with && (body.size() + 3) / 4 * 4 != text.size())
        return bad("base64: wrong padding", body.size());
    Bytes out;
    std::uint32_t acc = 0;
    int bits = 0;
    for (std::size_t i = 0; i < body.size(); ++i) {
        const int v = digit(kFromBase64, body[i]);
        if (v < 0) return bad("base64: not in the alphabet", i);
        acc = acc << 6 | static_cast<std::uint32_t>(v);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out.push_back(static_cast<std::uint8_t>(acc >> bits));
        }
    }
    if ((acc & ((1u << bits) - 1)) != 0)
        return bad("base64: trailing bits are not zero", body.size());
    return out;
}

std::string to_z85(ByteView bytes) {
    HD_CHECK(bytes.size() % 4 == 0);
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 4) {
        std::uint32_t v = 0;
        for (std::size_t k = 0; k < 4; ++k) v = v << 8 | bytes[i + k];
        std::array<char, 5> group{};
        for (std::size_t k = 5; k-- > 0; v /= 85) group[k] = kZ85[v % 85];
        out.append(group.data(), group.size());
    }
    return out;
}

Result<Bytes> from_z85(std::string_view text) {
    if (text.size() % 5 != 0) return bad("z85: length is not a multiple of 5", text.size());
    Bytes out;
    for (std::size_t i = 0; i < text.size(); i += 5) {
        std::uint64_t v = 0;
        for (std::size_t k = 0; k < 5; ++k) {
            const int d = digit(kFromZ85, text[i + k]);
            if (d < 0) return bad("z85: not in the alphabet", i + k);
            v = v * 85 + static_cast<std::uint64_t>(d);
        }
        if (v > 0xFFFFFFFF) return bad("z85: group too large", i);
        for (int k = 3; k >= 0; --k) out.push_back(static_cast<std::uint8_t>(v >> (8 * k)));
    }
    return out;
}

}  // namespace hd
