#include <array>
#include <fstream>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipelines/ingest/dial_socket.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::ingest;

namespace {

sockaddr_in address(const char* host, std::uint16_t port = 0) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    ::inet_pton(AF_INET, host, &out.sin_addr);
    return out;
}

// A port of this machine where somebody listens.
class Listener {
  public:
    explicit Listener(const char* host, std::uint16_t port = 0, int backlog = 8)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in where = address(host, port);
        REQUIRE(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
        REQUIRE(::listen(fd_.get(), backlog) == 0);
        socklen_t size = sizeof where;
        ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&where), &size);
        port_ = ntohs(where.sin_port);
    }
    std::uint16_t port() const { return port_; }
    DialTarget target() const { return {"127.0.0.1", std::to_string(port_)}; }
    int accept() const { return ::accept(fd_.get(), nullptr, nullptr); }
    bool has_visitor() const {
        pollfd wait{fd_.get(), POLLIN, 0};
        return ::poll(&wait, 1, 0) == 1;
    }

  private:
    Fd fd_;
    std::uint16_t port_ = 0;
};

std::array<Fd, 2> pair_of_sockets() {
    int ends[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    return {Fd(ends[0]), Fd(ends[1])};
}

// A dialer on a thread, that gives nothing up.
class ServedDialer {
  public:
    ServedDialer() : ServedDialer(pair_of_sockets()) {}
    ~ServedDialer() {
        dialer.reset();
        served_.join();
    }
    // `wake` cannot be read.
    Result<Fd> dial(Micros patience) {
        return dialer->dial(system_clock().boot() + patience, never_.get());
    }
    bool aim(const DialTarget& target) {
        return dialer->aim(target, system_clock().boot() + std::chrono::seconds(20)).ok();
    }
    std::unique_ptr<SocketDialer> dialer;

  private:
    explicit ServedDialer(std::array<Fd, 2> ends)
        : dialer(std::make_unique<SocketDialer>(std::move(ends[0]), system_clock())),
          served_([control = std::move(ends[1])]() mutable {
              const Fd own = std::move(control);
              serve_dials(own, system_clock(), [](const DialTarget&) {
                  return Wall{"dialer", WallState::partial, "a thread of the test"};
              });
          }) {}
    const Fd never_{::eventfd(0, EFD_CLOEXEC)};
    std::thread served_;
};

constexpr Micros kLong = std::chrono::seconds(20);

}  // namespace

TEST_SUITE_BEGIN("pipelines/ingest/dialer");

