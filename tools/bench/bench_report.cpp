#include "tools/bench/bench_report.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "index/base/files.hpp"

namespace hd::bench {
namespace {

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

std::string number(double v) { return fmt::format("{:.{}f}", v, v < 10 ? 2 : 1); }

}  // namespace

double cpu_us() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

Report::Report(std::string bench, std::string ours, std::string peer, bool tabs)
    : bench_(std::move(bench)), tabs_(tabs) {
    fmt::print(fmt::runtime(tabs ? "{}\t{}\t{}\t{}\t{}\t{}\t{}\n"
                                 : "{:<48} {:>12} {:>12} {:>7}  {:<10} {:<22} {}\n"),
               "what", ours, peer, "ratio", "unit", "bar", "");
}

void Report::line(const Line& l) {
    fmt::print(fmt::runtime(tabs_ ? "{}\t{}\t{}\t{}\t{}\t{}\t{}\n"
                                  : "{:<48} {:>12} {:>12} {:>7}  {:<10} {:<22} {}\n"),
               l.what, number(l.ours), l.peer > 0 ? number(l.peer) : "-",
               l.peer > 0 ? fmt::format("{:.2f}x", l.ours / l.peer) : "-", l.unit, l.bar,
               l.bar == "-" ? ""
               : l.met      ? "met"
                            : "MISSED");
    std::fflush(stdout);
    json_ += fmt::format(
        "{}{{\"what\":\"{}\",\"ours\":{:.3f},\"peer\":{:.3f},\"unit\":\"{}\",\"bar\":\"{}\","
        "\"met\":{}}}",
        json_.empty() ? "" : ",", l.what, l.ours, l.peer, l.unit, l.bar, l.met);
    missed_ += l.met ? 0 : 1;
}

void Report::at_most(const std::string& what, double ours, double peer, const std::string& unit,
                     double ratio) {
    line({what, ours, peer, unit, fmt::format("<= {:.1f}x", ratio), ours <= ratio * peer});
}

void Report::at_least(const std::string& what, double ours, double peer, const std::string& unit,
                      double ratio) {
    line({what, ours, peer, unit, fmt::format(">= {:.1f}x", ratio), ours >= ratio * peer});
}

void Report::finish(const std::string& facts) const {
    struct utsname machine {};
    ::uname(&machine);
    std::ifstream load("/proc/loadavg");
    std::string minute;
    load >> minute;
    fmt::print(
        "{{\"bench\":\"{}\",\"version\":\"{}\",\"machine\":\"{} {} {} cpus\",\"load\":\"{}\",{},"
        "\"missed\":{},\"lines\":[{}]}}\n",
        bench_, HALFDOOR_VERSION, machine.sysname, machine.machine, ::sysconf(_SC_NPROCESSORS_ONLN),
        minute, facts, missed_, json_);
}

Percentiles percentiles(std::vector<double> v) {
    if (v.empty()) return {};
    std::sort(v.begin(), v.end());
    return {v[v.size() / 2], v[v.size() * 99 / 100], v[v.size() * 999 / 1000]};
}

double median(std::vector<double> v) { return percentiles(std::move(v)).p50; }

std::vector<double> medians_by_query(const std::vector<std::vector<double>>& rounds) {
    std::vector<double> out;
    for (std::size_t i = 0; i < rounds.front().size(); ++i) {
        std::vector<double> one;
        for (const auto& round : rounds) one.push_back(round[i]);
        out.push_back(median(std::move(one)));
    }
    return out;
}

std::uint64_t folder_bytes(const std::string& path) {
    std::uint64_t sum = 0;
    for (const auto& e : std::filesystem::recursive_directory_iterator(path))
        if (e.is_regular_file()) sum += e.file_size();
    return sum;
}

std::uint64_t rss_bytes() { return proc_number("/proc/self/status", "VmRSS:") * 1024; }

std::uint64_t written_bytes(const std::string& device) {
    if (device.empty()) return proc_number("/proc/self/io", "write_bytes:");
    ::sync();  // what is still in the page cache counts
    std::ifstream in("/sys/block/" + device + "/stat");
    std::uint64_t field = 0;
    for (int i = 0; i < 7; ++i) in >> field;  // the seventh: sectors written
    return field * 512;
}

void forget_pages(const std::string& folder) {
    for (const auto& e : std::filesystem::recursive_directory_iterator(folder)) {
        if (!e.is_regular_file()) continue;
        const Fd fd{::open(e.path().c_str(), O_RDONLY | O_CLOEXEC)};
        if (!fd) continue;
        ::fsync(fd.get());  // only clean pages can go
        ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
}

void give_up(const Error& error) {
    fmt::print(stderr, "{}\n", error.what);
    std::exit(1);
}

}  // namespace hd::bench
