#include "tools/replay/relay.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "index/base/clock.hpp"
#include "pipelines/ingest/rtsp_message.hpp"

namespace hd::replay {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;
// More than this waiting for a slow client: the server is not read any more, and notices itself.
constexpr std::size_t kMaxWaiting = 1 << 20;
constexpr int kPollMs = 10;  // as exact as the faults have to be
constexpr Tick kEver = Tick::max();

Tick now_tick() { return Tick(system_clock().boot().us); }

sockaddr_in to_address(const std::string& host, int port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, host.c_str(), &out.sin_addr);
    return out;
}

// "rtsp://host:port/name/trackID=1?x" -> "name"
std::string camera_of(std::string_view uri) {
    const std::size_t scheme = uri.find("://");
    if (scheme == std::string_view::npos) return {};
    const std::size_t slash = uri.find('/', scheme + 3);
    if (slash == std::string_view::npos) return {};
    uri.remove_prefix(slash + 1);
    return std::string(uri.substr(0, uri.find_first_of("/?")));
}

bool would_block() { return errno == EAGAIN || errno == EINTR; }

}  // namespace

struct Relay::Connection {
    struct Piece {
        Tick due;
        Bytes bytes;
    };
    Fd client, server;
    std::string camera;
    Bytes client_bytes, server_bytes;  // received, not a whole item yet
    Bytes for_server;
    std::deque<Piece> for_client;
    std::size_t waiting = 0;  // bytes in for_client
    std::uint64_t noises = 0;
    double allowance = 0;  // bytes that a trickle may still send
    Tick counted{0};
    bool server_ended = false;

    void give_client(Bytes bytes, Tick due) {
        // Nothing overtakes.
        if (!for_client.empty()) due = std::max(due, for_client.back().due);
        waiting += bytes.size();
        for_client.push_back({due, std::move(bytes)});
    }
};

Relay::Relay(Settings settings) : settings_(std::move(settings)), random_(settings_.seed | 1) {}
Relay::~Relay() = default;

Result<void> Relay::listen() {
    listening_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    ::setsockopt(listening_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = to_address(settings_.address, settings_.port);
    socklen_t size = sizeof address;
    if (::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listening_.get(), 64) != 0 ||
        ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return Error{ErrorCode::unavailable, fmt::format("cannot listen on {} port {} (in use?)",
                                                         settings_.address, settings_.port)};
    settings_.port = ntohs(address.sin_port);
    return {};
}

void Relay::begin(const std::string& camera, const Fault& fault) {
    const std::lock_guard lock(mutex_);
    Line& line = lines_[camera];
    const Tick now = now_tick();
    const Micros amount(static_cast<std::int64_t>(fault.amount * 1e6));
    const Tick until = fault.span.count() > 0 ? now + fault.span : kEver;
    if (fault.kind == FaultKind::noise) {
        ++line.noises;
        line.noise_bytes = static_cast<std::size_t>(std::min(fault.amount, 1e6));
    } else if (fault.kind == FaultKind::refuse) {
        line.refuse_until = now + amount;
    } else if (fault.kind == FaultKind::slow) {
        line.slow = amount;
        line.slow_until = until;
    } else if (fault.kind == FaultKind::trickle) {
        line.bytes_per_second = fault.amount;
        line.trickle_until = until;
    }
}

Relay::Line Relay::line_of(const std::string& camera) {
    const std::lock_guard lock(mutex_);
    const auto it = lines_.find(camera);
    return it == lines_.end() ? Line{} : it->second;
}

void Relay::accept_one() {
    auto c = std::make_unique<Connection>();
    c->client = Fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!c->client) return;
    c->server = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = to_address(settings_.address, settings_.inner_port);
    // The server is this very program: it takes the connection at once.
    if (::connect(c->server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address))
        return;
    const int on = 1;
    for (const Fd* fd : {&c->client, &c->server})
        ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_.push_back(std::move(c));
}

Bytes Relay::random_bytes(std::size_t count) {
    Bytes out(count);
    for (auto& byte : out) {  // xorshift64: the same everywhere
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        byte = static_cast<std::uint8_t>(random_ >> 32);
    }
    return out;
}

// Takes what is there onto `bytes`. 1: some, 0: nothing now, -1: the end, -2: a reset.
static int take(const Fd& fd, Bytes& bytes) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kReadBytes);
    const ssize_t n = ::recv(fd.get(), bytes.data() + before, kReadBytes, MSG_DONTWAIT);
    bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(0, n)));
    return n > 0 ? 1 : n == 0 ? -1 : would_block() ? 0 : -2;
}

