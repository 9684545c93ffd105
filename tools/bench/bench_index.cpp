// halfdoor-bench-index: the store against SQLite (WITHOUT ROWID, primary key (camera, start), WAL)
// with the same fields and the same cache, in one run. Prints a table, then one JSON line.
#include <algorithm>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "index/base/files.hpp"
#include "index/store/rebuild.hpp"
#include "index/store/store.hpp"
#include "tools/bench/bench_index_peer.hpp"

using namespace hd;
using namespace hd::bench;
using namespace hd::store;

namespace {

struct Settings {
    std::uint64_t clips = 1'000'000;
    std::uint64_t queries = 20'000;
    std::uint64_t synced = 1000;   // inserts with sync, one by one
    std::uint64_t wear = 20'000;   // inserts and deletions whose device bytes are counted
    std::uint64_t files = 20'000;  // clip files of the rebuild
    std::uint64_t memory_mb = 48;
    std::string folder;
    StoreOptions::Tuning tuning;
};

using Steady = std::chrono::steady_clock;
double us_since(Steady::time_point t) {
    return std::chrono::duration<double, std::micro>(Steady::now() - t).count();
}

// Lines of the table, and the same as JSON.
class Report {
  public:
    void line(const std::string& what, double ours, double peer, const std::string& unit,
              const std::string& bar, bool met) {
        const std::string ratio = peer > 0 ? fmt::format("{:.2f}x", ours / peer) : std::string("-");
        fmt::print("{:<46} {:>12.1f} {:>12} {:>7}  {:<10} {:<26} {}\n", what, ours,
                   peer > 0 ? fmt::format("{:.1f}", peer) : "-", ratio, unit, bar,
                   met ? "met" : "MISSED");
        std::fflush(stdout);
        json_ += fmt::format(
            "{}{{\"what\":\"{}\",\"ours\":{:.3f},\"peer\":{:.3f},\"unit\":\"{}\","
            "\"bar\":\"{}\",\"met\":{}}}",
            json_.empty() ? "" : ",", what, ours, peer, unit, bar, met);
        missed_ += met ? 0 : 1;
    }
    const std::string& json() const { return json_; }
    int missed() const { return missed_; }

  private:
    std::string json_;
    int missed_ = 0;
};

std::uint64_t folder_bytes(const std::string& path) {
    std::uint64_t sum = 0;
    for (const auto& e : std::filesystem::recursive_directory_iterator(path))
        if (e.is_regular_file()) sum += e.file_size();
    return sum;
}
std::uint64_t proc_number(const char* file, const std::string& key) {
    std::ifstream in(file);
    std::string word;
    while (in >> word)
        if (word == key) {
            std::uint64_t v = 0;
            in >> v;
            return v;
        }
    return 0;
}
// What the kernel was asked to send to the device for this process.
std::uint64_t device_bytes() { return proc_number("/proc/self/io", "write_bytes:"); }
std::uint64_t rss_bytes() { return proc_number("/proc/self/status", "VmRSS:") * 1024; }

struct Percentiles {
    double p50, p99, p999;
};
Percentiles percentiles(std::vector<double>& v) {
    std::sort(v.begin(), v.end());
    return {v[v.size() / 2], v[v.size() * 99 / 100], v[v.size() * 999 / 1000]};
}

template <typename T>
T must(Result<T> r) {
    if (!r.ok()) {
        fmt::print(stderr, "{}\n", r.error().what);
        std::exit(1);
    }
    return std::move(r).value();
}
void must(const Result<void>& r) {
    if (!r.ok()) {
        fmt::print(stderr, "{}\n", r.error().what);
        std::exit(1);
    }
}

class Bench {
  public:
    explicit Bench(Settings s) : s_(std::move(s)), history_(8, 1) {
        for (int i = 0; i < history_.cameras(); ++i) ids_.push_back(camera_id(i));
        std::filesystem::remove_all(s_.folder);
        std::filesystem::create_directories(s_.folder);
        open();
        peer_ = std::make_unique<SqlitePeer>(s_.folder + "/peer.db", s_.memory_mb << 20, ids_);
    }