TEST_CASE("a dialer hands over connections to where it was aimed, and says what became of it") {
    const Listener camera("127.0.0.1");
    ServedDialer served;
    const auto wall = served.dialer->aim(camera.target(), system_clock().boot() + kLong);
    REQUIRE(wall);
    CHECK(*wall == Wall{"dialer", WallState::partial, "a thread of the test"});
    for (int i = 0; i < 3; ++i) {
        auto connection = served.dial(kLong);
        REQUIRE(connection);
        const Fd seen(camera.accept());
        REQUIRE(::send(connection->get(), "hello", 5, 0) == 5);
        char text[8]{};
        CHECK(::recv(seen.get(), text, sizeof text, 0) == 5);
        CHECK((::fcntl(connection->get(), F_GETFL) & O_NONBLOCK) != 0);
        CHECK((::fcntl(connection->get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("a closed port and a name that nobody has are told apart") {
    std::uint16_t port = 0;
    {
        const Listener gone("127.0.0.1");
        port = gone.port();
    }
    ServedDialer closed;
    REQUIRE(closed.aim({"127.0.0.1", std::to_string(port)}));
    const auto refused = closed.dial(kLong);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().what == "connect: Connection refused");
    CHECK(refused.error().code == ErrorCode::unavailable);
    // Longer than a name can be: no name server is asked.
    ServedDialer nameless;
    REQUIRE(nameless.aim({std::string(80, 'x'), "554"}));
    const auto unknown = nameless.dial(kLong);
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().what.starts_with("camera's address: "));
    CHECK(unknown.error().code == ErrorCode::unavailable);
}

TEST_CASE("a camera that does not answer is waited for until the deadline, or until told to stop") {
    // A full queue: the kernel drops what else would connect.
    const Listener deaf("127.0.0.1", 0, 0);
    std::vector<Fd> crowd;
    const sockaddr_in where = address("127.0.0.1", deaf.port());
    for (int i = 0; i < 4; ++i) {
        crowd.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        static_cast<void>(
            ::connect(crowd.back().get(), reinterpret_cast<const sockaddr*>(&where), sizeof where));
    }
    ServedDialer served;
    REQUIRE(served.aim(deaf.target()));
    const auto late = served.dial(std::chrono::milliseconds(50));
    REQUIRE_FALSE(late);
    CHECK(late.error().code == ErrorCode::unavailable);

    const Fd wake(::eventfd(1, EFD_CLOEXEC));
    CHECK_FALSE(served.dialer->dial(system_clock().boot() + kLong, wake.get()));
    // The next one is not answered with what was meant for the last.
    const auto again = served.dial(std::chrono::milliseconds(50));
    REQUIRE_FALSE(again);
    CHECK(again.error().code == ErrorCode::unavailable);
}

TEST_CASE("a dialer that is aimed again, asked before it is aimed, or told nonsense ends") {
    const Listener first("127.0.0.1"), second("127.0.0.1");
    {
        ServedDialer served;
        REQUIRE(served.aim(first.target()));
        CHECK_FALSE(served.aim(second.target()));
        const auto after = served.dial(kLong);
        REQUIRE_FALSE(after);
        CHECK(after.error().code == ErrorCode::exhausted);
        CHECK_FALSE(second.has_visitor());
    }
    ServedDialer early;
    const auto before = early.dial(kLong);
    REQUIRE_FALSE(before);
    CHECK(before.error().code == ErrorCode::exhausted);

    auto ends = pair_of_sockets();
    REQUIRE(::send(ends[0].get(), "\x01\x09nonsense", 10, 0) == 10);
    serve_dials(ends[1], system_clock(), [](const DialTarget&) {
        FAIL("not to be aimed at that");
        return Wall{};
    });
}

TEST_CASE(
    "a dialer that is aimed for UDP hands over ports of the camera's host, another one ends") {
    const Listener camera("127.0.0.1");
    DialTarget target = camera.target();
    {
        ServedDialer served;
        REQUIRE(served.aim(target));
        REQUIRE(served.dial(kLong));
        const auto refused = served.dialer->reserve_ports(-1);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::exhausted);
    }
    target.udp = true;
    ServedDialer served;
    REQUIRE(served.aim(target));
    const auto early = served.dialer->reserve_ports(-1);
    REQUIRE_FALSE(early);
    CHECK(early.error().code == ErrorCode::unavailable);
    REQUIRE(served.dial(kLong));
    const auto port = served.dialer->reserve_ports(-1);
    REQUIRE(port);
    CHECK_FALSE(served.dialer->join_ports(static_cast<std::uint16_t>(*port + 2), {}, -1));
    const auto low = served.dialer->join_ports(*port, {53, 53}, -1);
    REQUIRE_FALSE(low);
    CHECK(low.error().what == "camera sends from a UDP port below 1024");
    const auto pair = served.dialer->join_ports(*port, {6970, 6971}, -1);
    REQUIRE(pair);
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    REQUIRE(::getpeername(pair->rtcp.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0);
    CHECK(peer.sin_addr.s_addr == address("127.0.0.1").sin_addr.s_addr);
    CHECK(ntohs(peer.sin_port) == 6971);
    CHECK((::fcntl(pair->rtp.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(pair->rtp.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a dialer that is gone, or that is none, is told of") {
    auto ends = pair_of_sockets();
    SocketDialer alone(std::move(ends[0]), system_clock());
    REQUIRE(::send(ends[1].get(), "what is this", 12, 0) == 12);
    const auto strange = alone.dial(system_clock().boot() + kLong, -1);
    REQUIRE_FALSE(strange);
    CHECK(strange.error().code == ErrorCode::exhausted);
    ends[1] = Fd();
    const auto gone = alone.dial(system_clock().boot() + kLong, -1);
    REQUIRE_FALSE(gone);
    CHECK(gone.error().code == ErrorCode::exhausted);
}

namespace {

void write_hosts(const std::string& path, const char* host) {
    std::ofstream(path) << host << " camera.test\n";
}

// In a process of its own, whose /etc/hosts is a file of the test. 77: not permitted here.
int follow_an_address(const std::string& hosts) {
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 77;
    write_hosts(hosts, "127.0.0.1");
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(hosts.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) != 0)
        return 77;
    const Listener here("127.0.0.1");
    const Listener there("127.0.0.2", here.port());
    ServedDialer served;
    if (!served.aim({"camera.test", std::to_string(here.port())})) return 1;
    if (!served.dial(kLong) || !here.has_visitor() || there.has_visitor()) return 2;
    write_hosts(hosts, "127.0.0.2");
    if (!served.dial(kLong) || !there.has_visitor()) return 3;
    // Another file by that name: the dialer may not read that one, the next dialer may.
    const std::string other = hosts + ".new";
    write_hosts(other, "127.0.0.1");
    if (::mount(other.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) != 0) return 4;
    const auto gone = served.dial(kLong);
    return !gone && gone.error().code == ErrorCode::exhausted ? 0 : 5;
}

}  // namespace

TEST_CASE("a camera whose name leads elsewhere from now on is followed") {
    const hd::test::TempFolder folder;
    const std::string hosts = folder.path("hosts");
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(follow_an_address(hosts));
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        MESSAGE("not tested: this system lets nobody have an /etc/hosts of its own");
    else
        CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("what recorder and dialer say comes back as it was said") {
    const std::array requests{DialRequest(Aim{{"door.lan", "554"}}),
                              DialRequest(Aim{{std::string(253, 'h'), "65535"}}),
                              DialRequest(Dial{0xfedcba98, 60'000}), DialRequest(NeverMind{})};
    for (const DialRequest& r : requests) CHECK(decode_dial_request(encode(r)) == r);
    const std::array udp{DialRequest(Aim{{"door.lan", "554", true}}), DialRequest(Reserve{7}),
                         DialRequest(Join{8, 50'000, {6970, 0}})};
    for (const DialRequest& r : udp) CHECK(decode_dial_request(encode(r)) == r);
    for (const DialReply& r : {DialReply(Reserved{7, 50'000, ""}),
                               DialReply(Reserved{7, 0, "no free pair of UDP ports"})})
        CHECK(decode_dial_reply(encode(r)) == r);
    const std::array replies{DialReply(Aimed{WallState::partial, "files: none"}),
                             DialReply(Dialled{7, true, ""}),
                             DialReply(Dialled{8, false, "connect: Connection refused"})};
    for (const DialReply& r : replies) CHECK(decode_dial_reply(encode(r)) == r);

    for (const auto& [host, port] :
         {std::pair{"", "554"}, std::pair{"a b", "554"}, std::pair{"door", "0"},
          std::pair{"door", "65536"}, std::pair{"door", "x"}, std::pair{"door", ""}})
        CHECK_FALSE(decode_dial_request(encode(DialRequest(Aim{{host, port}}))));
    CHECK_FALSE(decode_dial_request(encode(DialRequest(Dial{1, 60'001}))));
    const auto words = decode_dial_reply(encode(DialReply(Dialled{1, false, "a\nb\"c"})));
    REQUIRE(words);
    CHECK(std::get<Dialled>(*words).words == "a?b?c");
}

TEST_SUITE_END();
