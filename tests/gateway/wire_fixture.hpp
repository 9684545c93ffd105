// A Server with its keys, and a way to step it while a client talks, on one thread.
#pragma once

#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include "gateway/wire/client.hpp"
#include "gateway/wire/server.hpp"
#include "index/base/clock.hpp"
#include "index/base/encoding.hpp"
#include "index/base/log.hpp"

namespace hd::test {

class TempFolder {
  public:
    TempFolder() {
        path_ = std::filesystem::temp_directory_path() /
                ("hd-wire-" + to_hex(ByteView(random_id_bytes()).first(6)));
        std::filesystem::create_directory(path_);
        std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    std::string file(const std::string& name) const { return (path_ / name).string(); }

  private:
    std::filesystem::path path_;
};

// A port that was free a moment ago, from this test's own range.
inline std::string free_tcp_address() {
    static int next = 7600 + static_cast<int>(random_id_bytes()[0] % 40);
    return "tcp://127.0.0.1:" + std::to_string(next++);
}

struct WireFixture {
    TempFolder folder;
    wire::CurveKey server_key = wire::CurveKey::generate();
    wire::CurveKey alice = wire::CurveKey::generate();
    wire::CurveKey bob = wire::CurveKey::generate();
    wire::CurveKey stranger = wire::CurveKey::generate();
    std::string tcp = free_tcp_address();
    std::string ipc = "ipc://" + folder.file("dashboard.sock");
    std::unique_ptr<wire::Server> server;
    std::vector<wire::Incoming> seen;
    bool answering = true;

    wire::EndpointSettings tcp_endpoint() {
        wire::EndpointSettings s;
        s.name = "owner-tcp";
        s.role = wire::Role::owner;
        s.address = tcp;
        s.key = server_key.clone();
        s.allowed = {{alice.public_key, "alice"}, {bob.public_key, "bob"}};
        return s;
    }
    wire::EndpointSettings ipc_endpoint() {
        wire::EndpointSettings s;
        s.name = "dashboard";
        s.role = wire::Role::dashboard;
        s.address = ipc;
        return s;
    }
    WireFixture() { log::set_level(log::Level::warn); }
    void open(std::vector<wire::EndpointSettings> endpoints) {
        auto opened = wire::Server::open(std::move(endpoints));
        REQUIRE_MESSAGE(opened.ok(), (opened ? "" : opened.error().what));
        server = std::move(*opened);
    }
    void open_ipc() {
        std::vector<wire::EndpointSettings> endpoints;
        endpoints.push_back(ipc_endpoint());
        open(std::move(endpoints));
    }
    wire::Client client(const wire::CurveKey* key, const std::string& address) {
        wire::ClientSettings settings;
        settings.address = address;
        if (key != nullptr) {
            settings.key = key->clone();
            settings.server_key = server_key.public_key;
        }
        auto opened = wire::Client::open(std::move(settings));
        REQUIRE(opened.ok());
        return std::move(*opened);
    }

    // Answers {"role":...,"user":...} to whatever is a request, an error to what is not.
    void step(int ms = 5) {
        const auto done = server->step(std::chrono::milliseconds(ms), [&](wire::Incoming&& in) {
            seen.push_back(in);
            if (!answering) return;
            std::string correlation;
            const auto request = wire::decode_request(in.frames, wire::kOwnerLimits, correlation);
            if (!request) {
                server->reply(in.peer, wire::encode_error(correlation, request.error()));
                return;
            }
            wire::JsonWriter out;
            out.begin_object().field("role", to_string(in.role)).field("user", in.user);
            out.end_object();
            server->reply(in.peer, wire::encode_reply(correlation, out.text()));
        });
        REQUIRE(done.ok());
    }
    void step_for(int ms) {
        const BootTime end = system_clock().boot() + std::chrono::milliseconds(ms);
        while (system_clock().boot() < end) step(5);
    }
    // The answer, or nothing within the time.
    std::optional<wire::Reply> wait_reply(wire::Client& from, int ms = 3000) {
        const BootTime end = system_clock().boot() + std::chrono::milliseconds(ms);
        while (system_clock().boot() < end) {
            step(2);
            auto reply = from.receive(Micros(0));
            REQUIRE(reply.ok());
            if (*reply) return std::move(**reply);
        }
        return std::nullopt;
    }
    std::optional<wire::Reply> ask(wire::Client& from, std::string_view verb, int ms = 3000) {
        REQUIRE(from.send(verb, "1", "{}").ok());
        return wait_reply(from, ms);
    }
};

}  // namespace hd::test