    int run() {
        fmt::print("{:<46} {:>12} {:>12} {:>7}  {:<10} {:<26} {}\n", "what", "store", "sqlite",
                   "ratio", "unit", "bar", "");
        load();
        disk();
        windows();
        days();
        inserts();
        wear();
        opening();
        coverage();
        memory();
        rebuild();
        struct utsname machine {};
        ::uname(&machine);
        fmt::print(
            "{{\"bench\":\"index\",\"version\":\"{}\",\"machine\":\"{} {} {} cpus\","
            "\"clips\":{},\"memory_mb\":{},\"missed\":{},\"lines\":[{}]}}\n",
            HALFDOOR_VERSION, machine.sysname, machine.machine, ::sysconf(_SC_NPROCESSORS_ONLN),
            s_.clips, s_.memory_mb, report_.missed(), report_.json());
        return 0;
    }

  private:
    void open() {
        OpenReport report;
        StoreOptions options;
        options.memory_bytes = s_.memory_mb << 20;
        options.tuning = s_.tuning;
        index_ = must(Store::open(s_.folder + "/index", options, kBegin, report));
    }

    void load() {
        constexpr std::uint64_t kBatch = 4000;
        double ours = 0, theirs = 0;
        for (std::uint64_t done = 0; done < s_.clips; done += kBatch) {
            std::vector<clip::ClipSummary> batch;
            for (std::uint64_t i = 0; i < kBatch; ++i)
                batch.push_back(history_.next(static_cast<int>(i % 8)));
            auto t = Steady::now();
            must(index_->put_clips(batch, Durability::buffered));
            ours += us_since(t);
            t = Steady::now();
            peer_->begin();
            for (std::uint64_t i = 0; i < kBatch; ++i)
                peer_->insert(static_cast<int>(i % 8), batch[i]);
            peer_->commit();
            theirs += us_since(t);
        }
        must(index_->sync());
        const auto n = static_cast<double>(s_.clips);
        report_.line("bulk insert", n / ours * 1e6, n / theirs * 1e6, "clips/s", "-", true);
    }

    void disk() {
        peer_->checkpoint();
        const auto n = static_cast<double>(s_.clips);
        const double ours = static_cast<double>(folder_bytes(s_.folder + "/index")) / n;
        const double theirs =
            static_cast<double>(std::filesystem::file_size(s_.folder + "/peer.db")) / n;
        report_.line("disk, log included", ours, theirs, "B/clip", "<= 0.6x", ours <= 0.6 * theirs);
    }

