// The brute-force model that the store is compared with, and makers of clips and folders.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/store/store.hpp"
#include "tests/support/temp_folder.hpp"

namespace hd::test {

constexpr std::int64_t kSecond = 1'000'000;
constexpr WallTime kEpoch{1'795'183'200'000'000};  // 2026-11-20, an hour's edge

inline CameraId camera_number(int n) {
    CameraId id;
    id.bytes.fill(static_cast<std::uint8_t>(0x11 * (n + 1)));
    return id;
}

inline clip::ClipSummary make_clip(int camera, WallTime begin, Micros length) {
    clip::ClipSummary s;
    s.camera = camera_number(camera);
    s.run = {7};
    s.utc_begin = begin;
    s.utc_end = begin + length;
    s.name_time = begin;
    s.boot_begin = {begin.us - kEpoch.us};
    s.boot_end = s.boot_begin + length;
    s.quality = ClockQuality::synchronised;
    s.pieces = 61;
    s.frames = 1500;
    s.size_bytes = 15'000'000;
    return s;
}

// All that the store knows, as plain lists; every answer by looking at everything.
struct Model {
    std::vector<clip::ClipSummary> clips;  // finished, not deleted
    std::vector<std::pair<BootId, Micros>> boots;
    std::vector<store::GapRow> gaps;

    const Micros* offset(const BootId& boot) const {
        for (const auto& [id, o] : boots)
            if (id == boot) return &o;
        return nullptr;
    }
    bool is_pending(const clip::ClipSummary& s) const {
        return s.quality == ClockQuality::unsynchronised && !offset(s.boot);
    }
    store::ClipRow row(const clip::ClipSummary& s) const {
        store::ClipRow r{.camera = s.camera,
                         .begin = s.utc_begin,
                         .end = s.utc_end,
                         .name_time = s.name_time,
                         .run = s.run,
                         .size_bytes = s.size_bytes,
                         .frames = s.frames,
                         .pieces = s.pieces,
                         .reason = s.reason,
                         .quality = s.quality};
        if (const Micros* o = offset(s.boot); o && s.quality == ClockQuality::unsynchronised) {
            r.begin = {s.boot_begin.us + o->count()};
            r.end = {s.boot_end.us + o->count()};
            r.restamped = true;
        }
        return r;
    }
    std::vector<store::ClipRow> rows(const std::vector<CameraId>& cameras) const {
        std::vector<store::ClipRow> out;
        for (const auto& s : clips)
            if (!is_pending(s) && (cameras.empty() || std::find(cameras.begin(), cameras.end(),
                                                                s.camera) != cameras.end()))
                out.push_back(row(s));
        std::sort(out.begin(), out.end(), store::answer_order);
        return out;
    }
    std::vector<store::ClipRow> window(TimeSpan w, const std::vector<CameraId>& cameras) const {
        std::vector<store::ClipRow> out;
        for (const auto& r : rows(cameras))
            if (!w.empty() && r.span().overlaps(w)) out.push_back(r);
        return out;
    }
};

}  // namespace hd::test
