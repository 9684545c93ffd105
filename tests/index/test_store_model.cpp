// The store against a brute-force model over random operations. HD_STORE_SEED repeats a run,
// HD_STORE_STEPS lengthens it; the slow suite runs it long.
#include <cstdlib>
#include <map>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/index/store_model.hpp"

using namespace hd;
using namespace hd::test;
using namespace hd::store;

namespace {

struct Run {
    explicit Run(std::uint64_t seed) : rng(seed), dir() { reopen(); }

    std::mt19937_64 rng;
    TempFolder dir;
    std::unique_ptr<Store> index;
    Model model;
    std::vector<clip::ClipSummary> garbage;
    std::vector<BootId> dark_boots;  // unsynchronised, offset not told yet
    std::vector<std::pair<BootId, Micros>> all_boots;

    std::uint64_t pick(std::uint64_t n) { return rng() % n; }

    void reopen() {
        index.reset();
        OpenReport report;
        StoreOptions options;
        options.memory_bytes = 4u << 20;
        options.tuning.merge_appends = pick(4) != 0;
        auto opened = Store::open(dir.path("index"), options, kEpoch, report);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().what));
        REQUIRE(report.moved_aside.empty());
        index = std::move(*opened);
    }

    clip::ClipSummary new_clip() {
        // Mostly in a few hours, so that they collide; sometimes far away; sometimes over an edge.
        const std::int64_t range = pick(5) == 0 ? 40 * 86'400 : 3 * 3600;
        WallTime begin{kEpoch.us +
                       static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(range) * 10)) *
                           100'000};
        if (pick(10) == 0) begin.us = begin.us / (3600 * kSecond) * 3600 * kSecond - 30 * kSecond;
        auto s = make_clip(static_cast<int>(pick(4)), begin,
                           Micros(1 + static_cast<std::int64_t>(pick(120 * kSecond))));
        s.run = {static_cast<std::uint32_t>(pick(3))};
        s.frames = static_cast<std::uint32_t>(pick(4000));
        s.pieces = static_cast<std::uint32_t>(pick(130));
        s.size_bytes = pick(40'000'000);
        s.reason = static_cast<clip::EndReason>(1 + pick(11));
        s.name_time = begin + Micros(pick(4) == 0 ? static_cast<std::int64_t>(pick(5000)) : 0);
        if (pick(8) == 0) {
            s.quality = ClockQuality::unsynchronised;
            if (dark_boots.empty() || pick(10) == 0) {
                dark_boots.push_back(random_id<BootId>());
                all_boots.emplace_back(
                    dark_boots.back(),
                    Micros(kEpoch.us + static_cast<std::int64_t>(pick(5000 * kSecond))));
            }
            s.boot = all_boots[pick(all_boots.size())].first;
            // Its own idea of UTC is decades off.
            const Micros off(-static_cast<std::int64_t>(20ll * 365 * 86'400 * kSecond));
            s.utc_begin = s.utc_begin + off;
            s.utc_end = s.utc_end + off;
            s.name_time = s.name_time + off;
        } else if (pick(10) == 0) {
            s.quality = ClockQuality::assumed;
        }
        return s;
    }

    static bool same(const clip::ClipSummary& a, const clip::ClipSummary& b) {
        return a.camera == b.camera && a.name_time == b.name_time && a.run == b.run;
    }

    void put(const std::vector<clip::ClipSummary>& clips) {
        const auto report =
            index->put_clips(clips, pick(3) == 0 ? Durability::synced : Durability::buffered);
        REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().what));
        REQUIRE(report->refused.empty());
        for (const auto& s : clips) {
            if (std::any_of(garbage.begin(), garbage.end(),
                            [&](const auto& g) { return same(g, s); }))
                continue;
            std::erase_if(model.clips, [&](const auto& c) { return same(c, s); });
            model.clips.push_back(s);
        }
    }

    void step() {
        switch (pick(20)) {
            case 0: {  // the same clip again, sometimes with other facts
                if (model.clips.empty()) return;
                auto s = model.clips[pick(model.clips.size())];
                if (pick(2) == 0) s.size_bytes += 1;
                if (pick(4) == 0 && s.quality != ClockQuality::unsynchronised)
                    s.utc_begin = s.utc_begin - Micros(static_cast<std::int64_t>(pick(kSecond)));
                return put({s});
            }
            case 1:
            case 2: {  // delete a few, the oldest or any
                if (model.clips.empty()) return;
                std::vector<clip::ClipName> names;
                for (std::uint64_t n = 1 + pick(5); n > 0 && !model.clips.empty(); --n) {
                    const auto at = pick(model.clips.size());
                    const auto s = model.clips[at];
                    names.push_back({s.camera, s.name_time, s.run});
                    garbage.push_back(s);
                    model.clips.erase(model.clips.begin() + static_cast<std::ptrdiff_t>(at));
                }
                names.push_back({camera_number(9), kEpoch, {1}});  // never was
                const auto marked = index->mark_garbage(names);
                REQUIRE(marked.ok());
                CHECK(*marked == names.size() - 1);
                return;
            }
            case 3: {
                std::vector<clip::ClipName> names;
                for (const auto& s : garbage) names.push_back({s.camera, s.name_time, s.run});
                REQUIRE(index->forget(names).ok());
                garbage.clear();
                return;
            }
            case 4: {
                if (dark_boots.empty() || pick(4) != 0) return;
                const BootId boot = dark_boots.back();
                dark_boots.pop_back();
                for (const auto& [id, offset] : all_boots)
                    if (id == boot) {
                        REQUIRE(index->set_boot_offset(boot, offset).ok());
                        model.boots.emplace_back(boot, offset);
                    }
                return;
            }
            case 5:
                if (pick(8) == 0) reopen();
                return;
            case 6:
                if (pick(2) == 0) REQUIRE(index->derive_coverage(20).ok());
                return;
            default: {
                std::vector<clip::ClipSummary> clips;
                for (std::uint64_t n = pick(4) == 0 ? 20 : 1; n > 0; --n) {
                    auto s = new_clip();
                    if (std::none_of(clips.begin(), clips.end(),
                                     [&](const auto& c) { return same(c, s); }))
                        clips.push_back(s);
                }
                put(clips);
            }
        }
    }

    std::vector<CameraId> some_cameras() {
        std::vector<CameraId> out;
        if (pick(3) == 0) return out;
        for (std::uint64_t n = 1 + pick(3); n > 0; --n)
            out.push_back(camera_number(static_cast<int>(pick(5))));
        return out;
    }
    TimeSpan some_window() {
        const WallTime from{kEpoch.us - 3600 * kSecond +
                            static_cast<std::int64_t>(pick(6 * 3600 * 10)) * 100'000};
        const std::int64_t lengths[] = {0,
                                        1,
                                        kSecond,
                                        600 * kSecond,
                                        3600 * kSecond,
                                        86'400 * kSecond,
                                        60ll * 86'400 * kSecond};
        return {from, from + Micros(lengths[pick(7)])};
    }

    void compare_window() {
        WindowQuery query{.window = some_window(), .cameras = some_cameras()};
        query.limit = static_cast<std::uint32_t>(pick(4) == 0 ? 10'000 : 1 + pick(40));
        const auto expected = model.window(query.window, query.cameras);
        std::vector<ClipRow> got;
        do {
            auto page = index->window(query);
            REQUIRE_MESSAGE(page.ok(), (page.ok() ? "" : page.error().what));
            REQUIRE(page->clips.size() <= query.limit);
            got.insert(got.end(), page->clips.begin(), page->clips.end());
            query.cursor = page->next_cursor;
        } while (!query.cursor.empty());
        if (got != expected) {
            fmt::print("window {} .. {} got {} expected {}\n", to_rfc3339(query.window.begin),
                       to_rfc3339(query.window.end), got.size(), expected.size());
            for (const auto& r : got)
                if (std::find(expected.begin(), expected.end(), r) == expected.end())
                    fmt::print("extra {} {} {} size {} re {}\n", store::clip_path(r),
                               to_rfc3339(r.begin), to_rfc3339(r.end), r.size_bytes, r.restamped);
            for (const auto& r : expected)
                if (std::find(got.begin(), got.end(), r) == got.end())
                    fmt::print("missing {} {} {} size {} re {}\n", store::clip_path(r),
                               to_rfc3339(r.begin), to_rfc3339(r.end), r.size_bytes, r.restamped);
        }
        REQUIRE(got == expected);
    }

    void compare_totals() {
        std::uint64_t pending = 0;
        for (int n = 0; n < 5; ++n) {
            CameraTotals t{.camera = camera_number(n)};
            for (const auto& s : model.clips)
                if (s.camera == t.camera) {
                    const bool waits = model.is_pending(s);
                    pending += waits;
                    ++(waits ? t.pending_clips : t.clips);
                    (waits ? t.pending_bytes : t.bytes) += s.size_bytes;
                }
            for (const auto& s : garbage)
                if (s.camera == t.camera) {
                    ++t.garbage_clips;
                    t.garbage_bytes += s.size_bytes;
                }
            const auto rows = model.rows({t.camera});
            if (!rows.empty()) {
                t.first = rows.front().begin;
                t.last = rows.back().end;
            }
            REQUIRE(index->totals(t.camera) == t);
        }
        REQUIRE(index->pending(100'000)->size() == pending);
    }

    void compare_nearest() {
        const CameraId camera = camera_number(static_cast<int>(pick(4)));
        const WallTime at = some_window().begin;
        const auto rows = model.rows({camera});
        const auto got = index->nearest(camera, at);
        if (rows.empty()) {
            REQUIRE(!got.ok());
            return;
        }
        const auto distance = [&](const ClipRow& r) {
            return at < r.begin ? r.begin.us - at.us : at < r.end ? -1 : at.us - r.end.us;
        };
        std::int64_t best = INT64_MAX;
        for (const auto& r : rows) best = std::min(best, distance(r));
        REQUIRE(got.ok());
        REQUIRE(distance(*got) == best);
    }

    void compare_coverage() {
        CoverageQuery query{.window = some_window(), .cameras = some_cameras()};
        query.bucket = static_cast<Bucket>(pick(4));
        const auto got = index->coverage(query);
        REQUIRE_MESSAGE(got.ok(), (got.ok() ? "" : got.error().what));
        const std::int64_t grain =
            std::min<std::int64_t>(bucket_length(query.bucket).count(), 900 * kSecond);
        for (const auto& c : got->cameras) {
            std::map<std::int64_t, std::int64_t> grains;
            std::vector<std::uint32_t> begins(c.clips.size()), covered(c.clips.size());
            std::int64_t until = INT64_MIN;
            for (const auto& r : model.rows({c.camera})) {
                if (r.begin >= got->window.begin && r.begin < got->window.end)
                    ++begins[static_cast<std::size_t>((r.begin - got->window.begin) /
                                                      bucket_length(query.bucket))];
                for (std::int64_t t = std::max(r.begin.us, until); t < r.end.us;) {
                    const std::int64_t end = std::min(r.end.us, (t / grain + 1) * grain);
                    grains[t / grain] += end - t;
                    t = end;
                }
                until = std::max(until, r.end.us);
            }
            for (const auto& [g, us] : grains) {
                const std::int64_t t = g * grain;
                if (t >= got->window.begin.us && t < got->window.end.us)
                    covered[static_cast<std::size_t>((WallTime{t} - got->window.begin) /
                                                     bucket_length(query.bucket))] +=
                        static_cast<std::uint32_t>((us + 500) / 1000);
            }
            REQUIRE(c.clips == begins);
            REQUIRE(c.covered_ms == covered);
        }
    }

    void compare() {
        compare_window();
        compare_nearest();
        if (pick(4) == 0) compare_totals();
        if (pick(4) == 0) compare_coverage();
        if (!model.clips.empty()) {
            const auto& s = model.clips[pick(model.clips.size())];
            const auto row = index->find({s.camera, s.name_time, s.run});
            REQUIRE(row.ok() == !model.is_pending(s));
            if (row.ok()) REQUIRE(*row == model.row(s));
        }
    }
};

std::uint64_t env_number(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_SUITE("index/store/model") {
    TEST_CASE("random histories answer as a brute-force model does") {
        const std::uint64_t steps = env_number("HD_STORE_STEPS", 1500);
        const std::uint64_t first = env_number("HD_STORE_SEED", 1);
        const std::uint64_t runs = env_number("HD_STORE_RUNS", 3);
        for (std::uint64_t seed = first; seed < first + runs; ++seed) {
            fmt::print("store model: seed {} steps {}\n", seed, steps);
            CAPTURE(seed);
            Run run(seed);
            for (std::uint64_t i = 0; i < steps; ++i) {
                CAPTURE(i);
                run.step();
                run.compare();
            }
            run.compare_totals();
        }
    }
}
