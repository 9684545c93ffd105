// Proves, on a private endpoint, that CURVE + ZAP let in whom they must and nobody else. Fails
// closed: any doubt is an error, and the program that called does not start.
#include <fmt/format.h>
#include <zmq.h>

#include "gateway/wire/zap.hpp"
#include "index/base/ids.hpp"

namespace hd::wire {
namespace {

using testing::ZapFault;

constexpr const char* kDomain = "self-test";
constexpr const char* kGoodUser = "self-test:good";
// A handshake on one machine takes about a millisecond; a loaded Pi must still pass.
constexpr int kTries = 300;
constexpr int kTryMs = 10;
constexpr int kFailedEvents = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                              ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                              ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;

Error failed(std::string_view what) {
    return {
        ErrorCode::unavailable,
        fmt::format("ZeroMQ access control failed its self-test: {}; nothing was opened", what)};
}

// A CURVE server that nobody else knows: an abstract socket name with 128 random bits.
struct TestServer {
    std::string address = "ipc://@halfdoor-self-test-" + hex_id(random_id_bytes());
    CurveKey key = CurveKey::generate();
    SocketPtr socket;
    SocketPtr monitor;

    Result<void> open(void* context, ZapFault fault) {
        HD_ASSIGN(socket, make_socket(context, ZMQ_ROUTER));
        HD_TRY(require_zap(socket.get(), kDomain, &key, fault));
        HD_ASSIGN(monitor, start_monitor(context, socket.get(),
                                         kFailedEvents | ZMQ_EVENT_HANDSHAKE_SUCCEEDED));
        return bind_to(socket.get(), address);
    }
    void close() {
        if (socket) stop_monitor(socket.get());
        monitor.reset();
        socket.reset();
    }
};

Result<SocketPtr> connect_client(void* context, const TestServer& server, const CurveKey& key,
                                 std::string_view says) {
    HD_ASSIGN(SocketPtr socket, make_socket(context, ZMQ_DEALER));
    HD_TRY(use_curve_client(socket.get(), key, server.key.public_key));
    HD_TRY(connect_to(socket.get(), server.address));
    const ByteView view = as_bytes(says);
    if (send_frames(socket.get(), {Bytes(view.begin(), view.end())}) != Sent::yes)
        return failed("its client could not send");
    return socket;
}

// Without a handler even a well-behaved client must stay out: option 93 does what it says.
Result<void> prove_closed_without_handler(void* context, ZapFault fault) {
    TestServer server;
    HD_TRY(server.open(context, fault));
    HD_ASSIGN(SocketPtr client, connect_client(context, server, CurveKey::generate(), "good"));
    for (int i = 0; i < kTries; ++i) {
        wait_readable(server.monitor.get(), kTryMs);
        while (const auto event = next_monitor_event(server.monitor.get())) {
            if (event->event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
                return failed("a client came in although no handler was there");
            if ((event->event & kFailedEvents) == 0) continue;
            client.reset();
            server.close();
            return {};
        }
    }
    return failed("a client without a handler was neither refused nor let in");
}

// With the handler: the known key comes in with its User-Id, the unknown one is refused.
Result<void> prove_handler_decides(void* context, ZapHandler& handler) {
    TestServer server;
    HD_TRY(server.open(context, ZapFault::none));
    const CurveKey good = CurveKey::generate();
    ZapDomain domain;
    domain.curve = true;
    domain.keys[good.public_key] = kGoodUser;
    handler.domains[kDomain] = domain;
    HD_ASSIGN(const SocketPtr bad_client,
              connect_client(context, server, CurveKey::generate(), "bad"));
    HD_ASSIGN(const SocketPtr good_client, connect_client(context, server, good, "good"));
    bool welcomed = false, refused = false;
    for (int i = 0; i < kTries && !(welcomed && refused); ++i) {
        zmq_pollitem_t items[] = {{handler.socket(), 0, ZMQ_POLLIN, 0},
                                  {server.socket.get(), 0, ZMQ_POLLIN, 0},
                                  {server.monitor.get(), 0, ZMQ_POLLIN, 0}};
        // Without a bound handler there is nothing to poll for it.
        const int first = handler.socket() == nullptr ? 1 : 0;
        zmq_poll(items + first, 3 - first, kTryMs);
        HD_TRY(handler.step());
        while (const auto event = next_monitor_event(server.monitor.get()))
            if (event->event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) refused = true;
        HD_ASSIGN(auto message, receive_message(server.socket.get(), kDashboardLimits, 1));
        if (!message) continue;
        if (message->frames.size() != 2 || as_text(message->frames[1]) != "good")
            return failed("an unknown key was let in");
        if (message->user_id != kGoodUser) return failed("a known key came in as somebody else");
        welcomed = true;
    }
    server.close();
    handler.domains.erase(kDomain);
    if (!welcomed) return failed("a known key was not let in");
    if (!refused) return failed("an unknown key was not refused");
    return {};
}

}  // namespace

Result<void> bind_and_self_test(void* context, ZapHandler& handler, ZapFault fault) {
    HD_TRY(prove_closed_without_handler(context, fault));
    if (fault != ZapFault::not_bound) HD_TRY(handler.bind(context));
    HD_TRY(prove_handler_decides(context, handler));
    handler.drained = false;
    handler.accepted = 0;
    handler.refused = 0;
    return {};
}

namespace testing {

Result<void> self_test_with(ZapFault fault) {
    HD_ASSIGN(const ContextPtr context, make_context());
    ZapHandler handler(fault);
    return bind_and_self_test(context.get(), handler, fault);
}

}  // namespace testing
}  // namespace hd::wire
