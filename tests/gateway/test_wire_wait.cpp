// The wait over many sockets trusts a descriptor that tells each message once only: nothing that
// waits may be slept over. A forgotten message would come with the next one, or after the whole
// wait.
#include <doctest/doctest.h>

#include "tests/gateway/wire_fixture.hpp"

using namespace hd;
using namespace hd::wire;
using namespace std::chrono_literals;
using hd::test::WireFixture;

namespace {

constexpr int kLongMs = 20'000;  // no test that works waits so long
constexpr Micros kSoon = 10s;

// Each send takes in what has come for the socket, and with it the descriptor's signal.
void let_come_in(WireFixture& f) {
    const Peer peer = f.seen.front().peer;
    const BootTime until = system_clock().boot() + 200ms;
    while (system_clock().boot() < until) f.server->reply(peer, encode_reply("1", "{}"));
}

}  // namespace

TEST_SUITE("gateway/wire/wait") {
    TEST_CASE("a message that came in unnoticed while a reply was sent ends the next wait") {
        WireFixture f;
        f.open_ipc();
        f.answering = false;
        Client first = f.client(nullptr, f.ipc);
        REQUIRE(first.send("hello", "1", "{}").ok());
        while (f.seen.empty()) f.step();
        Client second = f.client(nullptr, f.ipc);
        REQUIRE(second.send("hello", "2", "{}").ok());
        while (f.seen.size() < 2) f.step();  // it is connected: what it sends now comes at once
        REQUIRE(second.send("hello", "3", "{}").ok());
        let_come_in(f);
        const BootTime begin = system_clock().boot();
        f.step(kLongMs);
        CHECK(f.seen.size() == 3);
        CHECK(system_clock().boot() - begin < kSoon);
    }

    TEST_CASE("what one step leaves of a flood is served by the next ones without a wait") {
        WireFixture f;
        f.open_ipc();
        f.answering = false;
        // A step takes 64 messages. So many clients that no high-water mark holds one back.
        constexpr std::size_t kClients = 10, kEach = 12, kSent = kClients * (kEach + 1);
        std::vector<Client> clients;
        for (std::size_t i = 0; i < kClients; ++i) {
            clients.push_back(f.client(nullptr, f.ipc));
            REQUIRE(clients.back().send("hello", "0", "{}").ok());
            while (f.seen.size() <= i) f.step();
        }
        for (Client& client : clients)
            for (std::size_t k = 0; k < kEach; ++k) REQUIRE(client.send("hello", "1", "{}").ok());
        let_come_in(f);
        const BootTime begin = system_clock().boot();
        while (f.seen.size() < kSent && system_clock().boot() - begin < kSoon) f.step(kLongMs);
        CHECK(f.seen.size() == kSent);
        CHECK(system_clock().boot() - begin < kSoon);
    }

    TEST_CASE("a wake that came before the wait ends it, and a server without work does not spin") {
        WireFixture f;
        f.open_ipc();
        f.server->wake();
        const BootTime begin = system_clock().boot();
        f.step(kLongMs);
        CHECK(system_clock().boot() - begin < kSoon);
        // The self-test's sockets may still say goodbye a few times.
        const BootTime end = system_clock().boot() + 300ms;
        int steps = 0;
        for (; system_clock().boot() < end; ++steps) f.step(50);
        CHECK(steps < 60);
    }
}
