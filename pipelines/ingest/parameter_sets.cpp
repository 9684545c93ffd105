#include "pipelines/ingest/parameter_sets.hpp"

#include <algorithm>

namespace hd::ingest {
namespace {

// A real set is below 300 bytes; scaling lists may make it a few KiB.
constexpr std::size_t kMaxSetBytes = 8 << 10;
// One camera uses one to four; the ids would allow 300.
constexpr std::size_t kMaxSets = 32;

void put16(Bytes& out, std::size_t v) {
    out.push_back(static_cast<std::uint8_t>(v >> 8));
    out.push_back(static_cast<std::uint8_t>(v));
}

void put_set(Bytes& out, ByteView nal) {
    put16(out, nal.size());
    out.insert(out.end(), nal.begin(), nal.end());
}

bool has_chroma_fields(unsigned profile) {
    return profile == 100 || profile == 110 || profile == 122 || profile == 144 || profile == 244;
}

// The first `count` bytes of a NAL unit's payload without emulation prevention.
Bytes unescaped(ByteView nal, std::size_t count) {
    Bytes out;
    unsigned zeros = 0;
    for (const std::uint8_t b : nal) {
        if (out.size() == count) break;
        if (zeros >= 2 && b == 3) {
            zeros = 0;
            continue;
        }
        zeros = b == 0 ? zeros + 1 : 0;
        out.push_back(b);
    }
    out.resize(count, 0);
    return out;
}

}  // namespace

void ParameterSets::add(NalKind kind, ByteView nal) {
    if (kind != NalKind::vps && kind != NalKind::sps && kind != NalKind::pps) return;
    while (!nal.empty() && nal.back() == 0) nal = nal.first(nal.size() - 1);  // trailing_zero_8bits
    if (nal.empty() || nal.size() > kMaxSetBytes) return;
    const auto id = set_id(codec_, kind, nal);
    if (!id || (kind == NalKind::sps && !sps_facts(codec_, nal))) return;
    const auto key = std::make_pair(kind, *id);
    const auto known = sets_.find(key);
    if (known != sets_.end()) {
        if (equal(known->second, nal)) return;
        known->second.assign(nal.begin(), nal.end());
    } else {
        if (sets_.size() == kMaxSets) return;
        sets_.emplace(key, Bytes(nal.begin(), nal.end()));
    }
    changed_ = true;
}

const Bytes* ParameterSets::first(NalKind kind) const {
    const auto it = sets_.lower_bound({kind, 0});
    return it != sets_.end() && it->first.first == kind ? &it->second : nullptr;
}

std::optional<SpsFacts> ParameterSets::facts() const {
    const Bytes* sps = first(NalKind::sps);
    if (!sps) return std::nullopt;
    auto out = sps_facts(codec_, *sps);
    const Bytes* vps = first(NalKind::vps);
    if (out && vps && out->frame_duration == Micros(0))
        out->frame_duration = vps_frame_duration(*vps);
    return out;
}

std::optional<Bytes> ParameterSets::codec_config() const {
    if (!first(NalKind::sps) || !first(NalKind::pps)) return std::nullopt;
    if (codec_ == Codec::h264) return avcc();
    if (!first(NalKind::vps)) return std::nullopt;
    return hvcc();
}

// ISO/IEC 14496-15 5.3.3.1.
Bytes ParameterSets::avcc() const {
    const Bytes& sps = *first(NalKind::sps);
    Bytes out{1, sps[1], sps[2], sps[3], 0xff, 0xe0};
    for (const NalKind kind : {NalKind::sps, NalKind::pps}) {
        if (kind == NalKind::pps) out.push_back(0);
        const std::size_t count_at = out.size() - 1;
        for (const auto& [key, nal] : sets_) {
            if (key.first != kind) continue;
            ++out[count_at];
            put_set(out, nal);
        }
    }
    const auto f = sps_facts(Codec::h264, sps);
    if (f && has_chroma_fields(sps[1])) {
        out.push_back(static_cast<std::uint8_t>(0xfc | f->chroma_format));
        out.push_back(static_cast<std::uint8_t>(0xf8 | (f->luma_depth - 8)));
        out.push_back(static_cast<std::uint8_t>(0xf8 | (f->chroma_depth - 8)));
        out.push_back(0);  // no SPS extension
    }
    return out;
}

// ISO/IEC 14496-15 8.3.3.1.
Bytes ParameterSets::hvcc() const {
    const Bytes& sps = *first(NalKind::sps);
    const auto f = sps_facts(Codec::h265, sps).value_or(SpsFacts{});
    Bytes out{1};
    // general_profile_space .. general_level_idc: 12 bytes behind the header and four fields.
    const Bytes raw = unescaped(sps, 3 + 12);
    out.insert(out.end(), raw.begin() + 3, raw.end());
    put16(out, 0xf000);   // no minimum of spatial segmentation
    out.push_back(0xfc);  // parallelism unknown
    out.push_back(static_cast<std::uint8_t>(0xfc | f.chroma_format));
    out.push_back(static_cast<std::uint8_t>(0xf8 | (f.luma_depth - 8)));
    out.push_back(static_cast<std::uint8_t>(0xf8 | (f.chroma_depth - 8)));
    put16(out, 0);  // average frame rate unknown
    out.push_back(
        static_cast<std::uint8_t>(f.sub_layers << 3 | (f.temporal_id_nesting ? 4 : 0) | 3));
    out.push_back(3);  // arrays
    for (const NalKind kind : {NalKind::vps, NalKind::sps, NalKind::pps}) {
        const unsigned type = kind == NalKind::vps ? 32 : kind == NalKind::sps ? 33 : 34;
        // array_completeness: hvc1 has no sets in the samples.
        out.push_back(static_cast<std::uint8_t>(0x80 | type));
        const auto count = std::count_if(sets_.begin(), sets_.end(),
                                         [&](const auto& s) { return s.first.first == kind; });
        put16(out, static_cast<std::size_t>(count));
        for (const auto& [key, nal] : sets_)
            if (key.first == kind) put_set(out, nal);
    }
    return out;
}

}  // namespace hd::ingest
