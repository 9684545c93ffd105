// RFC 6381 names of codec parameters: ISO/IEC 14496-15 annex E for HEVC.
#include <fmt/format.h>

#include "pipelines/mux/media_types.hpp"

namespace hd::mux {
namespace {

std::uint32_t reversed(std::uint32_t v) {
    std::uint32_t out = 0;
    for (int i = 0; i < 32; ++i, v >>= 1) out = out << 1 | (v & 1);
    return out;
}

std::string hevc_name(ByteView c) {
    static constexpr std::string_view kSpaces[] = {"", "A", "B", "C"};
    const std::uint32_t compatible = std::uint32_t{c[2]} << 24 | std::uint32_t{c[3]} << 16 |
                                     std::uint32_t{c[4]} << 8 | std::uint32_t{c[5]};
    std::string out = fmt::format("hvc1.{}{}.{:X}.{}{}", kSpaces[c[1] >> 6], c[1] & 0x1f,
                                  reversed(compatible), (c[1] & 0x20) != 0 ? 'H' : 'L', c[12]);
    std::size_t constraints = 6;  // trailing zero bytes are left out
    while (constraints > 0 && c[5 + constraints] == 0) --constraints;
    for (std::size_t i = 0; i < constraints; ++i) out += fmt::format(".{:X}", c[6 + i]);
    return out;
}

}  // namespace

std::string rfc6381_of(Codec codec, ByteView c) {
    if (codec == Codec::h264)
        return c.size() < 4 ? "" : fmt::format("avc1.{:02X}{:02X}{:02X}", c[1], c[2], c[3]);
    return c.size() < 13 ? "" : hevc_name(c);
}

}  // namespace hd::mux
