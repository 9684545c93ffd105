// The index bench: both stores with one made-up history in them, and the questions to them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "index/store/store.hpp"
#include "tools/bench/bench_index_peer.hpp"
#include "tools/bench/bench_report.hpp"

namespace hd::bench {

struct Settings {
    std::uint64_t clips = 1'000'000;
    std::uint64_t queries = 20'000;  // windows in each round
    std::uint64_t rounds = 5;        // in which the stores take turns
    std::uint64_t synced = 1000;     // inserts with sync, one by one
    std::uint64_t wear = 1'000'000;  // inserts and deletions whose device bytes are counted
    std::uint64_t files = 100'000;   // clip files of the rebuild
    std::uint64_t flushes = 60;      // of a recorder's file, idle and beside compactions
    std::uint64_t memory_mb = 48;
    std::string folder;
    std::string wear_folder;  // empty: in `folder`
    std::string device;       // block device of wear_folder, whose sectors are counted
    store::StoreOptions::Tuning tuning;
};

class IndexBench {
  public:
    IndexBench(Settings settings, Report& report);

    // Reads: bench_index_reads.cpp.
    void windows();
    void windows_cold();
    void days();
    void opening();
    void coverage();
    void memory();
    // Writes: bench_index_writes.cpp.
    void load();
    void disk();
    void inserts();
    void flushes();
    void wear();
    void rebuild();

  private:
    struct Asked {
        int camera = 0;
        store::WindowQuery query;
    };
    std::vector<Asked> random_windows(std::uint64_t count, std::uint64_t seed) const;
    void open();
    void open_peer();
    void settle();
    void put_both(const std::vector<clip::ClipSummary>& batch, double& ours, double& theirs);

    Settings s_;
    Report& report_;
    History history_{8, 1};
    std::vector<CameraId> ids_;
    std::unique_ptr<store::Store> index_;
    std::unique_ptr<SqlitePeer> peer_;
    std::size_t turn_ = 0;
};

}  // namespace hd::bench
