#include "pipelines/ingest/access_unit.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pipelines/ingest/bit_reader.hpp"
#include "pipelines/ingest/sps.hpp"

namespace hd::ingest {
namespace {

constexpr unsigned kH264Idr = 5, kH264Sei = 6, kH264Sps = 7;
constexpr unsigned kH265BlaFirst = 16, kH265BlaLast = 18, kH265IdrFirst = 19, kH265IdrLast = 20,
                   kH265Cra = 21, kH265Sps = 33;
constexpr unsigned kSeiRecoveryPoint = 6;

// Rec. ITU-T H.264 7.3.2.3: the SEI messages of one NAL unit, looked at until a recovery point.
bool is_recovery_point(ByteView sei) {
    std::size_t at = 1;
    while (at + 2 < sei.size() && sei[at] != 0x80) {
        unsigned type = 0, size = 0;
        while (at < sei.size() && sei[at] == 0xff) type += 255, ++at;
        if (at < sei.size()) type += sei[at++];
        while (at < sei.size() && sei[at] == 0xff) size += 255, ++at;
        if (at < sei.size()) size += sei[at++];
        if (at + size > sei.size()) return false;
        if (type == kSeiRecoveryPoint)
            return BitReader(sei.subspan(at, size)).ue() == 0 && size > 0;
        at += size;
    }
    return false;
}

EntryPoint h264_entry(ByteView nal) {
    const unsigned type = nal[0] & 31u;
    if (type == kH264Idr) return EntryPoint::idr;
    if (type == kH264Sei && is_recovery_point(nal)) return EntryPoint::cra;
    return EntryPoint::none;
}

EntryPoint h265_entry(ByteView nal) {
    const unsigned type = (nal[0] >> 1) & 63u;
    if (type >= kH265IdrFirst && type <= kH265IdrLast) return EntryPoint::idr;
    const bool bla = type >= kH265BlaFirst && type <= kH265BlaLast;
    return bla || type == kH265Cra ? EntryPoint::cra : EntryPoint::none;
}

std::uint16_t be16(ByteView in, std::size_t at) {
    return at + 2 <= in.size() ? static_cast<std::uint16_t>(in[at] << 8 | in[at + 1]) : 0;
}

// The first SPS in avcC (ISO/IEC 14496-15 5.3.3.1) or hvcC (8.3.3.1); empty if there is none.
ByteView first_sps(Codec codec, ByteView config) {
    const auto take = [&](std::size_t at, std::size_t size) {
        return at + size <= config.size() ? config.subspan(at, size) : ByteView{};
    };
    if (codec == Codec::h264) {
        if (config.size() < 8 || (config[5] & 31u) == 0) return {};
        const ByteView sps = take(8, be16(config, 6));
        return !sps.empty() && (sps[0] & 31u) == kH264Sps ? sps : ByteView{};
    }
    if (config.size() < 23) return {};
    std::size_t at = 23;
    for (unsigned arrays = config[22]; arrays > 0 && at + 3 <= config.size(); --arrays) {
        const unsigned type = config[at] & 63u;
        const unsigned count = be16(config, at + 1);
        at += 3;
        for (unsigned i = 0; i < count && at + 2 <= config.size(); ++i) {
            const std::size_t size = be16(config, at);
            if (type == kH265Sps) return take(at + 2, size);
            at += 2 + size;
        }
    }
    return {};
}

std::string h265_codec_name(ByteView c) {
    const unsigned space = c[1] >> 6;
    const std::uint32_t flags =
        std::uint32_t{c[2]} << 24 | std::uint32_t{c[3]} << 16 | std::uint32_t{c[4]} << 8 | c[5];
    std::uint32_t reversed = 0;
    for (unsigned i = 0; i < 32; ++i) reversed |= (flags >> i & 1u) << (31 - i);
    std::string name = "hvc1.";
    if (space > 0) name.push_back(static_cast<char>('A' + space - 1));
    name += fmt::format("{}.{:X}.{}{}", c[1] & 31u, reversed, c[1] & 32u ? 'H' : 'L', c[12]);
    std::size_t last = 11;  // Constraint bytes 6..11, trailing zeros left out.
    while (last >= 6 && c[last] == 0) --last;
    for (std::size_t i = 6; i <= last; ++i) name += fmt::format(".{:X}", c[i]);
    return name;
}

}  // namespace

EntryPoint entry_point(Codec codec, ByteView au) {
    EntryPoint best = EntryPoint::none;
    while (au.size() > 4) {
        const std::size_t size =
            std::size_t{au[0]} << 24 | std::size_t{au[1]} << 16 | std::size_t{au[2]} << 8 | au[3];
        if (size == 0 || size > au.size() - 4) break;
        const ByteView nal = au.subspan(4, size);
        const EntryPoint e = codec == Codec::h264 ? h264_entry(nal) : h265_entry(nal);
        if (e == EntryPoint::idr) return e;
        if (e == EntryPoint::cra) best = e;
        if (nal_kind(codec, nal) == NalKind::slice)
            break;  // All slices of a picture have one type.
        au = au.subspan(4 + size);
    }
    return best;
}

Result<std::string> rfc6381_codec(Codec codec, ByteView c) {
    const std::size_t least = codec == Codec::h264 ? 7 : 23;
    if (c.size() < least || c[0] != 1)
        return Error{ErrorCode::corrupt,
                     fmt::format("codec configuration of {} bytes is not version 1 of at least {}",
                                 c.size(), least)};
    if (codec == Codec::h265) return h265_codec_name(c);
    return fmt::format("avc1.{:02X}{:02X}{:02X}", c[1], c[2], c[3]);
}

std::optional<unsigned> reorder_depth(Codec codec, ByteView codec_config) {
    const ByteView sps = first_sps(codec, codec_config);
    if (sps.empty()) return std::nullopt;
    const auto facts = sps_facts(codec, sps);
    return facts ? facts->reorder : std::nullopt;
}

}  // namespace hd::ingest
