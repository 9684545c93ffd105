#include "gateway/wire/endpoint.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <sys/stat.h>
#include <zmq.h>

#include "index/base/files.hpp"

namespace hd::wire {
namespace {

constexpr int kHandshakeMs = 2000;
constexpr int kBacklog = 64;
// A peer whose machine vanished is noticed within 40 s.
constexpr int kHeartbeatMs = 10'000;
constexpr int kHeartbeatTimeoutMs = 30'000;
// What CURVE adds to a frame is 33 bytes (measured, facts/consent.md section 7.1); exact sizes are
// checked after decryption.
constexpr std::int64_t kCurveOverhead = 64;
// sun_path has 108 bytes with its end.
constexpr std::size_t kMaxIpcPath = 107;
constexpr int kCloseTries = 200;
constexpr int kBindTries = 200;
constexpr int kTryMs = 10;

constexpr int kHandshakeFailed = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > 64) return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
}

Error bad(const EndpointSettings& s, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("endpoint {} ({}): {}", s.name, s.address, rule)};
}

}  // namespace

std::string user_id(Role role, std::string_view user) {
    return fmt::format("{}:{}", to_string(role), user);
}

Result<void> check_endpoint(const EndpointSettings& s) {
    if (!is_name(s.name)) return bad(s, "its name must be 1 to 64 of a-z A-Z 0-9 . _ -");
    const bool ipc = s.address.starts_with("ipc:///");
    if (!ipc && !s.address.starts_with("tcp://"))
        return bad(s, "the address must begin with ipc:/// or tcp://");
    if (!ipc && !s.key) return bad(s, "tcp is possible only with a CURVE key");
    if (ipc && s.key) return bad(s, "ipc is guarded by the file system and takes no CURVE key");
    if (ipc && !s.allowed.empty()) return bad(s, "ipc has no keys to allow");
    if (ipc && s.address.size() - 6 > kMaxIpcPath)
        return bad(s, fmt::format("the path has more than {} bytes; choose a shorter "
                                  "runtime_folder",
                                  kMaxIpcPath));
    if (s.send_hwm < 1 || s.receive_hwm < 1 || s.max_connections < 1)
        return bad(s, "a limit of 0 would mean no limit");
    std::set<CurvePublic> keys;
    for (const AllowedKey& allowed : s.allowed) {
        if (!is_name(allowed.user)) return bad(s, "a user must be 1 to 64 of a-z A-Z 0-9 . _ -");
        if (!keys.insert(allowed.key).second) return bad(s, "one key is allowed twice");
    }
    return {};
}

Result<std::unique_ptr<Endpoint>> Endpoint::open(void* context, EndpointSettings settings) {
    HD_TRY(check_endpoint(settings));
    auto endpoint = std::make_unique<Endpoint>(context, std::move(settings));
    HD_TRY(endpoint->bind());
    return endpoint;
}

