// The store against a brute-force model over random operations: writes and queries mixed, clips
// and gaps that come and go between the pages of one answer. HD_STORE_SEED repeats a run,
// HD_STORE_STEPS is operations in a run, HD_STORE_RUNS how many; `store-long` runs millions.
#include <cstdlib>
#include <map>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/index/store_model.hpp"

using namespace hd;
using namespace hd::test;
using namespace hd::store;

namespace {

std::string text(TimeSpan s) { return to_rfc3339(s.begin) + " .. " + to_rfc3339(s.end); }
std::string text(const GapRow& g) {
    return to_string(g.camera).substr(0, 4) + " " + to_rfc3339(g.begin) + " .. " +
           (g.end ? to_rfc3339(*g.end) : "open");
}

// More make the model slow and find nothing more: hours, edges and pages are full long before.
constexpr std::size_t kMostClips = 100;

class Run {
  public:
    explicit Run(std::uint64_t seed) : rng_(seed) { reopen(); }

    // One operation: a write, or a query compared with the model.
    void step() {
        const auto dice = pick(1000);
        ++operations_;
        if (dice < 400)
            write(dice);
        else if (dice < 700)
            compare_window();
        else if (dice < 800)
            compare_nearest();
        else if (dice < 850)
            compare_gaps();
        else if (dice < 880)
            compare_totals();
        else if (dice < 910)
            compare_coverage();
        else
            compare_find();
    }
    void compare_totals() {
        std::uint64_t pending = 0;
        for (int n = 0; n < Model::kCameras; ++n) {
            CameraTotals t{.camera = camera_number(n)};
            for (const auto& s : model_.clips())
                if (s.camera == t.camera) {
                    const bool waits = model_.is_pending(s);
                    pending += waits;
                    ++(waits ? t.pending_clips : t.clips);
                    (waits ? t.pending_bytes : t.bytes) += s.size_bytes;
                }
            for (const auto& s : model_.garbage())
                if (s.camera == t.camera) {
                    ++t.garbage_clips;
                    t.garbage_bytes += s.size_bytes;
                }
            const auto rows = model_.rows_of(t.camera);
            const auto first = index_->first(t.camera), last = index_->last(t.camera);
            REQUIRE(first.ok() == !rows.empty());
            REQUIRE(last.ok() == !rows.empty());
            if (!rows.empty()) {
                t.first = rows.front().begin;
                t.last = rows.back().end;
                REQUIRE(*first == rows.front());
                REQUIRE(*last == rows.back());
            }
            REQUIRE(index_->totals(t.camera) == t);
        }
        REQUIRE(index_->pending(100'000)->size() == pending);
        REQUIRE(index_->garbage(100'000)->size() == model_.garbage().size());
    }

    std::uint64_t operations() const { return operations_; }

  private:
    std::uint64_t pick(std::uint64_t n) { return rng_() % n; }
    std::int64_t below(std::int64_t n) {
        return static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(n)));
    }
    CameraId some_camera() { return camera_number(static_cast<int>(pick(Model::kCameras - 1))); }

    void reopen() {
        index_.reset();
        OpenReport report;
        StoreOptions options;
        options.memory_bytes = 4u << 20;
        options.tuning.merge_appends = pick(4) != 0;
        auto opened = Store::open(dir_.path("index"), options, kEpoch, report);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().what));
        REQUIRE(report.moved_aside.empty());
        index_ = std::move(*opened);
        model_.open().clear();
    }

    // A boot whose clock was not set; told later, or never.
    BootId dark_boot() {
        if (dark_.empty() || pick(20) == 0) {
            BootId boot;  // not random_id: a seed gives the same history each time
            for (auto& byte : boot.bytes) byte = static_cast<std::uint8_t>(pick(256));
            dark_.push_back(boot);
            boots_.emplace_back(dark_.back(), Micros(kEpoch.us + below(5000 * kSecond)));
        }
        // Mostly a recent one; every boot that ever was would pile up clips that wait for ever.
        const auto back = std::min<std::uint64_t>(boots_.size(), 4);
        return boots_[boots_.size() - 1 - pick(back)].first;
    }

