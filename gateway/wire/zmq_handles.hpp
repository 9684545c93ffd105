// libzmq's C objects owned at birth, and its calls as Results. Private to gateway/wire.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/wire/keys.hpp"
#include "gateway/wire/message.hpp"
#include "index/base/result.hpp"

namespace hd::wire {

// Waits for its sockets to be closed: declare it before them.
struct ContextFree {
    void operator()(void* context) const;
};
using ContextPtr = std::unique_ptr<void, ContextFree>;
struct SocketFree {
    void operator()(void* socket) const;
};
using SocketPtr = std::unique_ptr<void, SocketFree>;

// errno of libzmq in words.
Error zmq_failure(std::string_view what);

Result<ContextPtr> make_context();
// LINGER 0 and IPv4 only: closing never waits for a peer.
Result<SocketPtr> make_socket(void* context, int type);
Result<void> set_option(void* socket, int option, int value, std::string_view name);
Result<void> set_option_i64(void* socket, int option, std::int64_t value, std::string_view name);
Result<void> set_option_bytes(void* socket, int option, ByteView value, std::string_view name);
Result<void> bind_to(void* socket, const std::string& address);
Result<void> connect_to(void* socket, const std::string& address);

// Option 93: refuse peers when no ZAP handler answers. Its name is hidden behind
// ZMQ_BUILD_DRAFT_API in the stable header, while the stable library knows the number (measured,
// facts/consent.md section 7).
constexpr int kZapEnforceDomain = 93;

Result<void> use_curve_server(void* socket, const CurveKey& key);
Result<void> use_curve_client(void* socket, const CurveKey& key, const CurvePublic& server);

enum class Sent { yes, would_block, unroutable, failed };
// All frames or none; never waits.
Sent send_frames(void* socket, const Frames& frames);
// The same; libzmq takes the large frames over instead of copying them.
Sent send_frames(void* socket, Frames&& frames);

// One message as it came. `too_many` and `too_big`: it broke the limits, was drained, and holds no
// frames.
struct Received {
    Frames frames;
    std::string user_id;  // of ZAP; empty if there is none
    bool too_many = false;
    bool too_big = false;
};
// Nothing if no message waits. `skip` frames (routing id, delimiter) do not count against
// max_frames.
Result<std::optional<Received>> receive_message(void* socket, const MessageLimits& limits,
                                                std::size_t skip);

// What a socket monitor says.
struct MonitorEvent {
    int event = 0;
    std::int64_t value = 0;
};
// A PAIR that hears `events` of `socket`. End it with stop_monitor before the socket is closed.
Result<SocketPtr> start_monitor(void* context, void* socket, int events);
void stop_monitor(void* socket);
std::optional<MonitorEvent> next_monitor_event(void* monitor);

// Waits until `socket` has something to read.
bool wait_readable(void* socket, int timeout_ms);

}  // namespace hd::wire
