#include "pipelines/ingest/sps.hpp"

#include <algorithm>

#include "pipelines/ingest/bit_reader.hpp"

namespace hd::ingest {
namespace {

constexpr unsigned kMaxSide = 16384;
// Between 1000 and 0.1 frames per second; anything else is nonsense.
constexpr std::int64_t kShortestUs = 1000, kLongestUs = 10'000'000;
// H.264 A.3.1: the most that a decoded picture buffer holds; a larger value is nonsense.
constexpr unsigned kMaxReorder = 16;

NalKind h264_kind(unsigned type) {
    if (type >= 1 && type <= 5) return NalKind::slice;
    if (type == 7) return NalKind::sps;
    if (type == 8) return NalKind::pps;
    if (type == 9) return NalKind::delimiter;
    if (type == 10 || type == 11) return NalKind::end;
    // 7.4.1.2.3: these come before the first slice of a picture only.
    if (type == 6 || (type >= 14 && type <= 18)) return NalKind::prefix_sei;
    return NalKind::other;
}

NalKind h265_kind(unsigned type) {
    if (type < 32) return NalKind::slice;
    if (type == 32) return NalKind::vps;
    if (type == 33) return NalKind::sps;
    if (type == 34) return NalKind::pps;
    if (type == 35) return NalKind::delimiter;
    if (type == 36 || type == 37) return NalKind::end;
    // 7.4.2.4.4
    if (type == 39 || (type >= 41 && type <= 44) || (type >= 48 && type <= 55))
        return NalKind::prefix_sei;
    return NalKind::other;
}

Micros duration_of(std::uint64_t ticks, std::uint32_t scale) {
    if (scale == 0) return Micros(0);
    const std::uint64_t us = ticks * 1'000'000 / scale;
    const bool sane = us >= kShortestUs && us <= kLongestUs;
    return Micros(sane ? static_cast<std::int64_t>(us) : 0);
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

// Rec. ITU-T H.264 annex E.1.1, up to max_num_reorder_frames. What is cut off says nothing.
void read_h264_vui(BitReader& in, SpsFacts& out) {
    if (in.bit() && in.bits(8) == 255) in.skip(32);  // aspect ratio
    if (in.bit()) in.bit();                          // overscan
    if (in.bit()) {                                  // video signal type
        in.skip(4);
        if (in.bit()) in.skip(24);
    }
    if (in.bit()) in.ue(), in.ue();  // chroma location
    if (in.bit()) {
        const std::uint32_t ticks = in.bits(32), scale = in.bits(32);
        // Ticks count fields.
        if (in.ok()) out.frame_duration = duration_of(std::uint64_t{ticks} * 2, scale);
        in.bit();  // fixed rate
    }
    const bool nal_hrd = in.bit();
    if (nal_hrd) skip_hrd(in);
    const bool vcl_hrd = in.bit();
    if (vcl_hrd) skip_hrd(in);
    if (nal_hrd || vcl_hrd) in.bit();
    in.bit();               // picture structure present
    if (!in.bit()) return;  // no bitstream restriction
    in.bit();
    for (int i = 0; i < 4; ++i) in.ue();
    const unsigned reorder = in.ue();
    if (in.ok() && reorder <= kMaxReorder) out.reorder = reorder;
}

struct Cropping {
    unsigned left = 0, right = 0, top = 0, bottom = 0;
};
Cropping read_cropping(BitReader& in) {
    Cropping c;
    if (in.bit()) c.left = in.ue(), c.right = in.ue(), c.top = in.ue(), c.bottom = in.ue();
    return c;
}

// False: nonsense.
bool set_size(SpsFacts& out, std::uint64_t width, std::uint64_t height, const Cropping& c,
              unsigned unit_x, unsigned unit_y) {
    const std::uint64_t x = (std::uint64_t{c.left} + c.right) * unit_x;
    const std::uint64_t y = (std::uint64_t{c.top} + c.bottom) * unit_y;
    if (width > kMaxSide || height > kMaxSide || x >= width || y >= height) return false;
    out.width = static_cast<unsigned>(width - x);
    out.height = static_cast<unsigned>(height - y);
    return true;
}

// Rec. ITU-T H.264 7.3.2.1.1.
std::optional<SpsFacts> h264_facts(ByteView sps) {
    if (sps.size() < 5) return std::nullopt;
    SpsFacts out;
    BitReader in(sps.subspan(1));
    const unsigned profile = in.bits(8);
    in.skip(16);
    in.ue();
    bool separate = false;
    for (const unsigned high : {100u, 110u, 122u, 244u, 44u, 83u, 86u, 118u, 128u, 138u}) {
        if (profile != high) continue;
        out.chroma_format = in.ue();
        if (out.chroma_format > 3) return std::nullopt;
        if (out.chroma_format == 3) separate = in.bit();
        out.luma_depth = 8 + std::min(in.ue(), 8u);
        out.chroma_depth = 8 + std::min(in.ue(), 8u);
        in.bit();
        if (in.bit()) skip_scaling_lists(in, out.chroma_format == 3 ? 12 : 8);
    }
    in.ue();
    const unsigned order_type = in.ue();
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
    const std::uint64_t width = (std::uint64_t{in.ue()} + 1) * 16;
    const std::uint64_t map_units = (std::uint64_t{in.ue()} + 1) * 16;
    const bool frames_only = in.bit();
    if (!frames_only) in.bit();
    in.bit();  // direct 8x8
    const Cropping crop = read_cropping(in);
    const unsigned fields = frames_only ? 1 : 2;
    const bool mono = out.chroma_format == 0 || separate;
    const unsigned unit_x = !mono && out.chroma_format < 3 ? 2 : 1;
    const unsigned unit_y = (!mono && out.chroma_format == 1 ? 2 : 1) * fields;
    if (!in.ok() || !set_size(out, width, map_units * fields, crop, unit_x, unit_y))
        return std::nullopt;
    if (in.bit()) read_h264_vui(in, out);
    // Baseline has no B slices; with this order type output order is decoding order (8.2.1.3).
    if (profile == 66 || order_type == 2) out.reorder = 0;
    return out;
}

// Rec. ITU-T H.265 7.3.3, for `sub_layers` above the base.
void skip_profile_tier_level(BitReader& in, unsigned sub_layers) {
    in.skip(96);
    bool profile[8] = {}, level[8] = {};
    for (unsigned i = 0; i < sub_layers; ++i) profile[i] = in.bit(), level[i] = in.bit();
    if (sub_layers > 0) in.skip(2 * (8 - sub_layers));
    for (unsigned i = 0; i < sub_layers; ++i)
        in.skip((profile[i] ? 88u : 0u) + (level[i] ? 8u : 0u));
}

// Rec. ITU-T H.265 7.3.2.2, up to sps_max_num_reorder_pics of the highest sub-layer.
std::optional<SpsFacts> h265_facts(ByteView sps) {
    if (sps.size() < 16) return std::nullopt;
    SpsFacts out;
    BitReader in(sps.subspan(2));
    in.skip(4);
    const unsigned above = in.bits(3);
    out.sub_layers = above + 1;
    out.temporal_id_nesting = in.bit();
    skip_profile_tier_level(in, above);
    in.ue();
    out.chroma_format = in.ue();
    if (out.chroma_format > 3) return std::nullopt;
    const bool separate = out.chroma_format == 3 && in.bit();
    const std::uint64_t width = in.ue(), height = in.ue();
    const Cropping crop = read_cropping(in);
    out.luma_depth = 8 + std::min(in.ue(), 8u);
    out.chroma_depth = 8 + std::min(in.ue(), 8u);
    const bool mono = out.chroma_format == 0 || separate;
    if (!in.ok() || !set_size(out, width, height, crop, !mono && out.chroma_format < 3 ? 2 : 1,
                              !mono && out.chroma_format == 1 ? 2 : 1))
        return std::nullopt;
    in.ue();
    const bool each = in.bit();
    unsigned reorder = 0;
    for (unsigned i = each ? 0 : above; i <= above; ++i) {
        in.ue();
        reorder = in.ue();
        in.ue();
    }
    if (in.ok() && reorder <= kMaxReorder) out.reorder = reorder;
    return out;
}

}  // namespace

NalKind nal_kind(Codec codec, ByteView nal) {
    return codec == Codec::h264 ? h264_kind(nal[0] & 31u) : h265_kind((nal[0] >> 1) & 63u);
}

bool begins_picture(Codec codec, ByteView slice) {
    // first_mb_in_slice is ue(v): a first bit of 1 says 0. H.265: first_slice_segment_in_pic_flag.
    const std::size_t at = codec == Codec::h264 ? 1 : 2;
    return slice.size() > at && (slice[at] & 0x80u) != 0;
}

std::optional<unsigned> set_id(Codec codec, NalKind kind, ByteView nal) {
    const std::size_t head = codec == Codec::h264 ? 1 : 2;
    if (nal.size() < head + 2) return std::nullopt;
    BitReader in(nal.subspan(head));
    unsigned id = 0, most = 0;
    if (codec == Codec::h264 && kind == NalKind::sps) {
        in.skip(24);
        id = in.ue();
        most = 31;
    } else if (codec == Codec::h265 && kind == NalKind::sps) {
        in.skip(4);
        const unsigned above = in.bits(3);
        in.bit();
        skip_profile_tier_level(in, above);
        id = in.ue();
        most = 15;
    } else if (kind == NalKind::pps) {
        id = in.ue();
        most = codec == Codec::h264 ? 255 : 63;
    } else {
        id = in.bits(4);
        most = 15;
    }
    return in.ok() && id <= most ? std::optional(id) : std::nullopt;
}

std::optional<SpsFacts> sps_facts(Codec codec, ByteView sps) {
    return codec == Codec::h264 ? h264_facts(sps) : h265_facts(sps);
}

// Rec. ITU-T H.265 7.3.2.1.
Micros vps_frame_duration(ByteView vps) {
    if (vps.size() < 16) return Micros(0);
    BitReader in(vps.subspan(2));
    in.skip(12);
    const unsigned above = in.bits(3);
    in.skip(1 + 16);
    skip_profile_tier_level(in, above);
    const bool each = in.bit();
    for (unsigned i = each ? 0 : above; i <= above; ++i) in.ue(), in.ue(), in.ue();
    const unsigned layers = in.bits(6);
    const unsigned sets = in.ue();
    for (unsigned i = 1; i <= sets && i < 1024 && in.ok(); ++i) in.skip(layers + 1);
    if (!in.bit() || !in.ok()) return Micros(0);
    const std::uint32_t ticks = in.bits(32), scale = in.bits(32);
    return in.ok() ? duration_of(ticks, scale) : Micros(0);
}

}  // namespace hd::ingest
