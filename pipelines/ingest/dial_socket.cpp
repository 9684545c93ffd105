#include "pipelines/ingest/dial_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace hd::ingest {
namespace {

// The dialer keeps the time itself; what is later than this it lost in the resolver.
constexpr Micros kGrace = std::chrono::milliseconds(250);
// For the answer to "never mind", so that no connection is left with nobody to use it.
constexpr Micros kLastWords = std::chrono::milliseconds(100);

// UDP is a matter between two processes of this machine.
constexpr Micros kPortsPatience = std::chrono::seconds(2);

// A connection, or the two of a pair.
constexpr std::size_t kMaxSockets = 2;

// The recorder may not use sendmsg(), which takes an address; it hands over no sockets.
bool send_words(const Fd& control, const Bytes& packet) {
    ssize_t n = 0;
    do n = ::send(control.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == static_cast<ssize_t>(packet.size());
}

bool send_with_sockets(const Fd& control, const Bytes& packet, std::span<const int> sockets) {
    iovec bytes{const_cast<std::uint8_t*>(packet.data()), packet.size()};
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(kMaxSockets * sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = CMSG_SPACE(sockets.size_bytes());
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sockets.size_bytes());
    std::memcpy(CMSG_DATA(head), sockets.data(), sockets.size_bytes());
    ssize_t n = 0;
    do n = ::sendmsg(control.get(), &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == static_cast<ssize_t>(packet.size());
}

struct Packet {
    Bytes bytes;
    std::vector<Fd> sockets;
};

// Nothing: the other end is gone. Blocks if there is no packet.
std::optional<Packet> receive_packet(const Fd& control) {
    Packet out{Bytes(kMaxDialMessage + 1), {}};
    iovec bytes{out.bytes.data(), out.bytes.size()};
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(kMaxSockets * sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    ssize_t n = 0;
    do n = ::recvmsg(control.get(), &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0) return std::nullopt;
    const cmsghdr* head = CMSG_FIRSTHDR(&message);
    if (head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
        std::array<int, kMaxSockets> fds{};
        const std::size_t count =
            std::min((head->cmsg_len - CMSG_LEN(0)) / sizeof(int), fds.size());
        std::memcpy(fds.data(), CMSG_DATA(head), count * sizeof(int));
        for (std::size_t i = 0; i < count; ++i) out.sockets.emplace_back(fds[i]);
    }
    out.bytes.resize(static_cast<std::size_t>(n));
    return out;
}

// Which files the resolver goes by, if it is asked at all. Landlock holds on to them, not to their
// names.
std::vector<std::uint64_t> name_files(const DialTarget& target) {
    std::vector<std::uint64_t> out;
    if (is_address(target.host)) return out;
    for (const char* path : {"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"}) {
        struct stat facts {};
        if (::stat(path, &facts) != 0) facts = {};
        out.insert(out.end(), {facts.st_dev, facts.st_ino});
    }
    return out;
}

}  // namespace

bool SocketDialer::send(const DialRequest& request) {
    return send_words(control_, encode(request));
}

Result<std::optional<SocketDialer::Received>> SocketDialer::receive(BootTime until, int wake) {
    const Error gone{ErrorCode::exhausted, "the recorder's dialer ended"};
    while (true) {
        std::array<pollfd, 2> fds{pollfd{control_.get(), POLLIN, 0}, pollfd{wake, POLLIN, 0}};
        const auto left = std::max<std::int64_t>(0, (until - clock_.boot()).count() / 1000);
        const int ready = ::poll(fds.data(), wake < 0 ? 1 : 2, static_cast<int>(left));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0 || fds[0].revents == 0) return std::optional<Received>();
        auto packet = receive_packet(control_);
        if (!packet) return gone;
        auto reply = decode_dial_reply(packet->bytes);
        if (!reply) return gone;  // Whatever that is, it is no dialer of ours.
        return std::optional(Received{*std::move(reply), std::move(packet->sockets)});
    }
}

Result<Wall> SocketDialer::aim(const DialTarget& target, BootTime deadline) {
    if (!send(Aim{target})) return Error{ErrorCode::exhausted, "the recorder's dialer ended"};
    HD_ASSIGN(const auto received, receive(deadline, -1));
    const auto* aimed = received ? std::get_if<Aimed>(&received->reply) : nullptr;
    if (aimed == nullptr) return Error{ErrorCode::exhausted, "the recorder's dialer says nothing"};
    return Wall{"dialer", aimed->walls, aimed->words};
}

void SocketDialer::never_mind(BootTime now) {
    const auto answers = [this](const Received& r) {
        const auto* dialled = std::get_if<Dialled>(&r.reply);
        return dialled != nullptr && dialled->number == number_;
    };
    if (!send(NeverMind{})) return;
    while (true) {
        const auto received = receive(now + kLastWords, -1);
        if (!received || !*received || answers(**received)) return;
    }
}

template <typename Reply>
Result<std::pair<Reply, std::vector<Fd>>> SocketDialer::answer(BootTime until, int wake) {
    while (true) {
        HD_ASSIGN(auto received, receive(until, wake));
        if (!received) {
            never_mind(clock_.boot());
            return Error{ErrorCode::unavailable, "camera's address: no answer in time"};
        }
        auto* reply = std::get_if<Reply>(&received->reply);
        // Of one that was given up on, with sockets that nobody needs any more.
        if (reply == nullptr || reply->number != number_) continue;
        return std::pair(std::move(*reply), std::move(received->sockets));
    }
}

Result<Fd> SocketDialer::dial(BootTime deadline, int wake) {
    const Micros patience = std::clamp(deadline - clock_.boot(), Micros(0),
                                       Micros(std::int64_t{kMaxDialPatienceMs} * 1000));
    const Dial request{++number_, static_cast<std::uint32_t>(patience.count() / 1000)};
    if (!send(request)) return Error{ErrorCode::exhausted, "the recorder's dialer ended"};
    HD_ASSIGN(auto answered, answer<Dialled>(deadline + kGrace, wake));
    auto& [dialled, sockets] = answered;
    if (dialled.connected && sockets.size() == 1) return std::move(sockets[0]);
    return Error{ErrorCode::unavailable, dialled.words};
}

Result<std::uint16_t> SocketDialer::reserve_ports(int wake) {
    if (!send(Reserve{++number_}))
        return Error{ErrorCode::exhausted, "the recorder's dialer ended"};
    HD_ASSIGN(const auto answered, answer<Reserved>(clock_.boot() + kPortsPatience, wake));
    if (answered.first.port != 0) return answered.first.port;
    return Error{ErrorCode::unavailable, answered.first.words};
}

Result<PortPair> SocketDialer::join_ports(std::uint16_t port, CameraPorts camera, int wake) {
    if (!send(Join{++number_, port, camera}))
        return Error{ErrorCode::exhausted, "the recorder's dialer ended"};
    HD_ASSIGN(auto answered, answer<Dialled>(clock_.boot() + kPortsPatience, wake));
    auto& [dialled, sockets] = answered;
    if (dialled.connected && sockets.size() == 2)
        return PortPair{std::move(sockets[0]), std::move(sockets[1])};
    return Error{ErrorCode::unavailable, dialled.words};
}

namespace {

// The dialer's side. Each function: false if this dialer shall end.
class Served {
  public:
    Served(const Fd& control, Clock& clock, const std::function<Wall(const DialTarget&)>& confine)
        : control_(control), clock_(clock), confine_(confine) {}

    bool operator()(const NeverMind&) { return true; }

    bool operator()(const Aim& aim) {
        if (target_) return false;  // Once: who aims again is not the recorder that we knew.
        target_ = aim.target;
        files_ = name_files(*target_);
        const Wall wall = confine_(*target_);
        return send_words(control_, encode(Aimed{wall.state, wall.detail}));
    }

    bool operator()(const Dial& dial) {
        if (!target_ || name_files(*target_) != files_) return false;
        const BootTime deadline = clock_.boot() + std::chrono::milliseconds(dial.patience_ms);
        // The next packet, or the recorder's end, ends the wait.
        auto connection = connect_to(*target_, clock_, deadline, control_.get());
        if (!connection)
            return send_words(control_,
                              encode(Dialled{dial.number, false, connection.error().what}));
        if (target_->udp) ports_.begin(*connection);
        return send_with_sockets(control_, encode(Dialled{dial.number, true, ""}),
                                 std::array{connection->get()});
    }

    bool operator()(const Reserve& reserve) {
        if (!target_ || !target_->udp) return false;
        const auto port = ports_.reserve();
        return send_words(control_, encode(port ? Reserved{reserve.number, *port, ""}
                                                : Reserved{reserve.number, 0, port.error().what}));
    }

    bool operator()(const Join& join) {
        if (!target_ || !target_->udp) return false;
        const auto pair = ports_.join(join.port, join.camera);
        if (!pair)
            return send_words(control_, encode(Dialled{join.number, false, pair.error().what}));
        return send_with_sockets(control_, encode(Dialled{join.number, true, ""}),
                                 std::array{pair->rtp.get(), pair->rtcp.get()});
    }

  private:
    const Fd& control_;
    Clock& clock_;
    const std::function<Wall(const DialTarget&)>& confine_;
    std::optional<DialTarget> target_;
    std::vector<std::uint64_t> files_;
    UdpPorts ports_;
};

}  // namespace

void serve_dials(const Fd& control, Clock& clock,
                 const std::function<Wall(const DialTarget&)>& confine) {
    Served served(control, clock, confine);
    while (const auto packet = receive_packet(control)) {
        const auto request = decode_dial_request(packet->bytes);
        if (!request || !std::visit(served, *request)) return;
    }
}

}  // namespace hd::ingest
