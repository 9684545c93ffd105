#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipelines/link/link_socket.hpp"
#include "tests/pipelines/media_tools.hpp"

using namespace hd;
using namespace hd::link;

namespace {

struct Pair {
    hd::test::TempFolder folder;
    LinkListener listener;
    LinkChannel recorder, daemon;

    Pair()
        : listener(*LinkListener::bind({.path = folder / "link.sock", .allowed_users = {}})),
          recorder(*LinkChannel::connect(folder / "link.sock")),
          daemon(std::move(**listener.accept())) {}
};

}  // namespace

TEST_SUITE_BEGIN("pipelines/link/socket");

TEST_CASE("packets go both ways whole and in order, and nothing waits when there is nothing") {
    Pair p;
    CHECK(p.recorder.send(Hello{.pid = 1}) == LinkChannel::Sent::yes);
    CHECK(p.recorder.send(Farewell{"bye"}) == LinkChannel::Sent::yes);
    auto first = p.daemon.receive();
    REQUIRE(first.ok());
    CHECK(std::holds_alternative<Hello>(**first));
    auto second = p.daemon.receive();
    REQUIRE(second.ok());
    CHECK(std::get<Farewell>(**second).why == "bye");
    auto third = p.daemon.receive();
    REQUIRE(third.ok());
    CHECK_FALSE(third->has_value());
    CHECK(p.daemon.send(Stop{"x"}) == LinkChannel::Sent::yes);
    auto stop = p.recorder.receive();
    REQUIRE(stop.ok());
    CHECK(std::get<Stop>(**stop).why == "x");
}

TEST_CASE("sending to a reader that never reads drops and counts, and never blocks") {
    Pair p;
    const Farewell big{std::string(2000, 'x')};
    bool dropped = false;
    for (int i = 0; i < 5000 && !dropped; ++i)
        dropped = p.recorder.send(big) == LinkChannel::Sent::dropped;
    CHECK(dropped);
    CHECK(p.recorder.dropped() == 1);
    // Room again: the connection goes on.
    while (true) {
        auto got = p.daemon.receive();
        REQUIRE(got.ok());
        if (!*got) break;
    }
    CHECK(p.recorder.send(big) == LinkChannel::Sent::yes);
}

TEST_CASE("both ends notice when the other is gone") {
    Pair p;
    { const LinkChannel gone = std::move(p.daemon); }
    auto received = p.recorder.receive();
    REQUIRE_FALSE(received.ok());
    CHECK(received.error().code == ErrorCode::unavailable);
    CHECK(p.recorder.send(Farewell{""}) == LinkChannel::Sent::closed);
}

TEST_CASE("the largest settings fit into one packet") {
    Pair p;
    RecorderSettings s;
    s.url = s.user = s.password = s.name = s.data_folder = std::string(4096, 'x');
    s.recipients.resize(32);
    CHECK(p.daemon.send(NewSettings{s}) == LinkChannel::Sent::yes);
    auto got = p.recorder.receive();
    REQUIRE(got.ok());
    CHECK(std::get<NewSettings>(**got).settings.recipients.size() == 32);
}

TEST_CASE("a stranger's packet is an error of its own kind and the channel goes on") {
    Pair p;
    REQUIRE(::send(p.recorder.fd(), "rubbish", 7, 0) == 7);
    auto got = p.daemon.receive();
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().code == ErrorCode::corrupt);
    CHECK(p.recorder.send(Farewell{"x"}) == LinkChannel::Sent::yes);
    CHECK(p.daemon.receive().ok());
}

TEST_CASE("the kernel says who is at the other end, and other users are turned away") {
    Pair p;
    auto peer = p.daemon.peer();
    REQUIRE(peer.ok());
    CHECK(peer->pid == ::getpid());
    CHECK(peer->uid == ::geteuid());
    const hd::test::TempFolder folder;
    auto strict = LinkListener::bind({.path = folder / "s", .allowed_users = {::geteuid() + 1}});
    REQUIRE(strict.ok());
    auto channel = LinkChannel::connect(folder / "s");
    REQUIRE(channel.ok());
    auto accepted = strict->accept();
    REQUIRE_FALSE(accepted.ok());
    CHECK(accepted.error().code == ErrorCode::refused);
}

TEST_CASE("a path that does not fit a socket address is refused with the limit") {
    const auto refused = LinkChannel::connect("/" + std::string(120, 'x'));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().what.find("107") != std::string::npos);
}

TEST_CASE("a stale socket is replaced, a file of another kind is not, and the end removes it") {
    const hd::test::TempFolder folder;
    const std::string path = folder / "link.sock";
    {
        auto first = LinkListener::bind({.path = path, .allowed_users = {}});
        REQUIRE(first.ok());
        auto second = LinkListener::bind({.path = path, .allowed_users = {}});
        REQUIRE(second.ok());
        CHECK(LinkChannel::connect(path).ok());
    }
    struct stat st {};
    CHECK(::stat(path.c_str(), &st) != 0);
    hd::test::write_bytes(path, as_bytes("x"));
    CHECK_FALSE(LinkListener::bind({.path = path, .allowed_users = {}}).ok());
}

TEST_CASE("without a daemon connecting fails at once") {
    const hd::test::TempFolder folder;
    CHECK_FALSE(LinkChannel::connect(folder / "nobody.sock").ok());
}

TEST_SUITE_END();