    clip::ClipSummary new_clip() {
        // Mostly in a few hours, so that they collide; sometimes far away; sometimes over an edge.
        const std::int64_t range = pick(5) == 0 ? 40 * 86'400 : 3 * 3600;
        WallTime begin{kEpoch.us + below(range * 10) * 100'000};
        if (pick(10) == 0) begin.us = begin.us / (3600 * kSecond) * 3600 * kSecond - 30 * kSecond;
        auto s = make_clip(0, begin, Micros(1 + below(120 * kSecond)));
        s.camera = some_camera();
        s.run = {static_cast<std::uint32_t>(pick(3))};
        s.frames = static_cast<std::uint32_t>(pick(4000));
        s.pieces = static_cast<std::uint32_t>(pick(130));
        s.size_bytes = pick(40'000'000);
        s.reason = static_cast<clip::EndReason>(1 + pick(11));
        s.name_time = begin + Micros(pick(4) == 0 ? below(5000) : 0);
        if (pick(8) == 0) {
            s.quality = ClockQuality::unsynchronised;
            s.boot = dark_boot();
            // Its own idea of UTC is decades off.
            const Micros off(-20ll * 365 * 86'400 * kSecond);
            s.utc_begin = s.utc_begin + off;
            s.utc_end = s.utc_end + off;
            s.name_time = s.name_time + off;
        } else if (pick(10) == 0) {
            s.quality = ClockQuality::assumed;
        }
        return s;
    }

    void put(const std::vector<clip::ClipSummary>& clips) {
        const auto report =
            index_->put_clips(clips, pick(60) == 0 ? Durability::synced : Durability::buffered);
        REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().what));
        REQUIRE(report->refused.empty());
        for (const auto& s : clips) model_.put(s);
    }
    void put_new(std::uint64_t count) {
        std::vector<clip::ClipSummary> clips;
        for (; count > 0; --count) {
            auto s = new_clip();
            if (std::none_of(clips.begin(), clips.end(),
                             [&](const auto& c) { return Model::same(c, s); }))
                clips.push_back(s);
        }
        put(clips);
    }
    // The same clip again, often with other facts: an older notice, a recovery, a re-stamp.
    void put_again() {
        if (model_.clips().empty()) return;
        auto s = model_.clips()[pick(model_.clips().size())];
        if (pick(2) == 0) s.size_bytes += 1;
        if (pick(4) == 0 && s.quality != ClockQuality::unsynchronised)
            s.utc_begin = s.utc_begin - Micros(below(kSecond));
        if (pick(6) == 0 && s.quality == ClockQuality::unsynchronised) {
            s.quality = ClockQuality::synchronised;  // finished again by one that knew the time
            s.utc_begin = kEpoch + Micros(below(3600 * kSecond));
            s.utc_end = s.utc_begin + Micros(1 + below(60 * kSecond));
        }
        put({s});
    }
    void remove(std::uint64_t count) {
        std::vector<clip::ClipName> names;
        for (; count > 0 && !model_.clips().empty(); --count) {
            const auto s = model_.mark(pick(model_.clips().size()));
            names.push_back({s.camera, s.name_time, s.run});
        }
        names.push_back({camera_number(9), kEpoch, {1}});  // never was
        const auto marked = index_->mark_garbage(names);
        REQUIRE(marked.ok());
        REQUIRE(*marked == names.size() - 1);
    }
    void forget() {
        std::vector<clip::ClipName> names;
        for (const auto& s : model_.garbage()) names.push_back({s.camera, s.name_time, s.run});
        REQUIRE(index_->forget(names).ok());
        model_.forget();
    }
    void tell_boot() {
        if (dark_.empty()) return;
        const BootId boot = dark_.back();
        dark_.pop_back();
        for (const auto& [id, offset] : boots_)
            if (id == boot) {
                REQUIRE(index_->set_boot_offset(boot, offset).ok());
                model_.set_boot(boot, offset);
            }
    }

