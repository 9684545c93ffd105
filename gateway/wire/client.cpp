#include "gateway/wire/client.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <zmq.h>

#include "gateway/wire/zmq_handles.hpp"
#include "index/base/clock.hpp"

namespace hd::wire {
namespace {

// A hub that is away comes back within seconds; a tool that waits must not hammer it.
constexpr int kReconnectMs = 100;
constexpr int kReconnectMaxMs = 2000;
constexpr int kClientHandshakeMs = 5000;
constexpr int kZapRefused = 400;

int to_ms(Micros t) {
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(t).count();
    return static_cast<int>(std::clamp<std::int64_t>(ms, 0, 3'600'000));
}

Result<SocketPtr> open_socket(void* context, int type, const ClientSettings& settings) {
    if (settings.key.has_value() != settings.server_key.has_value())
        return Error{ErrorCode::invalid, "a CURVE client needs its own key and the server's"};
    if (settings.address.starts_with("tcp://") && !settings.server_key)
        return Error{ErrorCode::invalid,
                     fmt::format("{}: tcp needs the server's CURVE key", settings.address)};
    HD_ASSIGN(SocketPtr socket, make_socket(context, type));
    HD_TRY(set_option(socket.get(), ZMQ_RECONNECT_IVL, kReconnectMs, "RECONNECT_IVL"));
    HD_TRY(set_option(socket.get(), ZMQ_RECONNECT_IVL_MAX, kReconnectMaxMs, "RECONNECT_IVL_MAX"));
    HD_TRY(set_option(socket.get(), ZMQ_HANDSHAKE_IVL, kClientHandshakeMs, "HANDSHAKE_IVL"));
    HD_TRY(set_option(socket.get(), ZMQ_SNDHWM, settings.hwm, "SNDHWM"));
    HD_TRY(set_option(socket.get(), ZMQ_RCVHWM, settings.hwm, "RCVHWM"));
    HD_TRY(set_option_i64(socket.get(), ZMQ_MAXMSGSIZE,
                          static_cast<std::int64_t>(settings.limits.max_frame_bytes) + 64,
                          "MAXMSGSIZE"));
    if (settings.key) HD_TRY(use_curve_client(socket.get(), *settings.key, *settings.server_key));
    return socket;
}

}  // namespace

struct Client::State {
    // Our key was refused: libzmq has given the connection up for good.
    bool refused() {
        while (const auto event = next_monitor_event(monitor.get()))
            if (event->value == kZapRefused) gone = true;
        return gone;
    }
    Error refusal() const { return {ErrorCode::refused, address + " does not know our key"}; }

