// The gate between real sockets: a made-up hub on gate.sock, requesters on tcp.
#include <cstdlib>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gateway/gate/gate.hpp"
#include "tests/gateway/wire_fixture.hpp"

using namespace hd;
using namespace hd::wire;
using hd::test::WireFixture;

namespace {

const std::string kAliceUser(32, 'a');
const std::string kBobUser(32, 'b');

// A hub that answers gate verbs, and a gate in front of it, stepped in turn.
struct GateFixture : WireFixture {
    std::string gate_sock = "ipc://" + folder.file("gate.sock");
    std::string listen = hd::test::free_tcp_address();
    std::int64_t number = 0;
    std::string requesters;  // JSON list
    bool hub_answers = true;
    int asks = 0;
    std::unique_ptr<gate::Gate> gate;

    GateFixture() {
        EndpointSettings s;
        s.name = "gate";
        s.role = Role::gate;
        s.address = gate_sock;
        s.limits = kGateLimits;
        std::vector<EndpointSettings> endpoints;
        endpoints.push_back(std::move(s));
        open(std::move(endpoints));
        gate::GateSettings settings;
        settings.hub = gate_sock;
        settings.listen = listen;
        settings.key = server_key.clone();
        settings.hub_lost = std::chrono::seconds(2);
        auto opened = gate::Gate::open(std::move(settings), system_clock());
        REQUIRE_MESSAGE(opened.ok(), (opened ? "" : opened.error().what));
        gate = std::move(*opened);
    }
    static std::string requester(const std::string& user, const CurveKey& key) {
        JsonWriter out;
        out.begin_object().field("user", user);
        out.field("curve_key", to_z85_text(key.public_key)).end_object();
        return out.text();
    }
    void rule(std::int64_t policy, const std::string& list) {
        number = policy;
        requesters = list;
    }
    void hub_step() {
        const auto answer = [&](Incoming&& in) {
            std::string c;
            const auto request = decode_request(in.frames, kGateLimits, c);
            REQUIRE(request.ok());
            if (!hub_answers) return;
            if (request->verb == "gate.policy") {
                std::string json = "{\"number\":" + std::to_string(number);
                if (request->body.int_or("known", -1) != number && number != 0)
                    json += ",\"requesters\":[" + requesters + "]";
                server->reply(in.peer, encode_reply(c, json + "}"));
            } else if (request->verb == "gate.ask") {
                ++asks;
                const std::string user = request->body.text_or("user", "");
                server->reply(in.peer, encode_reply(c, "{}", {Bytes(user.begin(), user.end())}));
            } else {
                server->reply(in.peer, encode_reply(c, R"({"released":false})"));
            }
        };
        REQUIRE(server->step(Micros(0), answer).ok());
    }
    Result<void> both(int ms) {
        const BootTime end = system_clock().boot() + std::chrono::milliseconds(ms);
        while (system_clock().boot() < end) {
            hub_step();
            HD_TRY(gate->step(system_clock().boot() + std::chrono::milliseconds(5)));
        }
        return {};
    }
    std::optional<Reply> ask_gate(Client& client, int ms = 4000) {
        // Refused keys are told so by libzmq; then there is nothing to wait for.
        if (!client.send("ask", "1", "{}", {{'n'}})) return std::nullopt;
        const BootTime end = system_clock().boot() + std::chrono::milliseconds(ms);
        while (system_clock().boot() < end) {
            REQUIRE(both(5).ok());
            auto reply = client.receive(Micros(0));
            if (!reply) return std::nullopt;
            if (*reply) return std::move(**reply);
        }
        return std::nullopt;
    }
};

int run_program(const std::string& arguments) {
    const std::string command = std::string(HALFDOOR_GATE) + " " + arguments + " >/dev/null 2>&1";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_SUITE("gateway/gate/loop") {
    TEST_CASE("nothing listens until a policy names a requester, nor after the last one is gone") {
        GateFixture f;
        REQUIRE(f.both(700).ok());
        CHECK(!f.gate->listening());
        f.rule(1, GateFixture::requester(kAliceUser, f.alice));
        REQUIRE(f.both(1200).ok());
        CHECK(f.gate->listening());
        f.rule(2, "");
        REQUIRE(f.both(1200).ok());
        CHECK(!f.gate->listening());
    }

    TEST_CASE("a requester is answered as who its key says; strangers and the revoked are not") {
        GateFixture f;
        f.rule(1, GateFixture::requester(kAliceUser, f.alice) + "," +
                      GateFixture::requester(kBobUser, f.bob));
        Client alice = f.client(&f.alice, f.listen), bob = f.client(&f.bob, f.listen);
        Client stranger = f.client(&f.stranger, f.listen);
        const auto to_alice = f.ask_gate(alice), to_bob = f.ask_gate(bob);
        REQUIRE(to_alice);
        REQUIRE(to_bob);
        CHECK(to_alice->binary.at(0).size() == gate::kPageBytes);
        CHECK(as_text(ByteView(to_alice->binary[0]).subspan(4, 32)) == kAliceUser);
        CHECK(as_text(ByteView(to_bob->binary[0]).subspan(4, 32)) == kBobUser);
        CHECK(!f.ask_gate(stranger, 600));
        CHECK(f.asks == 2);
        f.rule(2, GateFixture::requester(kAliceUser, f.alice));
        REQUIRE(f.both(1200).ok());
        CHECK(!f.ask_gate(bob, 600));
        CHECK(f.asks == 2);
        CHECK(f.ask_gate(alice).has_value());
    }

    TEST_CASE("without a hub the gate ends, and nothing listens any more") {
        GateFixture f;
        f.rule(1, GateFixture::requester(kAliceUser, f.alice));
        REQUIRE(f.both(1200).ok());
        f.hub_answers = false;
        const auto ended = f.both(4000);
        REQUIRE(!ended);
        CHECK(ended.error().code == ErrorCode::unavailable);
        CHECK(f.gate->hub_lost());
    }

    TEST_CASE("an address that is taken ends the gate") {
        GateFixture f;
        EndpointSettings taken = f.tcp_endpoint();
        taken.address = f.listen;
        REQUIRE(f.server->add_endpoint(std::move(taken)).ok());
        f.rule(1, GateFixture::requester(kAliceUser, f.alice));
        CHECK(!f.both(5000).ok());
        CHECK(!f.gate->hub_lost());
        CHECK(!f.gate->listening());
    }

    TEST_CASE("the program: help, wrong arguments, and keys that fail closed") {
        const hd::test::TempFolder folder;
        const std::string key = folder.file("requester.curve");
        REQUIRE(write_curve_key(key, CurveKey::generate()).ok());
        const std::string rest = " --listen " + hd::test::free_tcp_address() + " --hub ipc://" +
                                 folder.file("gate.sock");
        CHECK(run_program("--help") == 0);
        CHECK(run_program("--version") == 0);
        CHECK(run_program("") == 2);
        CHECK(run_program("--key-file " + key + rest + " --log-level loud") == 2);
        CHECK(run_program("--key-file " + folder.file("none") + rest) == 3);
        CHECK(run_program("--key-file " + key + " --listen ipc:///x --hub ipc:///y") == 3);
        CHECK(run_program("--key-file " + key + " --listen tcp://127.0.0.1:1 --hub tcp://y") == 3);
        REQUIRE(::chmod(key.c_str(), 0644) == 0);
        CHECK(run_program("--key-file " + key + rest) == 3);
        REQUIRE(::chmod(key.c_str(), 0600) == 0);
        // Asked to end: orderly. `timeout` sends SIGTERM and gives the program's own code back.
        const std::string command = "timeout --preserve-status -s TERM 1 " +
                                    std::string(HALFDOOR_GATE) + " --key-file " + key + rest +
                                    " >/dev/null 2>&1";
        CHECK(WEXITSTATUS(std::system(command.c_str())) == 0);
    }
}
