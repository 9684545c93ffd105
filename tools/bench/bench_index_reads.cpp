// Questions to both stores.
#include <algorithm>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>
#include <malloc.h>

#include "index/base/check.hpp"
#include "tools/bench/bench_index.hpp"

namespace hd::bench {

using namespace store;

IndexBench::IndexBench(Settings settings, Report& report)
    : s_(std::move(settings)), report_(report) {
    for (int i = 0; i < history_.cameras(); ++i) ids_.push_back(camera_id(i));
    std::filesystem::remove_all(s_.folder);
    std::filesystem::create_directories(s_.folder);
    open();
    open_peer();
}

void IndexBench::open() {
    OpenReport report;
    index_ = must(Store::open(s_.folder + "/index",
                              {.memory_bytes = s_.memory_mb << 20, .tuning = s_.tuning}, kBegin,
                              report));
}

void IndexBench::open_peer() {
    peer_ = std::make_unique<SqlitePeer>(s_.folder + "/peer.db", s_.memory_mb << 20, ids_);
}

std::vector<IndexBench::Asked> IndexBench::random_windows(std::uint64_t count,
                                                          std::uint64_t seed) const {
    std::mt19937_64 rng(seed);
    std::vector<Asked> out(count);
    for (Asked& asked : out) {
        asked.camera = static_cast<int>(rng() % 8);
        const auto span = static_cast<std::uint64_t>((history_.now(asked.camera) - kBegin).count());
        const WallTime from = kBegin + Micros(static_cast<std::int64_t>(rng() % span));
        asked.query.window = {from, from + Micros(3'600'000'000)};
        asked.query.cameras = {ids_[static_cast<std::size_t>(asked.camera)]};
    }
    return out;
}

// Each store answers all windows of a round alone, as it would in a program of its own; then the
// other. Once, before, the answers are compared; that also warms both.
void IndexBench::windows() {
    const std::vector<Asked> asked = random_windows(s_.queries, 7);
    double rows = 0;
    for (const Asked& a : asked) {
        std::vector<ClipRow> other;
        peer_->window(a.camera, a.query.window, other);
        HD_CHECK(must(index_->window(a.query)).clips == other);
        rows += static_cast<double>(other.size());
    }
    const std::vector<double> blank(asked.size());
    std::vector<std::vector<double>> ours(s_.rounds, blank), theirs(s_.rounds, blank);
    std::vector<std::size_t> order(asked.size());
    std::iota(order.begin(), order.end(), 0);
    std::mt19937_64 rng(11);
    double ours_cpu = 0, theirs_cpu = 0;
    for (std::uint64_t round = 0; round < s_.rounds; ++round) {
        std::shuffle(order.begin(), order.end(), rng);
        double cpu = cpu_us();
        for (const std::size_t i : order) {
            const auto t = Steady::now();
            const WindowAnswer answer = must(index_->window(asked[i].query));
            ours[round][i] = us_since(t);
        }
        ours_cpu += cpu_us() - cpu;
        cpu = cpu_us();
        for (const std::size_t i : order) {
            const auto t = Steady::now();
            std::vector<ClipRow> other;
            peer_->window(asked[i].camera, asked[i].query.window, other);
            theirs[round][i] = us_since(t);
        }
        theirs_cpu += cpu_us() - cpu;
    }
    const Percentiles a = percentiles(medians_by_query(ours));
    const Percentiles b = percentiles(medians_by_query(theirs));
    const auto n = static_cast<double>(s_.queries);
    const std::string what = fmt::format("1 h window, {:.0f} rows", rows / n);
    report_.at_most(what + ", p50", a.p50, b.p50, "us", 0.5);
    report_.at_most(what + ", p99", a.p99, b.p99, "us", 0.5);
    report_.at_most(what + ", p99.9", a.p999, b.p999, "us", 1.0);
    const double all = n * static_cast<double>(s_.rounds);
    report_.line({what + ", CPU, mean", ours_cpu / all, theirs_cpu / all, "us"});
    std::vector<double> raw_ours, raw_theirs;
    for (std::uint64_t r = 0; r < s_.rounds; ++r) {
        raw_ours.push_back(percentiles(ours[r]).p99);
        raw_theirs.push_back(percentiles(theirs[r]).p99);
    }
    report_.line({what + ", p99 of single calls", median(raw_ours), median(raw_theirs), "us"});
}

// Both stores opened anew and their files out of the page cache, before each round.
void IndexBench::windows_cold() {
    std::vector<double> ours, theirs;
    for (std::uint64_t round = 0; round < 10; ++round) {
        index_.reset();
        peer_.reset();
        forget_pages(s_.folder);
        open();
        open_peer();
        for (const Asked& a : random_windows(50, 100 + round)) {
            auto t = Steady::now();
            const WindowAnswer answer = must(index_->window(a.query));
            ours.push_back(us_since(t));
            t = Steady::now();
            std::vector<ClipRow> other;
            peer_->window(a.camera, a.query.window, other);
            theirs.push_back(us_since(t));
            HD_CHECK(answer.clips == other);
        }
    }
    const Percentiles a = percentiles(ours), b = percentiles(theirs);
    report_.line({"1 h window, cold, p50", a.p50, b.p50, "us"});
    report_.line({"1 h window, cold, p99", a.p99, b.p99, "us"});
}

void IndexBench::days() {
    std::mt19937_64 rng(8);
    std::vector<std::vector<double>> ours(s_.rounds), theirs(s_.rounds);
    std::vector<WallTime> begins;
    const auto span = static_cast<std::uint64_t>((history_.now(0) - kBegin).count());
    for (int i = 0; i < 50; ++i)
        begins.push_back(kBegin + Micros(static_cast<std::int64_t>(rng() % span)));
    for (std::uint64_t round = 0; round < s_.rounds; ++round) {
        for (const WallTime from : begins) {
            WindowQuery query;
            query.window = {from, from + Micros(86'400'000'000)};
            query.limit = 1000;
            auto t = Steady::now();
            std::vector<ClipRow> all;
            do {
                WindowAnswer page = must(index_->window(query));
                all.insert(all.end(), page.clips.begin(), page.clips.end());
                query.cursor = page.next_cursor;
            } while (!query.cursor.empty());
            ours[round].push_back(us_since(t));
            t = Steady::now();
            std::vector<ClipRow> other;
            for (int c = 0; c < 8; ++c) peer_->window(c, query.window, other);
            std::sort(other.begin(), other.end(), answer_order);
            theirs[round].push_back(us_since(t));
            HD_CHECK(all == other);
        }
    }
    report_.at_most("24 h of 8 cameras, pages of 1000, p50", median(medians_by_query(ours)),
                    median(medians_by_query(theirs)), "us", 0.7);
}

void IndexBench::opening() {
    std::vector<double> ms;
    for (int i = 0; i < 3; ++i) {
        index_.reset();
        const auto t = Steady::now();
        open();
        WindowQuery query;
        query.window = {history_.now(0) - Micros(3'600'000'000), history_.now(0)};
        must(index_->window(query));
        ms.push_back(us_since(t) / 1000);
    }
    report_.line({"open to first answer", median(ms), 0, "ms", "<= 500 ms", median(ms) <= 500});
}

void IndexBench::coverage() {
    CoverageQuery query;
    const WallTime end = std::max(history_.now(0), kBegin + Micros(365ll * 86'400'000'000));
    query.window = {end - Micros(365ll * 86'400'000'000), end};
    query.bucket = Bucket::hour;
    auto t = Steady::now();
    const CoverageAnswer first = must(index_->coverage(query));
    const double cold = us_since(t) / 1000;
    std::vector<double> again;
    for (int i = 0; i < 21; ++i) {
        t = Steady::now();
        const CoverageAnswer answer = must(index_->coverage(query));
        again.push_back(us_since(t) / 1000);
        for (std::size_t c = 0; c < answer.cameras.size(); ++c)
            HD_CHECK(answer.cameras[c].covered_ms == first.cameras[c].covered_ms);
    }
    report_.line({"coverage of a year by hour, brute scan", cold, 0, "ms"});
    const double ms = median(again);
    report_.line({"coverage of a year by hour, p50", ms, cold, "ms", "<= 5 ms", ms <= 5});
}

// Growth of the process while the store answers at random over the whole history.
void IndexBench::memory() {
    index_.reset();
    peer_.reset();  // its cache is malloc's too
    ::malloc_trim(0);
    const std::vector<Asked> asked = random_windows(100'000, 9);
    const std::uint64_t before = rss_bytes();
    open();
    std::uint64_t peak = before;
    for (std::size_t i = 0; i < asked.size(); ++i) {
        must(index_->window(asked[i].query));
        if (i % 1000 == 0) peak = std::max(peak, rss_bytes());
    }
    constexpr double kMiB = 1 << 20;
    const double grown = static_cast<double>(peak - before) / kMiB;
    const auto budget = static_cast<double>(s_.memory_mb);
    report_.line({"memory under random queries, growth of RSS", grown, 0, "MiB",
                  fmt::format("<= {} MiB", s_.memory_mb), grown <= budget});
    const MemoryUse use = index_->memory();
    report_.line(
        {"of it charged to the cache", static_cast<double>(use.block_cache) / kMiB, 0, "MiB"});
    open_peer();
}

}  // namespace hd::bench
