#include "pipelines/ingest/access_unit.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pipelines/ingest/bit_reader.hpp"

namespace hd::ingest {
namespace {

constexpr unsigned kH264Idr = 5, kH264Sei = 6, kH264Sps = 7;
constexpr unsigned kH265BlaFirst = 16, kH265BlaLast = 18, kH265IdrFirst = 19, kH265IdrLast = 20,
                   kH265Cra = 21, kH265Sps = 33;
constexpr unsigned kSeiRecoveryPoint = 6;
// H.264 A.3.1: the most that a decoded picture buffer holds; a larger VUI value is nonsense.
constexpr unsigned kMaxReorder = 16;

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

bool is_vcl(Codec codec, ByteView nal) {
    if (codec == Codec::h265) return ((nal[0] >> 1) & 63u) < 32;
    const unsigned type = nal[0] & 31u;
    return type >= 1 && type <= 5;
}

void skip_hrd(BitReader& in) {
    const unsigned count = in.ue() + 1;
    in.skip(8);
    for (unsigned i = 0; i < count && in.ok(); ++i) {
        in.ue();
        in.ue();
        in.bit();
    }
    in.skip(20);
}

// Rec. ITU-T H.264 annex E.1.1, up to max_num_reorder_frames.
std::optional<unsigned> h264_vui_reorder(BitReader& in) {
    if (in.bit() && in.bits(8) == 255) in.skip(32);  // aspect ratio
    if (in.bit()) in.bit();                          // overscan
    if (in.bit()) {                                  // video signal type
        in.skip(4);
        if (in.bit()) in.skip(24);
    }
    if (in.bit()) in.ue(), in.ue();  // chroma location
    if (in.bit()) in.skip(65);       // timing
    const bool nal_hrd = in.bit();
    if (nal_hrd) skip_hrd(in);
    const bool vcl_hrd = in.bit();
    if (vcl_hrd) skip_hrd(in);
    if (nal_hrd || vcl_hrd) in.bit();
    in.bit();                            // picture structure present
    if (!in.bit()) return std::nullopt;  // no bitstream restriction
    in.bit();
    for (int i = 0; i < 4; ++i) in.ue();
    const unsigned reorder = in.ue();
    return in.ok() && reorder <= kMaxReorder ? std::optional(reorder) : std::nullopt;
}

// Rec. ITU-T H.264 7.3.2.1.1.
std::optional<unsigned> h264_reorder(ByteView sps) {
    if (sps.size() < 5) return std::nullopt;
    BitReader in(sps.subspan(1));
    const unsigned profile = in.bits(8);
    in.skip(16);
    in.ue();
    if (profile == 66) return 0;  // Baseline has no B slices
    for (const unsigned high : {100u, 110u, 122u, 244u, 44u, 83u, 86u, 118u, 128u, 138u}) {
        if (profile != high) continue;
        const unsigned chroma = in.ue();
        if (chroma == 3) in.bit();
        in.ue();
        in.ue();
        in.bit();
        if (in.bit()) skip_scaling_lists(in, chroma == 3 ? 12 : 8);
    }
    in.ue();
    const unsigned order_type = in.ue();
    if (order_type == 2) return 0;  // 8.2.1.3: output order is decoding order
    if (order_type == 0) in.ue();
    if (order_type == 1) {
        in.bit();
        in.se();
        in.se();
        const unsigned cycle = in.ue();
        for (unsigned i = 0; i < cycle && i < 256 && in.ok(); ++i) in.se();
    }
    in.ue();
    in.bit();
    in.ue();
    in.ue();
    if (!in.bit()) in.bit();                           // frame_mbs_only, else adaptive
    in.bit();                                          // direct 8x8
    if (in.bit()) in.ue(), in.ue(), in.ue(), in.ue();  // cropping
    if (!in.bit()) return std::nullopt;                // no VUI
    return h264_vui_reorder(in);
}

// Rec. ITU-T H.265 7.3.2.2 up to sps_max_num_reorder_pics of the highest sub-layer.
std::optional<unsigned> h265_reorder(ByteView sps) {
    if (sps.size() < 16) return std::nullopt;
    BitReader in(sps.subspan(2));
    in.skip(4);
    const unsigned sub_layers = in.bits(3);
    in.bit();
    in.skip(96);  // general profile, tier, level
    bool profile[8] = {}, level[8] = {};
    for (unsigned i = 0; i < sub_layers; ++i) profile[i] = in.bit(), level[i] = in.bit();
    if (sub_layers > 0) in.skip(2 * (8 - sub_layers));
    for (unsigned i = 0; i < sub_layers; ++i)
        in.skip((profile[i] ? 88u : 0u) + (level[i] ? 8u : 0u));
    in.ue();
    if (in.ue() == 3) in.bit();
    in.ue();
    in.ue();
    if (in.bit()) in.ue(), in.ue(), in.ue(), in.ue();
    in.ue();
    in.ue();
    in.ue();
    const bool each = in.bit();
    unsigned reorder = 0;
    for (unsigned i = each ? 0 : sub_layers; i <= sub_layers; ++i) {
        in.ue();
        reorder = in.ue();
        in.ue();
    }
    return in.ok() && reorder <= kMaxReorder ? std::optional(reorder) : std::nullopt;
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
        if (is_vcl(codec, nal)) break;  // All slices of a picture have one type.
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
    return codec == Codec::h264 ? h264_reorder(sps) : h265_reorder(sps);
}

}  // namespace hd::ingest
