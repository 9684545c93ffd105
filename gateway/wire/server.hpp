// The server side of ZeroMQ: named ROUTER and PUB endpoints behind one ZAP handler that fails
// closed.
//
// Starts no thread (libzmq has its own I/O thread). One thread calls everything but wake(). The ZAP
// handler is served by step(), in the same poll as the endpoints: nobody is let in while nobody
// steps. Opening proves first, on a private endpoint and with the handler stepped by hand: (1)
// without a handler nobody gets in, (2) an unknown key is refused, (3) a known key gets in with its
// User-Id. Any failure is an error, and the program must end.
//
// A message's caller is the ZAP User-Id of that message, looked up in what is allowed now. Slow
// peers lose replies (counted); step() never waits for a peer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/wire/keys.hpp"
#include "gateway/wire/message.hpp"
#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::wire {

class Client;

enum class Role : std::uint8_t { owner, dashboard, gate, requester };
std::string_view to_string(Role role);

// Whoever holds this key is this user of the endpoint's role.
struct AllowedKey {
    CurvePublic key{};
    std::string user;  // 1..64 of a-z A-Z 0-9 . _ -
    bool operator==(const AllowedKey&) const = default;
};

enum class SocketKind : std::uint8_t { router, pub };

struct EndpointSettings {
    std::string name;  // unique; also the ZAP domain: "owner", "owner-tcp", "events" ...
    Role role = Role::dashboard;
    SocketKind kind = SocketKind::router;
    // "ipc:///path" (at most 107 bytes of path) or "tcp://address:port". tcp needs a key; ipc must
    // have none.
    std::string address;
    std::optional<CurveKey> key;
    std::vector<AllowedKey>
        allowed;  // with a key; on ipc everybody who can open the socket is user "local"
    MessageLimits limits = kDashboardLimits;
    unsigned ipc_mode = 0600;  // of the socket file; its folder must not be open to others
    int send_hwm = 64;         // replies kept for one peer that does not read
    int receive_hwm = 64;      // messages of one peer that wait for step()
    std::size_t max_connections = 64;
};

// Where a reply goes. Copyable; stale after a reconnect or a revocation (the reply is then
// dropped).
struct Peer {
    std::string endpoint;
    Bytes routing_id;
    bool delimiter = false;  // a REQ socket: mirror its empty frame
};

struct Incoming {
    Peer peer;
    Role role = Role::dashboard;  // from the ZAP User-Id of this message
    std::string user;             // "local" on ipc, else AllowedKey::user
    Frames frames;                // "HD1", verb, ...
};

struct ServerCounters {
    std::uint64_t received = 0;
    std::uint64_t replied = 0;
    std::uint64_t published = 0;
    std::uint64_t dropped_too_many_frames = 0;
    std::uint64_t dropped_too_big = 0;
    std::uint64_t dropped_no_user = 0;  // without User-Id, or a user who is no longer allowed
    std::uint64_t dropped_chosen_id =
        0;  // a CURVE peer that chose its routing id: told so, not served
    std::uint64_t dropped_replies = 0;     // the peer is gone or does not read
    std::uint64_t refused_handshakes = 0;  // by the ZAP handler: unknown key, too many connections
    std::uint64_t accepted_handshakes = 0;
    std::uint64_t reopened = 0;  // endpoints, after a revocation
};

class Server {
  public:
    // Checks libzmq (>= 4.3.4, with CURVE), starts the ZAP handler, self-tests it, binds everything
    // in order. Socket files left by a dead process are replaced; their folder must exist.
    static Result<std::unique_ptr<Server>> open(std::vector<EndpointSettings> endpoints);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Waits at most `timeout` for a message, a wake() or a handshake, then serves what is there: at
    // most 64 messages an endpoint, so that a flood on one does not starve the others. `deliver`
    // may call reply, publish and the setters. `also`: a client whose replies must end the wait
    // too. Errors are ours or libzmq's, not a peer's: end.
    Result<void> step(Micros timeout, const std::function<void(Incoming&&)>& deliver,
                      Client* also = nullptr);

    // True: handed to libzmq. False: dropped and counted.
    bool reply(const Peer& peer, Frames frames);
    // Slow subscribers lose events. An unknown endpoint is our mistake.
    void publish(std::string_view endpoint, const Frames& frames);

    // Replaces who may use an endpoint with CURVE. If somebody lost the key or changed the user,
    // the endpoint's socket is closed and opened again: libzmq cannot drop one peer. Same list:
    // nothing happens.
    Result<void> set_allowed(std::string_view endpoint, std::vector<AllowedKey> allowed);
    Result<void> add_endpoint(EndpointSettings settings);
    // Closes it; not_found if there is none.
    Result<void> remove_endpoint(std::string_view name);
    bool has_endpoint(std::string_view name) const;

    // Ends a waiting step(). The only thread-safe call.
    void wake();

    const ServerCounters& counters() const;

  private:
    struct State;

  public:
    explicit Server(std::unique_ptr<State> state);  // for open() only

  private:
    std::unique_ptr<State> state_;
};

// "libzmq 4.3.4, curve" for the log; an error below 4.3.4 (CVE-2020-15166 and older) or without
// CURVE.
Result<std::string> check_libzmq();

namespace testing {
// For tests: what the self-test's handler shall do wrong. Each must make Server::open fail.
enum class ZapFault : std::uint8_t {
    none,
    lets_everybody_in,
    lets_nobody_in,
    wrong_user,
    not_bound,
    not_enforced
};
Result<void> self_test_with(ZapFault fault);
}  // namespace testing

}  // namespace hd::wire
