// Clips into both stores, and out of them.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <random>

#include <fmt/format.h>
#include <poll.h>

#include "index/base/check.hpp"
#include "index/base/files.hpp"
#include "index/store/rebuild.hpp"
#include "tools/bench/bench_index.hpp"

namespace hd::bench {

using namespace store;

namespace {

// A retention that keeps ten hours runs behind: that many minutes of eight clips.
constexpr std::size_t kMinutesKept = 600;

using Batch = std::vector<clip::ClipSummary>;

// Eight cameras' clips a minute, one sync; the eight oldest go. Bytes written meanwhile.
template <typename Step>
std::uint64_t wear_of(std::uint64_t clips, const std::string& device, const Step& step) {
    History live(8, 55);
    std::deque<Batch> alive;
    const std::uint64_t before = written_bytes(device);
    for (std::uint64_t i = 0; i < clips / 8; ++i) {
        Batch fresh, old;
        for (int c = 0; c < 8; ++c) fresh.push_back(live.next(c));
        alive.push_back(fresh);
        if (alive.size() > kMinutesKept) {
            old = std::move(alive.front());
            alive.pop_front();
        }
        step(fresh, old);
    }
    return written_bytes(device) - before;
}

// A real clip file: header, and a footer with a table of 60 pieces.
void write_clip(const std::string& clips, const clip::ClipSummary& s) {
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
    const std::string path = clips + "/" + clip::clip_path(s.camera, s.name_time, s.run);
    std::filesystem::create_directories(parent_folder(path));
    std::ofstream out(path, std::ios::binary);
    for (const Bytes& bytes : {header, footer})
        out.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

void IndexBench::load() {
    constexpr std::uint64_t kBatch = 4000;
    double ours = 0, theirs = 0;
    for (std::uint64_t done = 0; done < s_.clips; done += kBatch) {
        Batch batch;
        for (std::uint64_t i = 0; i < kBatch; ++i)
            batch.push_back(history_.next(static_cast<int>(i % 8)));
        auto t = Steady::now();
        must(index_->put_clips(batch, Durability::buffered));
        ours += us_since(t);
        t = Steady::now();
        peer_->begin();
        for (std::uint64_t i = 0; i < kBatch; ++i) peer_->insert(static_cast<int>(i % 8), batch[i]);
        peer_->commit();
        theirs += us_since(t);
    }
    must(index_->sync());
    const auto n = static_cast<double>(s_.clips);
    report_.line({"bulk insert", n / ours * 1e6, n / theirs * 1e6, "clips/s"});
    settle();
}

// A hub gathers its history over months: what compactions are due after a bulk load is done first.
void IndexBench::settle() {
    const auto t = Steady::now();
    for (int quiet = 0; quiet < 5 && us_since(t) < 300e6;) {
        quiet = index_->background_work() ? 0 : quiet + 1;
        ::poll(nullptr, 0, 100);
    }
    peer_->checkpoint();
    report_.line({"compactions and checkpoint after it", us_since(t) / 1e6, 0, "s"});
}

void IndexBench::disk() {
    const auto n = static_cast<double>(s_.clips);
    const double ours = static_cast<double>(folder_bytes(s_.folder + "/index")) / n;
    const double theirs =
        static_cast<double>(std::filesystem::file_size(s_.folder + "/peer.db")) / n;
    report_.at_most("disk, log included", ours, theirs, "B/clip", 0.6);
}

void IndexBench::put_both(const Batch& batch, double& ours, double& theirs) {
    auto t = Steady::now();
    must(index_->put_clips(batch, Durability::synced));
    ours = us_since(t);
    t = Steady::now();
    peer_->begin();
    for (std::size_t i = 0; i < batch.size(); ++i)
        peer_->insert(static_cast<int>(turn_ + i) % 8, batch[i]);
    peer_->commit();
    theirs = us_since(t);
    turn_ = (turn_ + batch.size()) % 8;
}

// One insert each in turn; the rate is that of the median, because one fsync of another program
// can take as long as a hundred of ours.
void IndexBench::inserts() {
    peer_->set_full_sync(true);
    for (const std::uint64_t group : {std::uint64_t{1}, std::uint64_t{8}}) {
        std::vector<double> ours(s_.synced), theirs(s_.synced);
        for (std::uint64_t i = 0; i < s_.synced; ++i) {
            Batch batch;
            for (std::uint64_t k = 0; k < group; ++k)
                batch.push_back(history_.next(static_cast<int>(turn_ + k) % 8));
            put_both(batch, ours[i], theirs[i]);
        }
        const auto rate = [group](std::vector<double> us) {
            return static_cast<double>(group) / median(std::move(us)) * 1e6;
        };
        report_.at_least(fmt::format("insert with sync, {} at a time", group),
                         rate(std::move(ours)), rate(std::move(theirs)), "clips/s", 1.0);
    }
    peer_->set_full_sync(false);
}

// What a recorder waits for the disk: a piece is appended and synced, on an idle index, and while
// clips that come in no order of time (a rebuild of the worst kind) keep its compactions busy.
void IndexBench::flushes() {
    if (s_.flushes == 0) return;
    const std::string path = s_.folder + "/piece";
    auto file = must(real_file_system().create(path));
    const Bytes piece(500'000, 1);
    std::mt19937_64 random(9);
    const auto sync_ms = [&](bool busy) {
        std::vector<double> ms;
        const auto started = Steady::now();
        while (ms.size() < s_.flushes && us_since(started) < 120e6) {
            for (int more = 0; busy && (more == 0 || !index_->background_work()); ++more) {
                Batch batch;
                for (int i = 0; i < 2000; ++i) {
                    clip::ClipSummary s = history_.next(i % 8);
                    const auto back = static_cast<std::int64_t>(random() % (300ull * 86'400));
                    s.utc_begin = s.name_time = s.utc_begin - std::chrono::seconds(back);
                    s.utc_end = s.utc_end - std::chrono::seconds(back);
                    batch.push_back(std::move(s));
                }
                must(index_->put_clips(batch, Durability::buffered));
            }
            must(file->append(piece));
            const auto t = Steady::now();
            must(file->sync_data());
            ms.push_back(us_since(t) / 1e3);
            ::poll(nullptr, 0, 100);
        }
        std::ranges::sort(ms);
        return ms;
    };
    const auto idle = sync_ms(false);
    const auto busy = sync_ms(true);
    const auto at = [](const std::vector<double>& ms, double share) {
        return ms[static_cast<std::size_t>(share * static_cast<double>(ms.size() - 1))];
    };
    for (const auto& [name, share] : {std::pair("p50", 0.5), {"p90", 0.9}, {"max", 1.0}}) {
        report_.line(
            {fmt::format("fdatasync of a piece, {}, idle", name), at(idle, share), 0, "ms"});
        report_.line({fmt::format("fdatasync of a piece, {}, beside compactions", name),
                      at(busy, share), 0, "ms"});
    }
    file.reset();
    std::filesystem::remove(path);
}

void IndexBench::wear() {
    if (s_.wear == 0) return;
    index_.reset();  // its own background work is not to be counted
    peer_.reset();
    std::uint64_t ours = 0, theirs = 0;
    {
        OpenReport opened;
        const auto index = must(
            Store::open(s_.wear_folder + "/wear",
                        {.memory_bytes = s_.memory_mb << 20, .tuning = s_.tuning}, kBegin, opened));
        ours = wear_of(s_.wear, s_.device, [&](const Batch& fresh, const Batch& old) {
            must(index->put_clips(fresh, Durability::synced));
            std::vector<clip::ClipName> names;
            for (const auto& s : old) names.push_back({s.camera, s.name_time, s.run});
            must(index->mark_garbage(names));
            must(index->forget(names));
        });
    }
    {
        SqlitePeer peer(s_.wear_folder + "/wear.db", s_.memory_mb << 20, ids_);
        peer.set_full_sync(true);
        theirs = wear_of(s_.wear, s_.device, [&](const Batch& fresh, const Batch& old) {
            peer.begin();
            for (std::size_t i = 0; i < fresh.size(); ++i)
                peer.insert(static_cast<int>(i), fresh[i]);
            peer.commit();
            if (old.empty()) return;
            peer.begin();
            for (std::size_t i = 0; i < old.size(); ++i)
                peer.erase(static_cast<int>(i), old[i].utc_begin);
            peer.commit();
        });
    }
    const auto n = static_cast<double>(s_.wear);
    report_.at_most("device bytes, insert and delete, 8 at a time", static_cast<double>(ours) / n,
                    static_cast<double>(theirs) / n, "B/clip", 1.0);
    std::filesystem::remove_all(s_.wear_folder + "/wear");
    for (const char* file : {"/wear.db", "/wear.db-wal", "/wear.db-shm"})
        std::filesystem::remove(s_.wear_folder + file);
}

void IndexBench::rebuild() {
    if (s_.files == 0) return;
    index_.reset();
    peer_.reset();
    History history(8, 3);
    for (std::uint64_t i = 0; i < s_.files; ++i)
        write_clip(s_.folder + "/clips", history.next(static_cast<int>(i % 8)));
    OpenReport opened;
    const auto index = must(Store::open(s_.folder + "/rebuilt", {}, kBegin, opened));
    const auto t = Steady::now();
    const double cpu = cpu_us();
    Rebuild work(*index, real_file_system(), {s_.folder + "/clips", s_.folder + "/journal"});
    WalkProgress progress;
    while (!progress.done) progress = must(work.step(2000));
    const double seconds = us_since(t) / 1e6;
    const double cpu_seconds = (cpu_us() - cpu) / 1e6;
    if (progress.findings_total > 0)
        fmt::print("first finding: {} {}\n", work.findings()[0].path, work.findings()[0].what);
    HD_CHECK(progress.clips_put == s_.files);
    const auto n = static_cast<double>(s_.files);
    report_.line({"rebuild from clip footers, warm", n / seconds, 0, "clips/s", ">= 20000 clips/s",
                  n / seconds >= 20'000});
    report_.line({"the same per second of CPU", n / cpu_seconds, 0, "clips/s"});
}

}  // namespace hd::bench