    // A random window on one camera, of both stores in turn; the answers must be equal.
    void windows() {
        std::mt19937_64 rng(7);
        std::vector<double> ours, theirs;
        double rows = 0;
        const std::uint64_t warm_up = s_.queries / 4;
        for (std::uint64_t i = 0; i < s_.queries + warm_up; ++i) {
            const int camera = static_cast<int>(rng() % 8);
            const auto span = static_cast<std::uint64_t>((history_.now(camera) - kBegin).count());
            const WallTime from = kBegin + Micros(static_cast<std::int64_t>(rng() % span));
            WindowQuery query;
            query.window = {from, from + Micros(3'600'000'000)};
            query.cameras = {ids_[static_cast<std::size_t>(camera)]};
            auto t = Steady::now();
            const WindowAnswer answer = must(index_->window(query));
            const double a = us_since(t);
            t = Steady::now();
            std::vector<ClipRow> other;
            peer_->window(camera, query.window, other);
            const double b = us_since(t);
            HD_CHECK(answer.clips == other);
            if (i < warm_up) continue;
            ours.push_back(a);
            theirs.push_back(b);
            rows += static_cast<double>(other.size());
        }
        const Percentiles a = percentiles(ours), b = percentiles(theirs);
        const std::string what =
            fmt::format("1 h window, {:.0f} rows", rows / static_cast<double>(s_.queries));
        report_.line(what + ", p50", a.p50, b.p50, "us", "<= 0.5x", a.p50 <= 0.5 * b.p50);
        report_.line(what + ", p99", a.p99, b.p99, "us", "<= 0.5x", a.p99 <= 0.5 * b.p99);
        report_.line(what + ", p99.9", a.p999, b.p999, "us", "<= 1.0x", a.p999 <= b.p999);
    }

    void days() {
        std::mt19937_64 rng(8);
        std::vector<double> ours, theirs;
        for (int i = 0; i < 100; ++i) {
            const auto span = static_cast<std::uint64_t>((history_.now(0) - kBegin).count());
            const WallTime from = kBegin + Micros(static_cast<std::int64_t>(rng() % span));
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
            ours.push_back(us_since(t));
            t = Steady::now();
            std::vector<ClipRow> other;
            for (int c = 0; c < 8; ++c) peer_->window(c, query.window, other);
            std::sort(other.begin(), other.end(), answer_order);
            theirs.push_back(us_since(t));
            HD_CHECK(all == other);
        }
        const double a = percentiles(ours).p50, b = percentiles(theirs).p50;
        report_.line("24 h of 8 cameras, pages of 1000, p50", a, b, "us", "<= 0.7x", a <= 0.7 * b);
    }

    void put_both(std::vector<clip::ClipSummary>& batch, double& ours, double& theirs) {
        auto t = Steady::now();
        must(index_->put_clips(batch, Durability::synced));
        ours += us_since(t);
        t = Steady::now();
        peer_->begin();
        for (std::size_t i = 0; i < batch.size(); ++i)
            peer_->insert(static_cast<int>(turn_ + i) % 8, batch[i]);
        peer_->commit();
        theirs += us_since(t);
        turn_ = (turn_ + batch.size()) % 8;
    }

    void inserts() {
        peer_->set_full_sync(true);
        for (const std::uint64_t group : {std::uint64_t{1}, std::uint64_t{8}}) {
            double ours = 0, theirs = 0;
            for (std::uint64_t i = 0; i < s_.synced; ++i) {
                std::vector<clip::ClipSummary> batch;
                for (std::uint64_t k = 0; k < group; ++k)
                    batch.push_back(history_.next(static_cast<int>(turn_ + k) % 8));
                put_both(batch, ours, theirs);
            }
            const auto n = static_cast<double>(s_.synced * group);
            const double a = n / ours * 1e6, b = n / theirs * 1e6;
            report_.line(fmt::format("insert with sync, {} at a time", group), a, b, "clips/s",
                         ">= 1.0x", a >= b);
        }
    }

    // Eight cameras' clips a minute, one sync; the eight oldest go. Nothing else writes.
    void wear() {
        index_.reset();  // its compactions are not to be counted; opening() opens it again
        History live(8, 55);
        const std::string folder = s_.folder + "/wear";
        std::uint64_t ours = 0, theirs = 0;
        {
            OpenReport report;
            StoreOptions options;
            options.memory_bytes = s_.memory_mb << 20;
            options.tuning = s_.tuning;
            auto index = must(Store::open(folder, options, kBegin, report));
            ours = wear_of(live, [&](const auto& fresh, const auto& old) {
                must(index->put_clips(fresh, Durability::synced));
                std::vector<clip::ClipName> names;
                for (const auto& s : old) names.push_back({s.camera, s.name_time, s.run});
                must(index->mark_garbage(names));
                must(index->forget(names));
            });
        }
        History again(8, 55);
        SqlitePeer peer(s_.folder + "/wear.db", s_.memory_mb << 20, ids_);
        peer.set_full_sync(true);
        theirs = wear_of(again, [&](const auto& fresh, const auto& old) {
            peer.begin();
            for (std::size_t i = 0; i < fresh.size(); ++i)
                peer.insert(static_cast<int>(i), fresh[i]);
            peer.commit();
            peer.begin();
            for (std::size_t i = 0; i < old.size(); ++i)
                peer.erase(static_cast<int>(i), old[i].utc_begin);
            peer.commit();
        });
        const auto n = static_cast<double>(s_.wear);
        const double a = static_cast<double>(ours) / n, b = static_cast<double>(theirs) / n;
        report_.line("device bytes, insert and delete, 8 at a time", a, b, "B/clip", "<= 1.0x",
                     a <= b);
    }
    template <typename Step>
    std::uint64_t wear_of(History& live, const Step& step) {
        std::deque<std::vector<clip::ClipSummary>> alive;
        const std::uint64_t before = device_bytes();
        for (std::uint64_t i = 0; i < s_.wear / 8; ++i) {
            std::vector<clip::ClipSummary> fresh, old;
            for (int c = 0; c < 8; ++c) fresh.push_back(live.next(c));
            alive.push_back(fresh);
            if (alive.size() > 600) {  // ten hours are kept
                old = std::move(alive.front());
                alive.pop_front();
            }
            step(fresh, old);
        }
        return device_bytes() - before;
    }

    void opening() {
        index_.reset();
        const auto t = Steady::now();
        open();
        WindowQuery query;
        query.window = {history_.now(0) - Micros(3'600'000'000), history_.now(0)};
        must(index_->window(query));
        const double ms = us_since(t) / 1000;
        report_.line("open to first answer", ms, 0, "ms", "<= 500 ms", ms <= 500);
    }

    void coverage() {
        CoverageQuery query;
        const WallTime end = std::max(history_.now(0), kBegin + Micros(365ll * 86'400'000'000));
        query.window = {end - Micros(365ll * 86'400'000'000), end};
        query.bucket = Bucket::hour;
        auto t = Steady::now();
        CoverageAnswer first = must(index_->coverage(query));
        const double cold = us_since(t) / 1000;
        std::vector<double> again;
        for (int i = 0; i < 21; ++i) {
            t = Steady::now();
            const CoverageAnswer answer = must(index_->coverage(query));
            again.push_back(us_since(t) / 1000);
            for (std::size_t c = 0; c < answer.cameras.size(); ++c)
                HD_CHECK(answer.cameras[c].covered_ms == first.cameras[c].covered_ms);
        }
        report_.line("coverage of a year by hour, never asked before", cold, 0, "ms", "-", true);
        const double ms = percentiles(again).p50;
        report_.line("coverage of a year by hour, p50", ms, cold, "ms", "<= 5 ms", ms <= 5);
    }

    // Growth of the process while the store answers at random over the whole history.
    void memory() {
        index_.reset();
        ::malloc_trim(0);
        const std::uint64_t before = rss_bytes();
        open();
        std::mt19937_64 rng(9);
        std::uint64_t peak = 0;
        for (int i = 0; i < 60'000; ++i) {
            const auto span = static_cast<std::uint64_t>((history_.now(0) - kBegin).count());
            const WallTime from = kBegin + Micros(static_cast<std::int64_t>(rng() % span));
            WindowQuery query;
            query.window = {from, from + Micros(3'600'000'000)};
            query.cameras = {ids_[rng() % 8]};
            must(index_->window(query));
            if (i % 1000 == 0) peak = std::max(peak, rss_bytes());
        }
        const double mb = static_cast<double>(std::max(peak, before) - before) / (1 << 20);
        const auto budget = static_cast<double>(s_.memory_mb);
        report_.line("memory under random queries, growth of RSS", mb, 0, "MiB",
                     fmt::format("<= {} MiB", s_.memory_mb), mb <= budget);
    }

    // Real clip files: header, and a footer with a table of 60 pieces.
    void write_clip(History& history, int camera) {
        clip::ClipSummary s = history.next(camera);
        const Bytes header = clip::encode_header({.clip = s.clip,
                                                  .camera = s.camera,
                                                  .hub = {},
                                                  .run = s.run,
                                                  .boot = s.boot,
                                                  .boot_begin = s.boot_begin,
                                                  .utc_begin = s.utc_begin,
                                                  .quality = s.quality,
                                                  .codec = "avc1.4D401F",
                                                  .encoder = "camera"});
        std::vector<clip::PieceEntry> table(60);
        for (std::uint32_t i = 0; i < table.size(); ++i) {
            table[i].identity.camera = s.camera;
            table[i].identity.sequence = i;
        }
        const Bytes footer = clip::encode_footer(table, s, header.size());
        const std::string path =
            s_.folder + "/clips/" + clip::clip_path(s.camera, s.name_time, s.run);
        std::filesystem::create_directories(parent_folder(path));
        std::ofstream out(path, std::ios::binary);
        for (const Bytes& bytes : {header, footer})
            out.write(reinterpret_cast<const char*>(bytes.data()),
                      static_cast<std::streamsize>(bytes.size()));
    }
    void rebuild() {
        if (s_.files == 0) return;
        History history(8, 3);
        for (std::uint64_t i = 0; i < s_.files; ++i) write_clip(history, static_cast<int>(i % 8));
        OpenReport opened;
        auto index = must(Store::open(s_.folder + "/rebuilt", {}, kBegin, opened));
        const auto t = Steady::now();
        Rebuild work(*index, real_file_system(), {s_.folder + "/clips", s_.folder + "/journal"});
        WalkProgress progress;
        while (!progress.done) progress = must(work.step(2000));
        const double seconds = us_since(t) / 1e6;
        if (progress.findings_total > 0)
            fmt::print("first finding: {} {}\n", work.findings()[0].path, work.findings()[0].what);
        HD_CHECK(progress.clips_put == s_.files);
        const double rate = static_cast<double>(s_.files) / seconds;
        report_.line("rebuild from clip footers, warm", rate, 0, "clips/s", ">= 20000 clips/s",
                     rate >= 20'000);
    }

    Settings s_;
    History history_;
    std::vector<CameraId> ids_;
    std::unique_ptr<Store> index_;
    std::unique_ptr<SqlitePeer> peer_;
    Report report_;
    std::size_t turn_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("The index store against SQLite, in one run");
    Settings s;
    bool keep = false, rewrite = false;
    app.add_option("--clips", s.clips, "clips in both stores, on 8 cameras");
    app.add_option("--queries", s.queries, "random 1 h windows");
    app.add_option("--synced", s.synced, "inserts with sync");
    app.add_option("--wear", s.wear, "inserts and deletions whose device bytes are counted");
    app.add_option("--files", s.files, "clip files of the rebuild; 0: none");
    app.add_option("--memory-mb", s.memory_mb, "budget of either store");
    app.add_option("--folder", s.folder, "working folder, emptied first (default: temporary)");
    app.add_flag("--keep", keep, "leave the folder there");
    app.add_flag("--rewrite", rewrite, "rewrite an hour with each clip instead of appending");
    app.add_flag("--compress", s.tuning.compress, "LZ4 blocks");
    app.add_option("--block-bytes", s.tuning.block_bytes, "block size of tables");
    app.add_option("--recycle-logs", s.tuning.recycle_logs, "log files that are written again");
    CLI11_PARSE(app, argc, argv);
    s.tuning.merge_appends = !rewrite;
    if (s.folder.empty())
        s.folder = std::filesystem::temp_directory_path() /
                   fmt::format("halfdoor-bench-index-{}", ::getpid());
    int rc = 0;
    {
        Bench bench(s);
        rc = bench.run();
    }
    if (!keep) std::filesystem::remove_all(s.folder);
    return rc;
}