    std::string address;
    bool gone = false;
    Micros timeout{};
    MessageLimits limits;
    std::uint64_t asked = 0;
    ContextPtr context;
    SocketPtr socket;
    SocketPtr monitor;
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::open(ClientSettings settings) {
    auto state = std::make_unique<State>();
    state->address = settings.address;
    state->timeout = settings.timeout;
    state->limits = settings.limits;
    HD_ASSIGN(state->context, make_context());
    HD_ASSIGN(state->socket, open_socket(state->context.get(), ZMQ_DEALER, settings));
    HD_ASSIGN(state->monitor, start_monitor(state->context.get(), state->socket.get(),
                                            ZMQ_EVENT_HANDSHAKE_FAILED_AUTH));
    HD_TRY(connect_to(state->socket.get(), settings.address));
    return Client{std::move(state)};
}

void* Client::zmq_socket() const { return state_->socket.get(); }

Result<void> Client::send_frames(const Frames& frames) {
    if (state_->refused()) return state_->refusal();
    switch (wire::send_frames(state_->socket.get(), frames)) {
        case Sent::yes:
            return {};
        case Sent::would_block:
        case Sent::unroutable:
            return Error{ErrorCode::exhausted,
                         fmt::format("{} does not take more questions", state_->address)};
        case Sent::failed:
            break;
    }
    return zmq_failure("send to " + state_->address);
}

Result<std::optional<Frames>> Client::receive_frames(Micros timeout) {
    zmq_pollitem_t items[] = {{state_->socket.get(), 0, ZMQ_POLLIN, 0},
                              {state_->monitor.get(), 0, ZMQ_POLLIN, 0}};
    zmq_poll(items, 2, to_ms(timeout));
    HD_ASSIGN(auto message, receive_message(state_->socket.get(), state_->limits, 0));
    if (!message) {
        if (state_->refused()) return state_->refusal();
        return std::optional<Frames>{};
    }
    if (message->too_big || message->too_many)
        return Error{ErrorCode::corrupt,
                     fmt::format("{} sent a reply beyond the limits", state_->address)};
    return std::optional<Frames>{std::move(message->frames)};
}

Result<void> Client::send(std::string_view verb, std::string_view correlation,
                          std::string_view json, Frames binary) {
    return send_frames(encode_request(verb, correlation, json, std::move(binary)));
}

Result<std::optional<Reply>> Client::receive(Micros timeout) {
    HD_ASSIGN(auto frames, receive_frames(timeout));
    if (!frames) return std::optional<Reply>{};
    auto reply = decode_reply(std::move(*frames), state_->limits);
    if (!reply) return Error{ErrorCode::corrupt, state_->address + ": " + reply.error().what};
    return std::optional<Reply>{std::move(*reply)};
}

Result<Reply> Client::ask(std::string_view verb, std::string_view json, Frames binary) {
    const std::string correlation = fmt::to_string(++state_->asked);
    HD_TRY(send(verb, correlation, json, std::move(binary)));
    Clock& clock = system_clock();
    const BootTime deadline = clock.boot() + state_->timeout;
    for (BootTime now = clock.boot(); now < deadline; now = clock.boot()) {
        HD_ASSIGN(auto reply, receive(deadline - now));
        // An empty correlation id: the hub could not read what we sent.
        const bool ours = reply && (reply->correlation == correlation ||
                                    (reply->correlation.empty() && reply->error));
        if (ours) return std::move(*reply);
    }
    return Error{ErrorCode::unavailable,
                 fmt::format("no answer from {} within {:.3g} s", state_->address,
                             std::chrono::duration<double>(state_->timeout).count())};
}

Result<Reply> ok_reply(Result<Reply> reply) {
    if (reply && reply->error) return *reply->error;
    return reply;
}

struct Subscriber::State {
    ContextPtr context;
    SocketPtr socket;
    MessageLimits limits;
};

Subscriber::Subscriber(std::unique_ptr<State> state) : state_(std::move(state)) {}
Subscriber::Subscriber(Subscriber&&) noexcept = default;
Subscriber& Subscriber::operator=(Subscriber&&) noexcept = default;
Subscriber::~Subscriber() = default;

Result<Subscriber> Subscriber::open(ClientSettings settings,
                                    const std::vector<std::string>& topics) {
    auto state = std::make_unique<State>();
    state->limits = settings.limits;
    HD_ASSIGN(state->context, make_context());
    HD_ASSIGN(state->socket, open_socket(state->context.get(), ZMQ_SUB, settings));
    std::vector<std::string> wanted = topics;
    if (wanted.empty()) wanted.emplace_back();
    for (const std::string& topic : wanted)
        HD_TRY(set_option_bytes(state->socket.get(), ZMQ_SUBSCRIBE, as_bytes(topic), "SUBSCRIBE"));
    HD_TRY(connect_to(state->socket.get(), settings.address));
    return Subscriber{std::move(state)};
}

Result<std::optional<Event>> Subscriber::next(Micros timeout) {
    if (!wait_readable(state_->socket.get(), to_ms(timeout))) return std::optional<Event>{};
    HD_ASSIGN(auto message, receive_message(state_->socket.get(), state_->limits, 0));
    if (!message) return std::optional<Event>{};
    HD_ASSIGN(Event event, decode_event(message->frames));
    return std::optional<Event>{std::move(event)};
}

}  // namespace hd::wire
