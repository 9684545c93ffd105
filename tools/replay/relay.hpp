// A door in front of the RTSP server: passes the bytes of its clients' TCP connections on, and does
// to them what bad networks, overloaded cameras and wrong passwords do. One thread.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "index/base/files.hpp"
#include "tools/replay/fault.hpp"
#include "tools/replay/timeline.hpp"

namespace hd::replay {

class Relay {
  public:
    struct Settings {
        std::string address = "127.0.0.1";
        int port = 0;        // 0: the system chooses one
        int inner_port = 0;  // of the server, at the same address
        std::uint64_t seed = 1;
    };
    explicit Relay(Settings settings);
    ~Relay();

    // unavailable: names address and port.
    Result<void> listen();
    int port() const { return settings_.port; }

    // Passes bytes on until stopped.
    void run(const std::stop_token& stop);

    // A fault of a kind that needs a relay, at the camera of that name; any thread.
    void begin(const std::string& camera, const Fault& fault);

  private:
    // What lasts, for one camera. Times are of CLOCK_MONOTONIC.
    struct Line {
        Micros slow{0};
        Tick slow_until{0};
        double bytes_per_second = 0;
        Tick trickle_until{0};
        Tick refuse_until{0};
        std::uint64_t noises = 0;  // so many bursts so far
        std::size_t noise_bytes = 0;
    };
    struct Connection;

    void accept_one();
    Line line_of(const std::string& camera);
    // False: the connection is over.
    bool serve(Connection& c, short client_events, short server_events, Tick now);
    bool from_client(Connection& c, Tick now);
    bool from_server(Connection& c, Tick now);
    bool to_client(Connection& c, Tick now);
    Bytes random_bytes(std::size_t count);

    Settings settings_;
    Fd listening_;
    std::list<std::unique_ptr<Connection>> connections_;  // Only the thread that runs.
    std::uint64_t random_;                                // Only the thread that runs.
    std::mutex mutex_;
    std::map<std::string, Line> lines_;  // Guarded by mutex_.
};

}  // namespace hd::replay
