#include <doctest/doctest.h>
#include <zmq.h>

#include "tests/gateway/wire_fixture.hpp"

using namespace hd;
using namespace hd::wire;
using hd::test::WireFixture;

TEST_SUITE("gateway/wire/access") {
    TEST_CASE("the self-test passes, and each way of failing open or shut makes it fail") {
        using testing::ZapFault;
        const auto passes = testing::self_test_with(ZapFault::none);
        REQUIRE_MESSAGE(passes.ok(), (passes ? "" : passes.error().what));
        const auto what = [](ZapFault fault) {
            const auto result = testing::self_test_with(fault);
            REQUIRE(!result);
            return result.error().what;
        };
        CHECK(what(ZapFault::lets_everybody_in).find("unknown key") != std::string::npos);
        CHECK(what(ZapFault::wrong_user).find("somebody else") != std::string::npos);
        CHECK(what(ZapFault::not_enforced).find("no handler") != std::string::npos);
        CHECK(what(ZapFault::lets_nobody_in).find("not let in") != std::string::npos);
        CHECK(what(ZapFault::not_bound).find("not let in") != std::string::npos);
    }

    TEST_CASE("a known key comes in under its own name") {
        WireFixture f;
        f.open({});
        REQUIRE(f.server->add_endpoint(f.tcp_endpoint()).ok());
        Client alice = f.client(&f.alice, f.tcp), bob = f.client(&f.bob, f.tcp);
        const auto a = f.ask(alice, "hello"), b = f.ask(bob, "hello");
        REQUIRE(a);
        REQUIRE(b);
        CHECK(a->json == R"({"role":"owner","user":"alice"})");
        CHECK(b->json == R"({"role":"owner","user":"bob"})");
    }

    TEST_CASE(
        "unknown key, wrong server key, NULL and PLAIN clients get silence, and others go on") {
        WireFixture f;
        std::vector<EndpointSettings> endpoints;
        endpoints.push_back(f.tcp_endpoint());
        endpoints.push_back(f.ipc_endpoint());
        f.open(std::move(endpoints));
        Client stranger = f.client(&f.stranger, f.tcp);
        ClientSettings wrong;
        wrong.address = f.tcp;
        wrong.key = f.alice.clone();
        wrong.server_key = f.bob.public_key;
        auto mistaken = Client::open(std::move(wrong));
        REQUIRE(mistaken.ok());
        void* context = zmq_ctx_new();
        void* null_client = zmq_socket(context, ZMQ_DEALER);
        void* plain_client = zmq_socket(context, ZMQ_DEALER);
        const int zero = 0;
        zmq_setsockopt(null_client, ZMQ_LINGER, &zero, sizeof zero);
        zmq_setsockopt(plain_client, ZMQ_LINGER, &zero, sizeof zero);
        zmq_setsockopt(plain_client, ZMQ_PLAIN_USERNAME, "owner", 5);
        zmq_setsockopt(plain_client, ZMQ_PLAIN_PASSWORD, "owner", 5);
        REQUIRE(zmq_connect(null_client, f.tcp.c_str()) == 0);
        REQUIRE(zmq_connect(plain_client, f.tcp.c_str()) == 0);
        for (void* s : {null_client, plain_client}) {
            zmq_send(s, "HD1", 3, ZMQ_SNDMORE);
            zmq_send(s, "hello", 5, ZMQ_SNDMORE);
            zmq_send(s, "1", 1, ZMQ_SNDMORE);
            zmq_send(s, "{}", 2, 0);
        }
        REQUIRE(stranger.send("hello", "1", "{}").ok());
        f.step_for(300);
        const auto said = stranger.receive(Micros(0));
        REQUIRE(!said);
        CHECK(said.error().what.find("does not know our key") != std::string::npos);
        CHECK(!f.ask(*mistaken, "hello", 300));
        CHECK(f.seen.empty());
        CHECK(f.server->counters().refused_handshakes >= 1);
        Client alice = f.client(&f.alice, f.tcp), local = f.client(nullptr, f.ipc);
        CHECK(f.ask(alice, "hello").has_value());
        const auto reply = f.ask(local, "hello");
        REQUIRE(reply);
        CHECK(reply->json == R"({"role":"dashboard","user":"local"})");
        zmq_close(null_client);
        zmq_close(plain_client);
        zmq_ctx_term(context);
    }

    TEST_CASE("a routing id of \"owner\" gives no role: served as what it is, or not at all") {
        WireFixture f;
        std::vector<EndpointSettings> endpoints;
        endpoints.push_back(f.tcp_endpoint());
        endpoints.push_back(f.ipc_endpoint());
        f.open(std::move(endpoints));
        const auto spoof = [&](Client& client, const std::string& address) {
            REQUIRE(zmq_disconnect(client.zmq_socket(), address.c_str()) == 0);
            REQUIRE(zmq_setsockopt(client.zmq_socket(), ZMQ_ROUTING_ID, "owner", 5) == 0);
            REQUIRE(zmq_connect(client.zmq_socket(), address.c_str()) == 0);
        };
        Client local = f.client(nullptr, f.ipc);
        spoof(local, f.ipc);
        const auto reply = f.ask(local, "hello");
        REQUIRE(reply);
        CHECK(reply->json == R"({"role":"dashboard","user":"local"})");
        CHECK(f.seen.back().peer.routing_id == Bytes{'o', 'w', 'n', 'e', 'r'});
        // Over the network a chosen id could take over somebody's replies: told so, not served.
        Client bob = f.client(&f.bob, f.tcp);
        spoof(bob, f.tcp);
        const auto refusal = f.ask(bob, "hello");
        REQUIRE(refusal);
        REQUIRE(refusal->error);
        CHECK(refusal->error_field == "routing_id");
        CHECK(f.server->counters().dropped_chosen_id == 1);
        CHECK(f.seen.size() == 1);
    }

    TEST_CASE("a revoked key stops getting answers and events; others come back by themselves") {
        WireFixture f;
        EndpointSettings events = f.tcp_endpoint();
        events.name = "events-tcp";
        events.role = Role::dashboard;
        events.kind = SocketKind::pub;
        events.address = hd::test::free_tcp_address();
        const std::string events_address = events.address;
        std::vector<EndpointSettings> endpoints;
        endpoints.push_back(f.tcp_endpoint());
        endpoints.push_back(std::move(events));
        f.open(std::move(endpoints));
        const auto subscribe = [&](const CurveKey& key) {
            ClientSettings s;
            s.address = events_address;
            s.key = key.clone();
            s.server_key = f.server_key.public_key;
            auto sub = Subscriber::open(std::move(s), {});
            REQUIRE(sub.ok());
            return std::move(*sub);
        };
        Client alice = f.client(&f.alice, f.tcp), bob = f.client(&f.bob, f.tcp);
        Subscriber alice_hears = subscribe(f.alice), bob_hears = subscribe(f.bob);
        const Frames event{{'g', 'a', 'p'}, {'{', '}'}};
        const auto hears = [&](Subscriber& who, int tries) {
            for (int i = 0; i < tries; ++i) {
                f.server->publish("events-tcp", event);
                f.step(5);
                const auto got = who.next(Micros(0));
                REQUIRE(got.ok());
                if (*got) return true;
            }
            return false;
        };
        CHECK(f.ask(alice, "hello").has_value());
        CHECK(f.ask(bob, "hello").has_value());
        CHECK(hears(alice_hears, 400));
        CHECK(hears(bob_hears, 400));

        for (const char* name : {"owner-tcp", "events-tcp"}) {
            const auto done = f.server->set_allowed(name, {{f.alice.public_key, "alice"}});
            REQUIRE_MESSAGE(done.ok(), (done ? "" : done.error().what));
        }
        CHECK(f.server->counters().reopened == 2);
        while (*bob_hears.next(Micros(0))) {
        }  // what had been sent before
        f.seen.clear();
        REQUIRE(bob.send("hello", "1", "{}").ok());
        f.step_for(500);
        CHECK(bob.receive(Micros(0)).error().code == ErrorCode::refused);
        CHECK(f.seen.empty());
        CHECK(!hears(bob_hears, 60));
        CHECK(f.ask(alice, "hello", 5000).has_value());
        CHECK(hears(alice_hears, 600));
        // The same list again closes nothing; a new key is let in without disturbing anybody.
        REQUIRE(f.server->set_allowed("owner-tcp", {{f.alice.public_key, "alice"}}).ok());
        REQUIRE(f.server
                    ->set_allowed("owner-tcp",
                                  {{f.alice.public_key, "alice"}, {f.bob.public_key, "bob"}})
                    .ok());
        CHECK(f.server->counters().reopened == 2);
        // libzmq gives a refused connection up for good; its program must make a new one.
        CHECK(bob.send("hello", "1", "{}").error().code == ErrorCode::refused);
        Client bob_again = f.client(&f.bob, f.tcp);
        CHECK(f.ask(bob_again, "hello", 5000).has_value());
    }

    TEST_CASE("an ipc endpoint that is closed and opened again keeps its file") {
        WireFixture f;
        std::vector<EndpointSettings> endpoints;
        endpoints.push_back(f.ipc_endpoint());
        f.open(std::move(endpoints));
        Client local = f.client(nullptr, f.ipc);
        CHECK(f.ask(local, "hello").has_value());
        const auto mode = std::filesystem::status(f.folder.file("dashboard.sock")).permissions();
        CHECK((mode & std::filesystem::perms::mask) ==
              (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
        REQUIRE(f.server->remove_endpoint("dashboard").ok());
        CHECK(!f.server->has_endpoint("dashboard"));
        CHECK(!f.server->remove_endpoint("dashboard").ok());
    }

    TEST_CASE("settings that would open a door by mistake are refused") {
        WireFixture f;
        const auto refused = [&](auto change) {
            EndpointSettings s = f.tcp_endpoint();
            change(s);
            std::vector<EndpointSettings> one;
            one.push_back(std::move(s));
            const auto opened = Server::open(std::move(one));
            return !opened && opened.error().code == ErrorCode::invalid;
        };
        CHECK(refused([](auto& s) { s.key.reset(); }));
        CHECK(refused([](auto& s) { s.address = "udp://127.0.0.1:7600"; }));
        CHECK(refused([](auto& s) { s.address = "ipc:///tmp/x.sock"; }));
        CHECK(refused([](auto& s) { s.name = ""; }));
        CHECK(refused([](auto& s) { s.send_hwm = 0; }));
        CHECK(refused([](auto& s) { s.allowed[0].user = "a:b"; }));
        CHECK(refused([](auto& s) { s.allowed[1].key = s.allowed[0].key; }));
        CHECK(refused([](auto& s) {
            s.key.reset();
            s.allowed.clear();
            s.address = "ipc:///" + std::string(108, 'x');
        }));
    }
}
