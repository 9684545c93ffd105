#include "pipelines/ingest/dial_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace hd::ingest {
namespace {

// The dialer keeps the time itself; what is later than this it lost in the resolver.
constexpr Micros kGrace = std::chrono::milliseconds(250);
// For the answer to "never mind", so that no connection is left with nobody to use it.
constexpr Micros kLastWords = std::chrono::milliseconds(100);

bool send_packet(const Fd& control, const Bytes& packet, int connection = -1) {
    iovec bytes{const_cast<std::uint8_t*>(packet.data()), packet.size()};
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    if (connection >= 0) {
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        cmsghdr* head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(head), &connection, sizeof connection);
    }
    ssize_t n = 0;
    do n = ::sendmsg(control.get(), &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == static_cast<ssize_t>(packet.size());
}

struct Packet {
    Bytes bytes;
    Fd connection;
};

// Nothing: the other end is gone. Blocks if there is no packet.
std::optional<Packet> receive_packet(const Fd& control) {
    Packet out{Bytes(kMaxDialMessage + 1), {}};
    iovec bytes{out.bytes.data(), out.bytes.size()};
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(int))> space{};
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
    if (head != nullptr && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof(int))) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
        out.connection = Fd(fd);
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
    return send_packet(control_, encode(request));
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
        return std::optional(Received{*std::move(reply), std::move(packet->connection)});
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

Result<Fd> SocketDialer::dial(BootTime deadline, int wake) {
    const Micros patience = std::clamp(deadline - clock_.boot(), Micros(0),
                                       Micros(std::int64_t{kMaxDialPatienceMs} * 1000));
    const Dial request{++number_, static_cast<std::uint32_t>(patience.count() / 1000)};
    if (!send(request)) return Error{ErrorCode::exhausted, "the recorder's dialer ended"};
    while (true) {
        HD_ASSIGN(auto received, receive(deadline + kGrace, wake));
        if (!received) {
            never_mind(clock_.boot());
            return Error{ErrorCode::unavailable, "camera's address: no answer in time"};
        }
        const auto* dialled = std::get_if<Dialled>(&received->reply);
        // Of one that was given up on, with a connection that nobody needs any more.
        if (dialled == nullptr || dialled->number != number_) continue;
        if (dialled->connected && received->connection) return std::move(received->connection);
        return Error{ErrorCode::unavailable, dialled->words};
    }
}

void serve_dials(const Fd& control, Clock& clock,
                 const std::function<Wall(const DialTarget&)>& confine) {
    std::optional<DialTarget> target;
    std::vector<std::uint64_t> files;
    while (const auto packet = receive_packet(control)) {
        const auto request = decode_dial_request(packet->bytes);
        if (!request) return;
        const auto* aim = std::get_if<Aim>(&*request);
        if (aim != nullptr) {
            if (target) return;  // Once: who aims again is not the recorder that we knew.
            target = aim->target;
            files = name_files(*target);
            const Wall wall = confine(*target);
            if (!send_packet(control, encode(Aimed{wall.state, wall.detail}))) return;
        }
        const auto* dial = std::get_if<Dial>(&*request);
        if (dial == nullptr) continue;
        if (!target || name_files(*target) != files) return;
        const BootTime deadline = clock.boot() + std::chrono::milliseconds(dial->patience_ms);
        // The next packet, or the recorder's end, ends the wait.
        auto connection = connect_to(*target, clock, deadline, control.get());
        const Dialled reply{dial->number, connection.ok(),
                            connection.ok() ? "" : connection.error().what};
        if (!send_packet(control, encode(reply), connection.ok() ? connection->get() : -1)) return;
    }
}

}  // namespace hd::ingest
