#include "gateway/wire/server.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "gateway/wire/client.hpp"
#include "gateway/wire/endpoint.hpp"
#include "gateway/wire/socket_wait.hpp"
#include "gateway/wire/zap.hpp"
#include "gateway/wire/zmq_handles.hpp"
#include "index/base/check.hpp"
#include "index/base/files.hpp"
#include "index/base/log.hpp"

namespace hd::wire {
namespace {

// One endpoint's share of a step, so that a flood on it does not starve the others.
constexpr int kMessagesPerStep = 64;

// Ids that libzmq gives begin with a zero byte and are never used twice. A peer that chose its own
// could take over the id of one that has just left, and get its reply.
bool chosen_by_peer(const Bytes& routing_id) { return routing_id.empty() || routing_id[0] != 0; }

bool lost_anybody(const std::vector<AllowedKey>& before, const std::vector<AllowedKey>& after) {
    return std::any_of(before.begin(), before.end(), [&](const AllowedKey& old) {
        return std::find(after.begin(), after.end(), old) == after.end();
    });
}

}  // namespace

std::string_view to_string(Role role) {
    switch (role) {
        case Role::owner:
            return "owner";
        case Role::dashboard:
            return "dashboard";
        case Role::gate:
            return "gate";
        case Role::requester:
            return "requester";
    }
    return "";
}

Result<std::string> check_libzmq() {
    int major = 0, minor = 0, patch = 0;
    zmq_version(&major, &minor, &patch);
    const std::string version = fmt::format("libzmq {}.{}.{}", major, minor, patch);
    if (major * 10'000 + minor * 100 + patch < 4'03'04)
        return Error{ErrorCode::unavailable,
                     version +
                         " has known remote faults (CVE-2020-15166 and older); 4.3.4 or "
                         "newer is needed"};
    if (zmq_has("curve") != 1)
        return Error{ErrorCode::unavailable, version + " was built without CURVE"};
    return version + ", curve";
}

struct Server::State {
    ContextPtr context;
    ZapHandler zap;
    Fd waker;
    std::vector<std::unique_ptr<Endpoint>> endpoints;
    mutable ServerCounters counters;

    Endpoint* find(std::string_view name) {
        for (const auto& endpoint : endpoints)
            if (endpoint->settings.name == name) return endpoint.get();
        return nullptr;
    }
    void update_zap(const Endpoint& endpoint) {
        zap.domains[endpoint.settings.name] = endpoint.zap_domain();
    }
    void update_zap_room(const Endpoint& endpoint) {
        const auto domain = zap.domains.find(endpoint.settings.name);
        if (domain != zap.domains.end())
            domain->second.free_connections = endpoint.free_connections();
    }
    Result<void> add(EndpointSettings settings);
    Result<void> serve(Endpoint& endpoint, const std::function<void(Incoming&&)>& deliver);
    void take(Endpoint& endpoint, Received message, const std::function<void(Incoming&&)>& deliver);
};

Result<void> Server::State::add(EndpointSettings settings) {
    HD_TRY(check_endpoint(settings));
    if (find(settings.name) != nullptr)
        return Error{ErrorCode::invalid, "there is an endpoint " + settings.name + " already"};
    const std::string name = settings.name;
    auto endpoint = Endpoint::open(context.get(), std::move(settings));
    if (!endpoint) return endpoint.error();
    update_zap(**endpoint);
    log::info("endpoint.opened", "name={} address={}", name, (*endpoint)->settings.address);
    endpoints.push_back(std::move(*endpoint));
    return {};
}

void Server::State::take(Endpoint& endpoint, Received message,
                         const std::function<void(Incoming&&)>& deliver) {
    if (message.too_many) {
        ++counters.dropped_too_many_frames;
        return;
    }
    if (message.too_big) {
        ++counters.dropped_too_big;
        return;
    }
    const std::string* user = endpoint.find_user(message.user_id);
    if (user == nullptr || message.frames.empty()) {
        ++counters.dropped_no_user;
        return;
    }
    Incoming in;
    in.peer.endpoint = endpoint.settings.name;
    in.peer.routing_id = std::move(message.frames.front());
    in.role = endpoint.settings.role;
    in.user = *user;
    std::size_t from = 1;
    if (message.frames.size() > 1 && message.frames[1].empty()) {
        in.peer.delimiter = true;
        from = 2;
    }
    in.frames.assign(
        std::make_move_iterator(message.frames.begin() + static_cast<std::ptrdiff_t>(from)),
        std::make_move_iterator(message.frames.end()));
    ++counters.received;
    deliver(std::move(in));
}

Result<void> Server::State::serve(Endpoint& endpoint,
                                  const std::function<void(Incoming&&)>& deliver) {
    if (endpoint.settings.kind == SocketKind::pub) return {};
    const std::string name = endpoint.settings.name;
    for (int i = 0; i < kMessagesPerStep; ++i) {
        // `deliver` may remove or reopen endpoints: look it up each time.
        Endpoint* here = find(name);
        if (here == nullptr) return {};
        // Routing id and, from a REQ socket, a delimiter stand before our frames.
        auto message = receive_message(here->socket(), here->settings.limits, 2);
        if (!message) return message.error().in("endpoint " + name);
        if (!*message) {
            here->drained = true;
            return {};
        }
        const bool named = !(**message).frames.empty() && here->settings.key &&
                           chosen_by_peer((**message).frames.front());
        if (named) {
            ++counters.dropped_chosen_id;
            Frames refusal{(**message).frames.front()};
            for (Bytes& frame :
                 encode_error("", {ErrorCode::invalid, "routing_id: leave it to the hub"}))
                refusal.push_back(std::move(frame));
            send_frames(here->socket(), refusal);
            continue;
        }
        take(*here, std::move(**message), deliver);
    }
    return {};
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::open(std::vector<EndpointSettings> endpoints) {
    HD_ASSIGN(const std::string library, check_libzmq());
    for (const EndpointSettings& settings : endpoints) HD_TRY(check_endpoint(settings));
    auto state = std::make_unique<State>();
    state->waker = Fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!state->waker) return errno_error(errno, "eventfd");
    HD_ASSIGN(state->context, make_context());
    HD_TRY(bind_and_self_test(state->context.get(), state->zap));
    log::info("wire.ready", "library=\"{}\" self_test=passed", library);
    for (EndpointSettings& settings : endpoints) HD_TRY(state->add(std::move(settings)));
    return std::make_unique<Server>(std::move(state));
}

Result<void> Server::step(Micros timeout, const std::function<void(Incoming&&)>& deliver,
                          Client* also) {
    bool client_drained = false;  // its owner reads it as he likes
    std::vector<Waited> sockets{{.socket = state_->zap.socket(), .drained = &state_->zap.drained}};
    for (const auto& endpoint : state_->endpoints) {
        sockets.push_back({.socket = endpoint->monitor(), .drained = &endpoint->monitor_drained});
        if (endpoint->settings.kind == SocketKind::router)
            sockets.push_back({.socket = endpoint->socket(), .drained = &endpoint->drained});
    }
    if (also != nullptr)
        sockets.push_back({.socket = also->zmq_socket(), .drained = &client_drained});
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
    HD_ASSIGN(const bool woken,
              wait_any(sockets, state_->waker.get(),
                       static_cast<int>(std::clamp<std::int64_t>(wait, 0, 60'000))));
    if (woken) {
        std::uint64_t wakes = 0;
        // Nothing to do with the value: waking was the point.
        [[maybe_unused]] const auto got = ::read(state_->waker.get(), &wakes, sizeof wakes);
    }
    // Each look at a socket that has nothing costs a system call: only what the wait named is read.
    const Waited* waited = sockets.data() + 1;
    std::vector<std::string> ready;  // by name: `deliver` may remove or reopen endpoints
    for (const auto& endpoint : state_->endpoints) {
        if ((waited++)->ready) {
            endpoint->count_connections();
            state_->update_zap_room(*endpoint);
        }
        if (endpoint->settings.kind == SocketKind::router && (waited++)->ready)
            ready.push_back(endpoint->settings.name);
    }
    if (sockets[0].ready) HD_TRY(state_->zap.step());
    for (const std::string& name : ready)
        if (Endpoint* endpoint = state_->find(name)) HD_TRY(state_->serve(*endpoint, deliver));
    return {};
}

bool Server::reply(const Peer& peer, Frames frames) {
    Endpoint* endpoint = state_->find(peer.endpoint);
    bool sent = false;
    if (endpoint != nullptr && endpoint->settings.kind == SocketKind::router) {
        endpoint->drained = false;
        Frames out{peer.routing_id};
        if (peer.delimiter) out.emplace_back();
        for (Bytes& frame : frames) out.push_back(std::move(frame));
        sent = send_frames(endpoint->socket(), std::move(out)) == Sent::yes;
    }
    ++(sent ? state_->counters.replied : state_->counters.dropped_replies);
    return sent;
}

void Server::publish(std::string_view endpoint, const Frames& frames) {
    Endpoint* found = state_->find(endpoint);
    HD_CHECK(found != nullptr && found->settings.kind == SocketKind::pub);
    if (send_frames(found->socket(), frames) == Sent::yes) ++state_->counters.published;
}

Result<void> Server::set_allowed(std::string_view endpoint, std::vector<AllowedKey> allowed) {
    Endpoint* found = state_->find(endpoint);
    if (found == nullptr)
        return Error{ErrorCode::not_found, fmt::format("no endpoint {}", endpoint)};
    EndpointSettings& settings = found->settings;
    if (settings.allowed == allowed) return {};
    const bool lost = lost_anybody(settings.allowed, allowed);
    std::vector<AllowedKey> before = std::exchange(settings.allowed, std::move(allowed));
    if (auto checked = check_endpoint(settings); !checked) {
        settings.allowed = std::move(before);
        return checked;
    }
    // From here on the handler refuses the revoked key; then its live connections go.
    state_->update_zap(*found);
    if (!lost) return {};
    ++state_->counters.reopened;
    auto reopened = found->reopen();
    if (reopened) {
        state_->update_zap(*found);
        log::info("endpoint.reopened", "name={} allowed={} reason=revoked", settings.name,
                  settings.allowed.size());
        return {};
    }
    // Closed is safe; half open is not.
    const Error& error = reopened.error();
    remove_endpoint(endpoint).ignore();
    return error;
}

Result<void> Server::add_endpoint(EndpointSettings settings) {
    return state_->add(std::move(settings));
}

Result<void> Server::remove_endpoint(std::string_view name) {
    auto& list = state_->endpoints;
    const auto at = std::find_if(list.begin(), list.end(),
                                 [&](const auto& e) { return e->settings.name == name; });
    if (at == list.end()) return Error{ErrorCode::not_found, fmt::format("no endpoint {}", name)};
    log::info("endpoint.closed", "name={}", name);
    state_->zap.domains.erase((*at)->settings.name);
    list.erase(at);
    return {};
}

bool Server::has_endpoint(std::string_view name) const { return state_->find(name) != nullptr; }

void Server::wake() {
    const std::uint64_t one = 1;
    // Fails only when a wake is waiting already.
    [[maybe_unused]] const auto done = ::write(state_->waker.get(), &one, sizeof one);
}

const ServerCounters& Server::counters() const {
    state_->counters.accepted_handshakes = state_->zap.accepted;
    state_->counters.refused_handshakes = state_->zap.refused;
    return state_->counters;
}

}  // namespace hd::wire