    journal::Stamp some_stamp() {
        const std::int64_t at = below(6 * 3600) * kSecond;
        if (pick(6) == 0) return {.boot = dark_boot(), .at = {at}, .utc = {at}};
        return {.boot = {},
                .at = {at},
                .utc = kEpoch - Micros(3600 * kSecond) + Micros(at),
                .quality = ClockQuality::synchronised};
    }
    void gap() {
        if (pick(4) == 0) return close_gap();
        if (pick(60) == 0) {
            const CameraId camera = some_camera();
            REQUIRE(index_->drop_gaps(camera).ok());
            return model_.drop_gaps(camera);
        }
        GapRecord gap{.camera = some_camera(), .begin = some_stamp()};
        gap.cause = pick(2) ? journal::GapCause::unreachable : journal::GapCause::stalled;
        if (pick(3) != 0) {  // already over
            gap.end = gap.begin;
            gap.end->at.us += below(900 * kSecond);
            gap.end->utc = gap.end->utc + Micros(gap.end->at.us - gap.begin.at.us);
        }
        put_gap(gap);
    }
    void put_gap(const GapRecord& gap) {
        REQUIRE(index_->put_gaps({&gap, 1}, Durability::buffered).ok());
        model_.put_gap(gap);
    }
    // Ends the youngest gap, if it is open; the model is told as the journal would.
    void close_gap() {
        const CameraId camera = some_camera();
        if (model_.has_open_pending_gap(camera)) return;
        auto gaps = model_.gaps_of(camera);
        while (!gaps.empty() && gaps.back().end) gaps.pop_back();
        const journal::Stamp end{.at = {1},
                                 .utc = kEpoch + Micros(below(6 * 3600 * kSecond)),
                                 .quality = ClockQuality::synchronised};
        REQUIRE(index_->close_gap(camera, end).ok());
        if (gaps.empty()) return;
        GapRecord record{.camera = camera, .end = end, .cause = gaps.back().cause};
        record.begin = {.at = {gaps.back().begin.us},
                        .utc = gaps.back().begin,
                        .quality = ClockQuality::synchronised};
        model_.put_gap(record);
    }

    void open_clip() {
        auto& open = model_.open();
        if (pick(2) == 0 || open.empty()) {
            auto s = new_clip();
            if (s.quality == ClockQuality::unsynchronised) return;
            for (const auto& c : model_.clips())
                if (Model::same(c, s)) return;
            ClipRow row = model_.row(s);
            row.open = true;
            std::erase_if(open, [&](const ClipRow& r) {
                return r.camera == row.camera && r.name_time == row.name_time && r.run == row.run;
            });
            open.push_back(row);
            return index_->set_open_clip(row);
        }
        const auto at = pick(open.size());
        if (pick(3) == 0) {  // given up
            index_->drop_open_clip(clip_name(open[at]));
            open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
        } else if (pick(2) == 0) {  // grown
            open[at].end = open[at].end + Micros(kSecond);
            index_->set_open_clip(open[at]);
        } else {  // finished
            clip::ClipSummary s = make_clip(0, open[at].begin, open[at].end - open[at].begin);
            s.camera = open[at].camera;
            s.name_time = open[at].name_time;
            s.run = open[at].run;
            put({s});
        }
    }

    void write(std::uint64_t dice) {
        if (dice < 220) {
            if (model_.clips().size() < kMostClips) return put_new(1);
            return remove(1 + pick(20));
        }
        if (dice < 226) return put_new(20);
        if (dice < 270) return put_again();
        if (dice < 290) return remove(1 + pick(4));
        if (dice < 300) return forget();
        if (dice < 312) return tell_boot();
        if (dice < 350) return gap();
        if (dice < 395) return open_clip();
        if (dice == 395 && pick(8) == 0) return reopen();
        if (dice == 396) REQUIRE(index_->derive_coverage(20).ok());
    }

