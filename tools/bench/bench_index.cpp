// halfdoor-bench-index: the store against SQLite (WITHOUT ROWID, primary key (camera, start), WAL)
// with the same fields and the same cache, in one run. Prints a table, then one JSON line.
#include "tools/bench/bench_index.hpp"

#include <filesystem>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

using namespace hd;
using namespace hd::bench;

namespace {

void run(const Settings& settings, Report& report) {
    IndexBench bench(settings, report);
    bench.load();
    bench.disk();
    bench.windows();
    bench.windows_cold();
    bench.days();
    bench.opening();
    bench.coverage();
    bench.memory();
    bench.inserts();
    bench.flushes();
    bench.wear();
    bench.rebuild();
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("The index store against SQLite, in one run");
    Settings s;
    bool keep = false, rewrite = false, check = false, tabs = false;
    const CLI::AsNumberWithUnit counts(
        std::map<std::string, std::uint64_t>{{"k", 1'000}, {"M", 1'000'000}});
    app.add_option("--clips", s.clips, "clips in both stores, on 8 cameras: 1M, 10M")
        ->transform(counts);
    app.add_option("--queries", s.queries, "random 1 h windows in each round");
    app.add_option("--rounds", s.rounds, "rounds in which the stores take turns");
    app.add_option("--synced", s.synced, "inserts with sync");
    app.add_option("--wear", s.wear,
                   "inserts and deletions whose device bytes are counted; 0: none")
        ->transform(counts);
    app.add_option("--files", s.files, "clip files of the rebuild; 0: none")->transform(counts);
    app.add_option("--flushes", s.flushes, "of a recorder's file, idle and beside compactions");
    app.add_option("--memory-mb", s.memory_mb, "budget of either store");
    app.add_option("--folder", s.folder, "working folder, emptied first (default: temporary)");
    app.add_option("--wear-folder", s.wear_folder, "for the device bytes: a folder on --device");
    app.add_option("--device", s.device,
                   "block device of --wear-folder (loop0): count its sectors instead of what the "
                   "kernel counts for the process");
    app.add_flag("--check", check, "exit code 1 if a bar is missed");
    app.add_flag("--tabs", tabs, "tab-separated table");
    app.add_flag("--keep", keep, "leave the folder there");
    app.add_flag("--rewrite", rewrite, "rewrite an hour with each clip instead of appending");
    app.add_flag("--compress", s.tuning.compress, "LZ4 blocks");
    app.add_option("--block-bytes", s.tuning.block_bytes, "block size of tables");
    CLI11_PARSE(app, argc, argv);
    s.tuning.merge_appends = !rewrite;
    if (s.folder.empty())
        s.folder = std::filesystem::temp_directory_path() /
                   fmt::format("halfdoor-bench-index-{}", ::getpid());
    if (s.wear_folder.empty()) s.wear_folder = s.folder;
    Report report("index", "store", "sqlite", tabs);
    run(s, report);
    report.finish(fmt::format("\"clips\":{},\"memory_mb\":{},\"device_bytes_of\":\"{}\"", s.clips,
                              s.memory_mb, s.device.empty() ? "/proc/self/io" : s.device));
    if (!keep) std::filesystem::remove_all(s.folder);
    return check && report.missed() > 0 ? 1 : 0;
}