Result<void> Endpoint::bind() {
    const bool router = settings.kind == SocketKind::router;
    HD_ASSIGN(socket_, make_socket(context_, router ? ZMQ_ROUTER : ZMQ_PUB));
    drained = monitor_drained = false;
    void* s = socket_.get();
    // Before anything else, so that no step below can leave an open door.
    HD_TRY(require_zap(s, settings.name, settings.key ? &*settings.key : nullptr));
    HD_TRY(set_option_i64(
        s, ZMQ_MAXMSGSIZE,
        static_cast<std::int64_t>(settings.limits.max_frame_bytes) + kCurveOverhead, "MAXMSGSIZE"));
    HD_TRY(set_option(s, ZMQ_SNDHWM, settings.send_hwm, "SNDHWM"));
    HD_TRY(set_option(s, ZMQ_RCVHWM, settings.receive_hwm, "RCVHWM"));
    HD_TRY(set_option(s, ZMQ_HANDSHAKE_IVL, kHandshakeMs, "HANDSHAKE_IVL"));
    HD_TRY(set_option(s, ZMQ_BACKLOG, kBacklog, "BACKLOG"));
    if (router) HD_TRY(set_option(s, ZMQ_ROUTER_MANDATORY, 1, "ROUTER_MANDATORY"));
    if (settings.key) {
        HD_TRY(set_option(s, ZMQ_TCP_KEEPALIVE, 1, "TCP_KEEPALIVE"));
        HD_TRY(set_option(s, ZMQ_HEARTBEAT_IVL, kHeartbeatMs, "HEARTBEAT_IVL"));
        HD_TRY(set_option(s, ZMQ_HEARTBEAT_TIMEOUT, kHeartbeatTimeoutMs, "HEARTBEAT_TIMEOUT"));
    }
    HD_ASSIGN(monitor_, start_monitor(context_, s,
                                      ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED |
                                          ZMQ_EVENT_HANDSHAKE_SUCCEEDED | kHandshakeFailed |
                                          ZMQ_EVENT_CLOSED));
    Result<void> bound = bind_to(s, settings.address);
    // After a reopen the kernel may need a moment to give the port back.
    for (int i = 0; i < kBindTries && !bound && zmq_errno() == EADDRINUSE; ++i) {
        zmq_poll(nullptr, 0, kTryMs);
        bound = bind_to(s, settings.address);
    }
    if (!bound) return bound.error().in("endpoint " + settings.name);
    char last[256] = {};
    std::size_t size = sizeof last;
    if (zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, last, &size) == 0) bound_ = last;
    if (settings.address.starts_with("ipc://")) {
        const std::string path = settings.address.substr(6);
        if (::chmod(path.c_str(), settings.ipc_mode) != 0)
            return errno_error(errno, "set the mode of " + path);
    }
    return {};
}

void Endpoint::close() {
    if (socket_) stop_monitor(socket_.get());
    monitor_.reset();
    socket_.reset();
    open_.clear();
    authenticated_ = 0;
}

Result<void> Endpoint::reopen() {
    // libzmq closes a listener in the background, and then deletes an ipc file by name. Wait for
    // it, or it would delete the new one.
    if (zmq_unbind(socket_.get(), bound_.c_str()) == 0) {
        bool closed = false;
        for (int i = 0; i < kCloseTries && !closed; ++i) {
            wait_readable(monitor_.get(), kTryMs);
            while (const auto event = next_monitor_event(monitor_.get()))
                if (event->event == ZMQ_EVENT_CLOSED) closed = true;
        }
    }
    close();
    return bind();
}

void Endpoint::count_connections() {
    while (const auto event = next_monitor_event(monitor_.get())) {
        if (event->event == ZMQ_EVENT_ACCEPTED) open_.insert(event->value);
        if (event->event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) ++authenticated_;
        // Each connection ends in DISCONNECTED; a failed handshake says so first.
        if ((event->event & kHandshakeFailed) != 0) ++authenticated_;
        if (event->event == ZMQ_EVENT_DISCONNECTED) {
            open_.erase(event->value);
            --authenticated_;
        }
    }
    monitor_drained = true;
    authenticated_ =
        std::clamp<std::int64_t>(authenticated_, 0, static_cast<std::int64_t>(open_.size()));
}

std::size_t Endpoint::free_connections() const {
    const auto used = static_cast<std::size_t>(authenticated_);
    return used >= settings.max_connections ? 0 : settings.max_connections - used;
}

ZapDomain Endpoint::zap_domain() const {
    ZapDomain domain;
    domain.curve = settings.key.has_value();
    if (!domain.curve) domain.everybody = user_id(settings.role, "local");
    for (const AllowedKey& allowed : settings.allowed)
        domain.keys[allowed.key] = user_id(settings.role, allowed.user);
    domain.free_connections = free_connections();
    return domain;
}

const std::string* Endpoint::find_user(std::string_view zap_user_id) const {
    static const std::string kLocal = "local";
    const std::string_view role = to_string(settings.role);
    if (!zap_user_id.starts_with(role) || zap_user_id.substr(role.size(), 1) != ":") return nullptr;
    const std::string_view user = zap_user_id.substr(role.size() + 1);
    if (!settings.key) return user == kLocal ? &kLocal : nullptr;
    for (const AllowedKey& allowed : settings.allowed)
        if (user == allowed.user) return &allowed.user;
    return nullptr;
}

}  // namespace hd::wire