    std::vector<CameraId> some_cameras() {
        std::vector<CameraId> out;
        if (pick(3) == 0) return out;
        for (std::uint64_t n = 1 + pick(3); n > 0; --n)
            out.push_back(camera_number(static_cast<int>(pick(Model::kCameras))));
        return out;
    }
    TimeSpan some_window() {
        const WallTime from{kEpoch.us - 3600 * kSecond + below(6 * 3600 * 10) * 100'000};
        const std::int64_t lengths[] = {0,    1,        kSecond, 600 * kSecond, 3600 * kSecond,
                                        kDay, 60 * kDay};
        return {from, from + Micros(lengths[pick(7)])};
    }

    // Each page is exactly what the model says stands behind the cursor at that moment, although
    // it all may have changed since the page before.
    void compare_window() {
        WindowQuery query{.window = some_window(), .cameras = some_cameras()};
        query.limit = static_cast<std::uint32_t>(pick(4) == 0 ? 10'000 : 1 + pick(40));
        query.with_gaps = pick(2) == 0;
        query.with_open = pick(2) == 0;
        std::optional<PagePlace> after;
        for (int pages = 0; pages < 12; ++pages) {
            auto items = model_.window(query);
            if (after) std::erase_if(items, [&](const auto& i) { return i.place <= *after; });
            const bool more = items.size() > query.limit;
            if (more) items.resize(query.limit);
            std::vector<ClipRow> clips;
            std::vector<GapRow> gaps;
            for (const auto& i : items) {
                if (i.clip) clips.push_back(*i.clip);
                if (i.gap) gaps.push_back(*i.gap);
            }
            const auto page = index_->window(query);
            REQUIRE_MESSAGE(page.ok(), (page.ok() ? "" : page.error().what));
            REQUIRE(page->clips == clips);
            REQUIRE(page->gaps == gaps);
            REQUIRE(page->next_cursor.empty() == !more);
            // What gateway/wire lets in as a cursor.
            REQUIRE(page->next_cursor.find_first_not_of("0123456789abcdef") == std::string::npos);
            if (!more) return;
            after = items.back().place;
            query.cursor = page->next_cursor;
            ++operations_;
            if (pick(2) == 0) continue;
            write(pick(395));
            ++operations_;
        }
    }

    void compare_gaps() {
        GapQuery query{.window = some_window(), .cameras = some_cameras()};
        query.limit = static_cast<std::uint32_t>(1 + pick(30));
        WindowQuery all{.window = query.window, .cameras = query.cameras, .with_gaps = true};
        std::vector<GapRow> expected, got;
        for (const auto& item : model_.window(all))
            if (item.gap) expected.push_back(*item.gap);
        for (bool more = true; more;) {
            const auto answer = index_->gaps(query);
            REQUIRE_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().what));
            const bool again = query.window.begin != all.window.begin;
            for (const GapRow& g : answer->gaps)
                if (!again || g.begin >= query.window.begin) got.push_back(g);
            more = answer->until.has_value();
            if (more) REQUIRE(*answer->until > query.window.begin);
            if (more) query.window.begin = *answer->until;
            operations_ += more;
        }
        if (got != expected) {
            fmt::print("gaps of {}\n", text(all.window));
            for (const GapRow& g : got)
                if (std::find(expected.begin(), expected.end(), g) == expected.end())
                    fmt::print("extra   {}\n", text(g));
            for (const GapRow& g : expected)
                if (std::find(got.begin(), got.end(), g) == got.end())
                    fmt::print("missing {}\n", text(g));
        }
        REQUIRE(got == expected);
    }

