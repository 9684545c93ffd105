// halfdoor-bench-query: a real halfdoord over ipc, asked for windows of an hour, against an echo of
// the same bytes over the same kind of socket, in one run. Table, then one JSON line.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "index/base/check.hpp"
#include "index/store/store.hpp"
#include "tools/bench/bench_history.hpp"
#include "tools/bench/bench_query_wire.hpp"
#include "tools/bench/bench_report.hpp"

using namespace hd;
using namespace hd::bench;

namespace {

struct Settings {
    std::uint64_t clips = 1'000'000;
    std::uint64_t queries = 500;  // of one client, in each round
    std::uint64_t rounds = 10;
    double seconds = 1;  // of sixteen clients, in each round
    std::string halfdoord = "halfdoord";
    std::string folder;
};

std::string ask_json(const CameraId& camera, WallTime from) {
    return fmt::format(R"({{"from":"{}","to":"{}","cameras":["{}"]}})", to_rfc3339(from),
                       to_rfc3339(from + Micros(3'600'000'000)), to_string(camera));
}

// What a process has used, from its scheduler's books.
double process_cpu_us(pid_t pid) {
    double sum = 0;
    for (const auto& task :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
        std::ifstream in(task.path() / "schedstat");
        double ns = 0;
        in >> ns;
        sum += ns / 1000;
    }
    return sum;
}

class QueryBench {
  public:
    QueryBench(Settings s, Report& report) : s_(std::move(s)), report_(report) {}
    ~QueryBench() {
        for (void* socket : sockets_) zmq_close(socket);
        if (context_ != nullptr) zmq_ctx_term(context_);
        for (const pid_t pid : {echo_, hub_}) {
            if (pid <= 0) continue;
            ::kill(pid, SIGTERM);
            ::waitpid(pid, nullptr, 0);
        }
    }
    QueryBench(const QueryBench&) = delete;
    QueryBench& operator=(const QueryBench&) = delete;

    void run() {
        prepare();
        start();
        const Place hub = connect("ipc://" + s_.folder + "/run/dashboard.sock", hub_);
        const Place echo = connect("ipc://" + s_.folder + "/echo.sock", echo_);
        std::string answer;
        ask(hub.sockets[0], "clips", asked_[0]);
        const std::size_t bytes = take_answer(hub.sockets[0], &answer);
        ask(echo.sockets[0], "echo.set", answer);
        take_answer(echo.sockets[0]);
        for (const std::string& json : asked_) {  // warm: every window once
            ask(hub.sockets[0], "clips", json);
            take_answer(hub.sockets[0]);
        }
        report_.line({"bytes of an answer's JSON", static_cast<double>(bytes), 0, "B"});
        one_client(hub, echo);
        many_clients(hub, echo);
    }

  private:
    static constexpr std::size_t kClients = 16;
    struct Place {
        pid_t pid = 0;
        std::vector<void*> sockets;  // one for each client
    };

    // The index of a hub that has recorded for long; no clip files, for no query reads one.
    void prepare() {
        std::filesystem::remove_all(s_.folder);
        std::filesystem::create_directories(s_.folder + "/data");
        History history(8, 1);
        store::OpenReport opened;
        const auto index = must(
            store::Store::open(s_.folder + "/data/index", store::StoreOptions{}, kBegin, opened));
        std::vector<clip::ClipSummary> batch;
        for (std::uint64_t i = 0; i < s_.clips; ++i) {
            batch.push_back(history.next(static_cast<int>(i % 8)));
            if (batch.size() < 4000 && i + 1 < s_.clips) continue;
            must(index->put_clips(batch, store::Durability::buffered));
            batch.clear();
        }
        must(index->sync());
        // What a bulk load leaves to be compacted is not the daemon's work of every day.
        for (int quiet = 0; quiet < 5; quiet = index->background_work() ? 0 : quiet + 1)
            ::poll(nullptr, 0, 100);
        std::mt19937_64 rng(7);
        for (int i = 0; i < 5000; ++i) {
            const int camera = static_cast<int>(rng() % 8);
            const auto span =
                static_cast<std::uint64_t>((history.now(camera) - kBegin).count() - 3'600'000'000);
            const WallTime from = kBegin + Micros(static_cast<std::int64_t>(rng() % span));
            asked_.push_back(ask_json(camera_id(camera), from));
        }
        std::ofstream(s_.folder + "/halfdoor.toml") << fmt::format(
            "[hub]\ndata_folder = \"{0}/data\"\nruntime_folder = \"{0}/run\"\n"
            "log_level = \"warn\"\n"
            // No camera, no policy: neither is ever started.
            "recorder_program = \"/bin/true\"\ngate_program = \"/bin/true\"\n"
            "[retention]\nmax_age_hours = 0\n"
            "reserve_mb = 16\n",
            s_.folder);
    }

    void start() {
        // Before any thread of libzmq is there.
        echo_ = ::fork();
        HD_CHECK(echo_ >= 0);
        if (echo_ == 0) run_echo("ipc://" + s_.folder + "/echo.sock");
        const std::string config = s_.folder + "/halfdoor.toml";
        const std::vector<std::string> words{s_.halfdoord, "--config", config};
        std::vector<char*> argv;
        for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
        argv.push_back(nullptr);
        if (::posix_spawnp(&hub_, argv[0], nullptr, nullptr, argv.data(), environ) != 0)
            give_up({ErrorCode::not_found, s_.halfdoord + ": could not be started"});
        context_ = zmq_ctx_new();
    }

    Place connect(const std::string& address, pid_t pid) {
        Place place{.pid = pid, .sockets = {}};
        for (std::size_t i = 0; i < kClients; ++i) {
            void* socket = zmq_socket(context_, ZMQ_DEALER);
            sockets_.push_back(socket);
            const int linger = 0, wait_ms = 30'000;
            zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
            zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
            HD_CHECK(zmq_connect(socket, address.c_str()) == 0);
            place.sockets.push_back(socket);
        }
        return place;
    }

    const std::string& next() { return asked_[turn_++ % asked_.size()]; }

    struct Alone {
        std::vector<double> p50, p99, cpu;
    };
    void round_alone(const Place& place, Alone& out) {
        std::vector<double> us;
        const double cpu = process_cpu_us(place.pid);
        for (std::uint64_t i = 0; i < s_.queries; ++i) {
            const std::string& json = next();
            const auto t = Steady::now();
            ask(place.sockets[0], "clips", json);
            take_answer(place.sockets[0]);
            us.push_back(us_since(t));
        }
        out.cpu.push_back((process_cpu_us(place.pid) - cpu) / static_cast<double>(s_.queries));
        const Percentiles p = percentiles(std::move(us));
        out.p50.push_back(p.p50);
        out.p99.push_back(p.p99);
    }
    void one_client(const Place& hub, const Place& echo) {
        Alone ours, theirs;
        for (std::uint64_t round = 0; round < s_.rounds; ++round) {
            round_alone(hub, ours);
            round_alone(echo, theirs);
        }
        const double p50 = median(ours.p50), p99 = median(ours.p99);
        report_.line({"one client, p50", p50, median(theirs.p50), "us", "<= 200 us", p50 <= 200});
        report_.at_most("one client, p50 against the echo", p50, median(theirs.p50), "us", 1.6);
        report_.line({"one client, p99", p99, median(theirs.p99), "us", "<= 1000 us", p99 <= 1000});
        report_.line({"CPU of the answering process", median(ours.cpu), median(theirs.cpu), "us"});
    }

    struct Crowd {
        std::vector<double> rate, p99, cpu;
    };
    void round_crowd(const Place& place, Crowd& out) {
        std::vector<zmq_pollitem_t> items;
        std::vector<Steady::time_point> asked(kClients, Steady::now());
        for (void* socket : place.sockets) {
            items.push_back({socket, 0, ZMQ_POLLIN, 0});
            ask(socket, "clips", next());
        }
        std::vector<double> us;
        std::size_t waiting = kClients;
        const double cpu = process_cpu_us(place.pid);
        const auto began = Steady::now();
        double lasted = 0;
        while (waiting > 0) {
            HD_CHECK(zmq_poll(items.data(), static_cast<int>(items.size()), 30'000) > 0);
            for (std::size_t i = 0; i < kClients; ++i) {
                if ((items[i].revents & ZMQ_POLLIN) == 0) continue;
                take_answer(place.sockets[i]);
                us.push_back(us_since(asked[i]));
                lasted = us_since(began);
                if (lasted > s_.seconds * 1e6) {
                    --waiting;
                    continue;
                }
                asked[i] = Steady::now();
                ask(place.sockets[i], "clips", next());
            }
        }
        const auto answers = static_cast<double>(us.size());
        out.rate.push_back(answers / lasted * 1e6);
        out.cpu.push_back((process_cpu_us(place.pid) - cpu) / answers);
        out.p99.push_back(percentiles(std::move(us)).p99);
    }
    void many_clients(const Place& hub, const Place& echo) {
        Crowd ours, theirs;
        for (std::uint64_t round = 0; round < s_.rounds; ++round) {
            round_crowd(hub, ours);
            round_crowd(echo, theirs);
        }
        const double rate = median(ours.rate);
        report_.line({"16 clients at once", rate, median(theirs.rate), "queries/s", ">= 15000/s",
                      rate >= 15'000});
        report_.line({"16 clients, p99", median(ours.p99), median(theirs.p99), "us"});
        report_.line({"16 clients, CPU of the answering process", median(ours.cpu),
                      median(theirs.cpu), "us"});
    }

    Settings s_;
    Report& report_;
    std::vector<std::string> asked_;
    std::size_t turn_ = 0;
    pid_t hub_ = 0, echo_ = 0;
    void* context_ = nullptr;
    std::vector<void*> sockets_;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app(
        "A window of an hour asked of halfdoord over ipc, against an echo of the same bytes");
    Settings s;
    bool check = false, tabs = false;
    const CLI::AsNumberWithUnit counts(
        std::map<std::string, std::uint64_t>{{"k", 1'000}, {"M", 1'000'000}});
    app.add_option("--clips", s.clips, "clips in the index, on 8 cameras")->transform(counts);
    app.add_option("--queries", s.queries, "queries of one client in each round");
    app.add_option("--rounds", s.rounds, "rounds in which hub and echo take turns");
    app.add_option("--seconds", s.seconds, "of each round with 16 clients");
    app.add_option("--halfdoord", s.halfdoord, "the program")->required();
    app.add_option("--folder", s.folder, "working folder, emptied first (default: temporary)");
    app.add_flag("--check", check, "exit code 1 if a bar is missed");
    app.add_flag("--tabs", tabs, "tab-separated table");
    CLI11_PARSE(app, argc, argv);
    if (s.folder.empty())
        s.folder = std::filesystem::temp_directory_path() /
                   fmt::format("halfdoor-bench-query-{}", ::getpid());
    Report report("query", "halfdoord", "echo", tabs);
    QueryBench(s, report).run();
    report.finish(fmt::format("\"clips\":{}", s.clips));
    std::filesystem::remove_all(s.folder);
    return check && report.missed() > 0 ? 1 : 0;
}
