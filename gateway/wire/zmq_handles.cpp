#include "gateway/wire/zmq_handles.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <zmq.h>

#include "index/base/check.hpp"
#include "index/base/encoding.hpp"
#include "index/base/ids.hpp"

namespace hd::wire {
namespace {

// Sockets of ours in one context: a few endpoints, each with a monitor. Connections do not count.
constexpr int kMaxSockets = 64;

// zmq_msg_t as a value that is always closed.
class Message {
  public:
    Message() { zmq_msg_init(&raw_); }
    // Takes `frame` over; libzmq's own thread deletes it when it is sent.
    explicit Message(Bytes frame) {
        auto owned = std::make_unique<Bytes>(std::move(frame));
        const int made = zmq_msg_init_data(
            &raw_, owned->data(), owned->size(),
            [](void*, void* bytes) {
                const std::unique_ptr<Bytes> ended(static_cast<Bytes*>(bytes));
            },
            owned.get());
        HD_CHECK(made == 0);  // It fails only without memory, as `new` does.
        static_cast<void>(owned.release());
    }
    ~Message() { zmq_msg_close(&raw_); }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    zmq_msg_t* get() { return &raw_; }
    ByteView view() {
        return {static_cast<const std::uint8_t*>(zmq_msg_data(&raw_)), zmq_msg_size(&raw_)};
    }
    bool more() { return zmq_msg_more(&raw_) != 0; }

  private:
    zmq_msg_t raw_;
};

// Below this a copy is quicker than handing a buffer to the thread that sends.
constexpr std::size_t kTakenOverBytes = 4096;

// Hands every frame to `send`; stops at the first that is refused.
template <typename AnyFrames, typename Send>
Sent send_each(AnyFrames& frames, const Send& send) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const int flags = ZMQ_DONTWAIT | (i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
        // Only the first frame can be refused: libzmq counts whole messages against the mark.
        if (send(frames[i], flags)) continue;
        if (zmq_errno() == EAGAIN) return Sent::would_block;
        if (zmq_errno() == EHOSTUNREACH) return Sent::unroutable;
        return Sent::failed;
    }
    return Sent::yes;
}

}  // namespace

void ContextFree::operator()(void* context) const { zmq_ctx_term(context); }
void SocketFree::operator()(void* socket) const { zmq_close(socket); }

Error zmq_failure(std::string_view what) {
    const int err = zmq_errno();
    ErrorCode code = ErrorCode::unavailable;
    if (err == EINVAL || err == ENODEV || err == EPROTONOSUPPORT) code = ErrorCode::invalid;
    if (err == EMFILE || err == ENOMEM) code = ErrorCode::exhausted;
    if (err == EACCES || err == EPERM) code = ErrorCode::refused;
    return {code, fmt::format("{}: {}", what, zmq_strerror(err))};
}

Result<ContextPtr> make_context() {
    ContextPtr context{zmq_ctx_new()};
    if (!context) return zmq_failure("make ZeroMQ context");
    if (zmq_ctx_set(context.get(), ZMQ_MAX_SOCKETS, kMaxSockets) != 0)
        return zmq_failure("limit ZeroMQ sockets");
    // Do not let ctx_term wait for undelivered messages either.
    if (zmq_ctx_set(context.get(), ZMQ_BLOCKY, 0) != 0) return zmq_failure("set ZMQ_BLOCKY");
    return context;
}

Result<SocketPtr> make_socket(void* context, int type) {
    SocketPtr socket{zmq_socket(context, type)};
    if (!socket) return zmq_failure("make ZeroMQ socket");
    HD_TRY(set_option(socket.get(), ZMQ_LINGER, 0, "LINGER"));
    HD_TRY(set_option(socket.get(), ZMQ_IPV6, 0, "IPV6"));
    return socket;
}

Result<void> set_option(void* socket, int option, int value, std::string_view name) {
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        return zmq_failure(fmt::format("set ZeroMQ option {}", name));
    return {};
}

Result<void> set_option_i64(void* socket, int option, std::int64_t value, std::string_view name) {
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0)
        return zmq_failure(fmt::format("set ZeroMQ option {}", name));
    return {};
}

Result<void> set_option_bytes(void* socket, int option, ByteView value, std::string_view name) {
    if (zmq_setsockopt(socket, option, value.data(), value.size()) != 0)
        return zmq_failure(fmt::format("set ZeroMQ option {}", name));
    return {};
}

Result<void> bind_to(void* socket, const std::string& address) {
    if (zmq_bind(socket, address.c_str()) != 0) return zmq_failure("bind " + address);
    return {};
}