    void compare_nearest() {
        const CameraId camera = some_camera();
        const WallTime at = some_window().begin;
        const auto rows = model_.rows_of(camera);
        const auto got = index_->nearest(camera, at);
        REQUIRE(got.ok() == !rows.empty());
        if (rows.empty()) return;
        const auto distance = [&](const ClipRow& r) {
            return at < r.begin ? r.begin.us - at.us : at < r.end ? -1 : at.us - r.end.us;
        };
        std::int64_t best = INT64_MAX;
        for (const auto& r : rows) best = std::min(best, distance(r));
        REQUIRE(distance(*got) == best);
        REQUIRE(std::find(rows.begin(), rows.end(), *got) != rows.end());
    }

    void compare_find() {
        if (model_.clips().empty()) return;
        const auto& s = model_.clips()[pick(model_.clips().size())];
        const auto row = index_->find({s.camera, s.name_time, s.run});
        REQUIRE(row.ok() == !model_.is_pending(s));
        if (row.ok()) REQUIRE(*row == model_.row(s));
        if (model_.garbage().empty()) return;
        const auto& g = model_.garbage()[pick(model_.garbage().size())];
        REQUIRE(!index_->find({g.camera, g.name_time, g.run}).ok());
    }

    void compare_coverage() {
        CoverageQuery query{.window = some_window(), .cameras = some_cameras()};
        query.bucket = static_cast<Bucket>(pick(4));
        if (query.bucket == Bucket::minute && query.window.end - query.window.begin > Micros(kDay))
            query.bucket = Bucket::quarter;
        const auto got = index_->coverage(query);
        REQUIRE_MESSAGE(got.ok(), (got.ok() ? "" : got.error().what));
        const Micros length = bucket_length(query.bucket);
        const std::int64_t grain = std::min<std::int64_t>(length.count(), 900 * kSecond);
        for (const auto& c : got->cameras) {
            std::map<std::int64_t, std::int64_t> grains;
            std::vector<std::uint32_t> begins(c.clips.size()), covered(c.clips.size());
            std::int64_t until = INT64_MIN;
            for (const auto& r : model_.rows_of(c.camera)) {
                if (r.begin >= got->window.begin && r.begin < got->window.end)
                    ++begins[static_cast<std::size_t>((r.begin - got->window.begin) / length)];
                for (std::int64_t t = std::max(r.begin.us, until); t < r.end.us;) {
                    const std::int64_t end = std::min(r.end.us, (t / grain + 1) * grain);
                    grains[t / grain] += end - t;
                    t = end;
                }
                until = std::max(until, r.end.us);
            }
            for (const auto& [g, us] : grains) {
                const WallTime t{g * grain};
                if (t >= got->window.begin && t < got->window.end)
                    covered[static_cast<std::size_t>((t - got->window.begin) / length)] +=
                        static_cast<std::uint32_t>((us + 500) / 1000);
            }
            REQUIRE(c.clips == begins);
            REQUIRE(c.covered_ms == covered);
        }
    }

    static constexpr std::int64_t kDay = 86'400 * kSecond;

    std::mt19937_64 rng_;
    std::uint64_t operations_ = 0;  // writes and answers
    TempFolder dir_;
    std::unique_ptr<Store> index_;
    Model model_;
    std::vector<BootId> dark_;  // unsynchronised, offset not told yet
    std::vector<std::pair<BootId, Micros>> boots_;
};

std::uint64_t env_number(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_SUITE("index/store/model") {
    TEST_CASE("random histories answer as a brute-force model does") {
        const std::uint64_t steps = env_number("HD_STORE_STEPS", 12'500);
        const std::uint64_t first = env_number("HD_STORE_SEED", 1);
        const std::uint64_t runs = env_number("HD_STORE_RUNS", 4);
        for (std::uint64_t seed = first; seed < first + runs; ++seed) {
            fmt::print("store model: seed {} steps {}\n", seed, steps);
            CAPTURE(seed);
            Run run(seed);
            while (run.operations() < steps) {
                CAPTURE(run.operations());
                run.step();
            }
            run.compare_totals();
        }
    }
}