bool Relay::from_client(Connection& c, Tick now) {
    const int got = take(c.client, c.client_bytes);
    if (got < 0) return false;
    std::size_t at = 0;
    for (;;) {
        const ingest::RtspItem item = ingest::next_item(ByteView(c.client_bytes).subspan(at));
        if (item.kind == ingest::RtspItem::Kind::incomplete) break;
        const ByteView whole = ByteView(c.client_bytes).subspan(at, item.size);
        at += item.size;
        const bool request =
            item.kind == ingest::RtspItem::Kind::message && !item.message.method.empty();
        if (request && c.camera.empty()) {
            c.camera = camera_of(item.message.uri);
            c.noises = line_of(c.camera).noises;
        }
        if (request && now < line_of(c.camera).refuse_until) {
            const std::string answer = fmt::format(
                "RTSP/1.0 401 Unauthorized\r\nCSeq: {}\r\nWWW-Authenticate: Digest "
                "realm=\"halfdoor-replay\", nonce=\"{:016x}\"\r\n\r\n",
                ingest::trimmed(item.message.header("CSeq").value_or("0")), random_);
            static_cast<void>(random_bytes(1));  // another nonce each time
            c.give_client(Bytes(answer.begin(), answer.end()), now);
            continue;
        }
        c.for_server.insert(c.for_server.end(), whole.begin(), whole.end());
    }
    c.client_bytes.erase(c.client_bytes.begin(),
                         c.client_bytes.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
}

bool Relay::from_server(Connection& c, Tick now) {
    const int got = take(c.server, c.server_bytes);
    if (got == -2) {
        const linger at_once{1, 0};  // close() sends RST
        ::setsockopt(c.client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        return false;
    }
    if (got == -1) c.server_ended = true;
    const Line line = line_of(c.camera);
    std::size_t at = 0;
    for (;;) {
        const ingest::RtspItem item = ingest::next_item(ByteView(c.server_bytes).subspan(at));
        if (item.kind == ingest::RtspItem::Kind::incomplete) break;
        const ByteView whole = ByteView(c.server_bytes).subspan(at, item.size);
        at += item.size;
        const bool slow = item.kind == ingest::RtspItem::Kind::message && now < line.slow_until;
        c.give_client(Bytes(whole.begin(), whole.end()), slow ? now + line.slow : now);
        if (c.noises < line.noises) {
            c.noises = line.noises;
            c.give_client(random_bytes(line.noise_bytes), now);
        }
    }
    c.server_bytes.erase(c.server_bytes.begin(),
                         c.server_bytes.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
}

bool Relay::to_client(Connection& c, Tick now) {
    const Line line = line_of(c.camera);
    const bool trickles = now < line.trickle_until && line.bytes_per_second > 0;
    c.allowance = std::min(
        line.bytes_per_second,
        c.allowance + line.bytes_per_second * static_cast<double>((now - c.counted).count()) / 1e6);
    c.counted = now;
    while (!c.for_client.empty() && c.for_client.front().due <= now) {
        Bytes& bytes = c.for_client.front().bytes;
        std::size_t size = bytes.size();
        if (trickles) size = std::min(size, static_cast<std::size_t>(c.allowance));
        if (size == 0 && trickles) break;
        const ssize_t n = ::send(c.client.get(), bytes.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (would_block()) break;
            return false;
        }
        if (trickles) c.allowance -= static_cast<double>(n);
        c.waiting -= static_cast<std::size_t>(n);
        bytes.erase(bytes.begin(), bytes.begin() + n);
        if (!bytes.empty()) break;
        c.for_client.pop_front();
    }
    return !(c.server_ended && c.for_client.empty());
}

bool Relay::serve(Connection& c, short client_events, short server_events, Tick now) {
    if (client_events & (POLLIN | POLLHUP | POLLERR) && !from_client(c, now)) return false;
    if (server_events & (POLLIN | POLLHUP | POLLERR) && !from_server(c, now)) return false;
    while (!c.for_server.empty()) {
        const ssize_t n = ::send(c.server.get(), c.for_server.data(), c.for_server.size(),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && !would_block()) return false;
        if (n <= 0) break;
        c.for_server.erase(c.for_server.begin(), c.for_server.begin() + n);
    }
    return to_client(c, now);
}

void Relay::run(const std::stop_token& stop) {
    std::vector<pollfd> fds;
    while (!stop.stop_requested()) {
        fds.assign(1, {listening_.get(), POLLIN, 0});
        bool waits = false;  // for a time, not only for bytes
        for (const auto& c : connections_) {
            const bool full = c->waiting > kMaxWaiting || c->server_ended;
            fds.push_back({c->client.get(), POLLIN, 0});
            fds.push_back({c->server.get(), static_cast<short>(full ? 0 : POLLIN), 0});
            waits = waits || !c->for_client.empty() || !c->for_server.empty();
        }
        ::poll(fds.data(), fds.size(), waits ? kPollMs : 100);
        const Tick now = now_tick();
        std::size_t i = 1;
        for (auto it = connections_.begin(); it != connections_.end(); i += 2) {
            const bool goes_on = serve(**it, fds[i].revents, fds[i + 1].revents, now);
            it = goes_on ? std::next(it) : connections_.erase(it);
        }
        if (fds[0].revents & POLLIN) accept_one();
    }
    connections_.clear();
}

}  // namespace hd::replay