Result<void> connect_to(void* socket, const std::string& address) {
    if (zmq_connect(socket, address.c_str()) != 0) return zmq_failure("connect to " + address);
    return {};
}

Result<void> use_curve_server(void* socket, const CurveKey& key) {
    HD_TRY(set_option(socket, ZMQ_CURVE_SERVER, 1, "CURVE_SERVER"));
    return set_option_bytes(socket, ZMQ_CURVE_SECRETKEY, key.secret.view(), "CURVE_SECRETKEY");
}

Result<void> use_curve_client(void* socket, const CurveKey& key, const CurvePublic& server) {
    HD_TRY(set_option_bytes(socket, ZMQ_CURVE_SERVERKEY, server, "CURVE_SERVERKEY"));
    HD_TRY(set_option_bytes(socket, ZMQ_CURVE_PUBLICKEY, key.public_key, "CURVE_PUBLICKEY"));
    return set_option_bytes(socket, ZMQ_CURVE_SECRETKEY, key.secret.view(), "CURVE_SECRETKEY");
}

Sent send_frames(void* socket, const Frames& frames) {
    return send_each(frames, [&](const Bytes& frame, int flags) {
        return zmq_send(socket, frame.data(), frame.size(), flags) >= 0;
    });
}

Sent send_frames(void* socket, Frames&& frames) {
    return send_each(frames, [&](Bytes& frame, int flags) {
        if (frame.size() < kTakenOverBytes)
            return zmq_send(socket, frame.data(), frame.size(), flags) >= 0;
        Message message(std::move(frame));
        return zmq_msg_send(message.get(), socket, flags) >= 0;
    });
}

Result<std::optional<Received>> receive_message(void* socket, const MessageLimits& limits,
                                                std::size_t skip) {
    Received out;
    std::size_t count = 0, bytes = 0;
    for (;;) {
        Message message;
        if (zmq_msg_recv(message.get(), socket, ZMQ_DONTWAIT) < 0) {
            const int err = zmq_errno();
            if (err == EINTR) continue;
            if (err == EAGAIN && count == 0) return std::optional<Received>{};
            return zmq_failure("receive");
        }
        if (out.user_id.empty()) {  // the same for every frame that the peer sent
            const char* user = zmq_msg_gets(message.get(), "User-Id");
            if (user != nullptr) out.user_id = user;
        }
        ++count;
        const ByteView view = message.view();
        bytes += view.size();
        if (count > limits.max_frames + skip) out.too_many = true;
        if (bytes > limits.max_message_bytes + 512 || view.size() > limits.max_frame_bytes)
            out.too_big = true;
        if (out.too_many || out.too_big) {
            out.frames.resize(std::min(out.frames.size(), skip));
        } else {
            out.frames.emplace_back(view.begin(), view.end());
        }
        if (!message.more()) return std::optional<Received>{std::move(out)};
    }
}

Result<SocketPtr> start_monitor(void* context, void* socket, int events) {
    const std::string address = "inproc://monitor-" + hex_id(random_id_bytes());
    if (zmq_socket_monitor(socket, address.c_str(), events) != 0)
        return zmq_failure("monitor socket");
    HD_ASSIGN(SocketPtr monitor, make_socket(context, ZMQ_PAIR));
    HD_TRY(connect_to(monitor.get(), address));
    return monitor;
}

void stop_monitor(void* socket) { zmq_socket_monitor(socket, nullptr, 0); }

std::optional<MonitorEvent> next_monitor_event(void* monitor) {
    Message head;
    if (zmq_msg_recv(head.get(), monitor, ZMQ_DONTWAIT) < 0) return std::nullopt;
    MonitorEvent out;
    // Six bytes in the machine's own order: u16 event, i32 value.
    if (head.view().size() >= 6) {
        std::uint16_t event = 0;
        std::int32_t value = 0;
        std::memcpy(&event, head.view().data(), sizeof event);
        std::memcpy(&value, head.view().data() + 2, sizeof value);
        out = {event, value};
    }
    bool more = head.more();
    while (more) {  // the address
        Message rest;
        if (zmq_msg_recv(rest.get(), monitor, 0) < 0) break;
        more = rest.more();
    }
    return out;
}

bool wait_readable(void* socket, int timeout_ms) {
    zmq_pollitem_t item{socket, 0, ZMQ_POLLIN, 0};
    return zmq_poll(&item, 1, timeout_ms) > 0;
}

}  // namespace hd::wire
