// What the C++ benches share: the table, its JSON, percentiles, what /proc says. A bar that is
// missed shows in the table and, with --check, in the exit code.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "index/base/result.hpp"

namespace hd::bench {

using Steady = std::chrono::steady_clock;
inline double us_since(Steady::time_point t) {
    return std::chrono::duration<double, std::micro>(Steady::now() - t).count();
}
// CPU of the calling thread, microseconds: what a busy machine disturbs less than the clock.
double cpu_us();

struct Line {
    std::string what;
    double ours = 0;
    double peer = 0;  // 0: none
    std::string unit;
    std::string bar = "-";  // in words; "-": for information
    bool met = true;
};

class Report {
  public:
    // Prints the head of the table. `tabs`: tab-separated instead of aligned.
    Report(std::string bench, std::string ours, std::string peer, bool tabs);
    void line(const Line& line);
    // The same with a bar on ours / peer.
    void at_most(const std::string& what, double ours, double peer, const std::string& unit,
                 double ratio);
    void at_least(const std::string& what, double ours, double peer, const std::string& unit,
                  double ratio);
    // One JSON object: the last line of every bench. `facts` is `"clips":1000,...`.
    void finish(const std::string& facts) const;
    int missed() const { return missed_; }

  private:
    std::string bench_;
    bool tabs_;
    std::string json_;
    int missed_ = 0;
};

struct Percentiles {
    double p50 = 0, p99 = 0, p999 = 0;
};
Percentiles percentiles(std::vector<double> v);
double median(std::vector<double> v);
// Of each column of `rounds`: what a query took in most of its rounds, so that the rest of the
// machine shows in no query and the store's own slow moments do.
std::vector<double> medians_by_query(const std::vector<std::vector<double>>& rounds);

std::uint64_t folder_bytes(const std::string& path);
std::uint64_t rss_bytes();
// What was written: by this process, as the kernel counts it (/proc/self/io), or to a block device
// (its sectors: the file system's journal is in it) if `device` is not empty.
std::uint64_t written_bytes(const std::string& device);
// Drops the files of a folder from the page cache; other programs keep theirs.
void forget_pages(const std::string& folder);

[[noreturn]] void give_up(const Error& error);
template <typename T>
T must(Result<T> r) {
    if (!r.ok()) give_up(r.error());
    return std::move(r).value();
}
inline void must(const Result<void>& r) {
    if (!r.ok()) give_up(r.error());
}

}  // namespace hd::bench
