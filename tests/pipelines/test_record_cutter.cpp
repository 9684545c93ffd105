#include <random>

#include <doctest/doctest.h>

#include "pipelines/record/clip_cutter.hpp"

using namespace hd;
using namespace hd::record;
using namespace std::chrono_literals;
using clip::EndReason;

namespace {

BootTime at(double seconds) { return BootTime{static_cast<std::int64_t>(seconds * 1e6)}; }

FrameFacts frame(double seconds, bool key = false, std::uint64_t bytes = 1000) {
    return {.pts = at(seconds), .dts = at(seconds), .key = key, .bytes = bytes};
}

// A clip that began with a key frame at 100 s and has its newest frame at `last`.
OpenClip clip_until(double last) {
    OpenClip c = begin_clip(frame(100, true));
    c.last_dts = at(last);
    c.last_duration = 40ms;
    c.piece_first_dts = at(std::floor(last));
    c.piece_keyed = false;
    return c;
}

struct Piece {
    BootTime first_dts, last_dts;
    std::uint64_t frames = 0;
};
struct Clip {
    BootTime begin, end;
    std::vector<Piece> pieces;
    EndReason reason = EndReason::input_end;
};

// What a session does with the decisions.
std::vector<Clip> cut_all(const std::vector<FrameFacts>& frames, const CutLimits& limits) {
    std::vector<Clip> out;
    OpenClip open;
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const FrameFacts& f = frames[i];
        const Decision d = out.empty() ? Decision{Cut::clip, {}} : decide_cut(open, f, limits);
        if (d.cut == Cut::clip) {
            if (!out.empty()) out.back().reason = d.reason;
            out.push_back({f.pts, f.pts, {}, EndReason::input_end});
            open = begin_clip(f);
        } else {
            take_frame(open, f, d.cut == Cut::piece);
        }
        if (d.cut != Cut::keep) out.back().pieces.push_back({f.dts, f.dts, 0});
        out.back().pieces.back().last_dts = f.dts;
        ++out.back().pieces.back().frames;
        const Micros next = i + 1 < frames.size() ? frames[i + 1].dts - f.dts : 40ms;
        out.back().end = std::max(out.back().end, f.pts + std::min(next, Micros(3s)));
    }
    return out;
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/clip_cutter");

TEST_CASE("a clip goes on until its target and ends at the first key frame after it") {
    const CutLimits limits;
    CHECK(decide_cut(clip_until(159.96), frame(159.999, true), limits).cut != Cut::clip);
    const Decision d = decide_cut(clip_until(159.96), frame(160, true), limits);
    CHECK(d.cut == Cut::clip);
    CHECK(d.reason == EndReason::target);
    CHECK(decide_cut(clip_until(159.96), frame(160, false), limits).cut != Cut::clip);
}

TEST_CASE("a camera that never sends a key frame is still cut at hard_max") {
    std::vector<FrameFacts> frames;
    for (int i = 0; i < 400 * 25; ++i) frames.push_back(frame(100 + i * 0.04, i == 0));
    const auto clips = cut_all(frames, CutLimits{});
    REQUIRE(clips.size() == 4);
    for (const Clip& c : clips) CHECK(c.end - c.begin <= 120s);
    CHECK(clips[0].reason == EndReason::hard_max);
    CHECK(clips[0].end - clips[0].begin > 119s);
}

TEST_CASE("a smaller hard_max holds too") {
    CutLimits limits;
    limits.hard_max = 5s;
    limits.target = 5s;
    std::vector<FrameFacts> frames;
    for (int i = 0; i < 1000; ++i) frames.push_back(frame(100 + i * 0.04, i == 0));
    for (const Clip& c : cut_all(frames, limits)) CHECK(c.end - c.begin <= 5s);
}

TEST_CASE("pieces close when decode time crosses the tick that all recorders share") {
    const CutLimits limits;
    CHECK(decide_cut(clip_until(101.96), frame(101.999), limits).cut == Cut::keep);
    CHECK(decide_cut(clip_until(101.96), frame(102.0), limits).cut == Cut::piece);
    CHECK(decide_cut(clip_until(101.96), frame(105.5), limits).cut == Cut::piece);
}

TEST_CASE("a key frame begins a piece, unless the open piece began with one a moment ago") {
    const CutLimits limits;
    CHECK(decide_cut(clip_until(101.4), frame(101.44, true), limits).cut == Cut::piece);
    OpenClip keyed = clip_until(101.04);
    keyed.piece_keyed = true;
    CHECK(decide_cut(keyed, frame(101.08, true), limits).cut == Cut::keep);
    keyed.last_dts = at(101.6);
    CHECK(decide_cut(keyed, frame(101.64, true), limits).cut == Cut::piece);
}

TEST_CASE("an all-key-frame camera at 60 frames a second fits the piece table") {
    std::vector<FrameFacts> frames;
    for (int i = 0; i < 130 * 60; ++i) frames.push_back(frame(100.3 + i / 60.0, true));
    CutLimits limits;
    limits.target = 120s;
    for (const Clip& c : cut_all(frames, limits)) CHECK(c.pieces.size() < clip::kMaxPieces / 4);
}

TEST_CASE("a wanted cut waits for a key frame and keeps its reason") {
    OpenClip c = clip_until(103.4);
    c.wanted = EndReason::settings_change;
    CHECK(decide_cut(c, frame(103.44), CutLimits{}).cut == Cut::keep);
    const Decision d = decide_cut(c, frame(103.44, true), CutLimits{});
    CHECK(d.cut == Cut::clip);
    CHECK(d.reason == EndReason::settings_change);
}

TEST_CASE("a fat camera is cut at a key frame from max_bytes on, at any frame from twice that on") {
    CutLimits limits;
    OpenClip c = clip_until(110.4);
    c.bytes = limits.max_bytes;
    CHECK(decide_cut(c, frame(110.44), limits).cut == Cut::keep);
    CHECK(decide_cut(c, frame(110.44, true), limits).cut == Cut::clip);
    c.bytes = 2 * limits.max_bytes;
    const Decision d = decide_cut(c, frame(110.44), limits);
    CHECK(d.cut == Cut::clip);
    CHECK(d.reason == EndReason::hard_max);
}

TEST_CASE("a piece that would be too large ends before the frame") {
    const CutLimits limits;
    OpenClip c = clip_until(110.4);
    c.piece_bytes = limits.max_piece_bytes;
    CHECK(decide_cut(c, frame(110.44), limits).cut == Cut::piece);
}

TEST_CASE("a picture lasts until the next one, but a silence is not coverage") {
    CHECK(frame_duration(40ms, 33ms, 3s) == 40ms);
    CHECK(frame_duration(2900ms, 33ms, 3s) == 2900ms);
    CHECK(frame_duration(3100ms, 33ms, 3s) == 33ms);
    CHECK(frame_duration(0ms, 33ms, 3s) == 33ms);
    CHECK(frame_duration(0ms, 0ms, 3s) > 0ms);
}

TEST_CASE("whatever comes, each frame is in one piece, pieces keep the tick and clips 120 s") {
    for (std::uint32_t seed = 0; seed < 300; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 rng(seed);
        std::vector<FrameFacts> frames;
        std::int64_t dts = 50'000'000 + static_cast<std::int64_t>(rng() % 2'000'000);
        const std::uint64_t key_every = 1 + rng() % (seed % 3 == 0 ? 5000 : 100);
        const std::int64_t step = 5'000 + static_cast<std::int64_t>(rng() % 150'000);
        const std::int64_t reorder = static_cast<std::int64_t>(rng() % 3) * step;
        for (std::uint64_t i = 0; i < 4000; ++i) {
            const bool hole = rng() % 500 == 0;
            dts += 1 + static_cast<std::int64_t>(rng() % static_cast<std::uint64_t>(2 * step)) +
                   (hole ? static_cast<std::int64_t>(rng() % 2'900'000) : 0);
            const std::int64_t delay =
                reorder == 0 ? 0 : static_cast<std::int64_t>(rng() % 3) * step;
            frames.push_back({.pts = BootTime{dts + delay},
                              .dts = BootTime{dts},
                              .key = i % key_every == 0,
                              .bytes = rng() % 200'000});
        }
        CutLimits limits;
        limits.target = Micros(1'000'000 + static_cast<std::int64_t>(rng() % 119'000'000));
        const auto clips = cut_all(frames, limits);
        std::uint64_t total = 0;
        for (const Clip& c : clips) {
            // The session clamps the last picture of a clip at 120 s; what the cutter answers for
            // is that no picture begins later.
            CHECK(c.pieces.back().last_dts - c.begin <= 120s);
            CHECK(c.pieces.size() + 1 <= clip::kMaxPieces);
            for (const Piece& p : c.pieces) {
                total += p.frames;
                CHECK(p.frames > 0);
                CHECK(p.last_dts - p.first_dts < limits.tick);
                CHECK(p.first_dts.us / 1'000'000 == p.last_dts.us / 1'000'000);
            }
        }
        CHECK(total == frames.size());
    }
}

TEST_SUITE_END();
