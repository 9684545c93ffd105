// Clips for the tests of index/clip: small, with made-up "age files".
#pragma once

#include <vector>

#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"
#include "index/clip/clip_writer.hpp"

namespace hd::test {

inline clip::ClipHeader sample_header() {
    clip::ClipHeader h;
    h.clip.bytes.fill(0x11);
    h.camera.bytes.fill(0x22);
    h.hub.bytes.fill(0x33);
    h.run = RunId{0x0000002A};
    h.boot.bytes.fill(0x44);
    h.boot_begin = {100'000'000};
    h.utc_begin = {1'795'356'000'000'000};  // 2026-11-22T14:00:00Z
    h.quality = ClockQuality::synchronised;
    h.codec = "avc1.4D401F";
    h.width = 1280;
    h.height = 720;
    h.encoder = "camera";
    h.encoder_why = "within limits";
    h.policy_number = 1;
    h.policy_hash.fill(0x55);
    return h;
}

// Piece 0 is init; the others last one second each, an IDR every other one.
inline clip::PieceIdentity sample_identity(const clip::ClipHeader& h, std::uint32_t sequence) {
    clip::PieceIdentity id;
    id.camera = h.camera;
    id.clip = h.clip;
    id.sequence = sequence;
    id.kind = sequence == 0 ? clip::PieceKind::init : clip::PieceKind::video;
    const std::int64_t second = sequence == 0 ? 0 : sequence - 1;
    const Micros begin(second * 1'000'000), end(sequence == 0 ? 0 : (second + 1) * 1'000'000);
    id.boot_begin = h.boot_begin + begin;
    id.boot_end = h.boot_begin + end;
    id.utc_begin = h.utc_begin + begin;
    id.utc_end = h.utc_begin + end;
    id.frames = sequence == 0 ? 0 : 25;
    id.start = sequence % 2 == 1 ? clip::PieceStart::idr : clip::PieceStart::none;
    return id;
}

inline Bytes sample_age_file(std::uint32_t sequence, std::size_t size = 300) {
    Bytes out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 31 + sequence);
    return out;
}

}  // namespace hd::test
