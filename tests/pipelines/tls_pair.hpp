// A hub's TLS stream and a camera's side at the two ends of a socket pair, moved in turns by one
// thread.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "pipelines/ingest/tls_stream.hpp"
#include "tests/pipelines/tls_tools.hpp"

namespace hd::test {

constexpr int kTlsTurns = 2000;

struct Ends {
    Fd client, server;
};
inline Ends make_ends() {
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
}

struct Meeting {
    std::string trust = "verify", host = "camera.test";
    int oldest = TLS1_2_VERSION, newest = TLS1_3_VERSION;
};

// A hub that meets a camera of that identity.
struct TlsPair {
    using Step = ingest::ByteStream::Step;

    explicit TlsPair(const Identity& identity, const Meeting& how = {})
        : camera(make_server(identity, how.oldest, how.newest)) {
        Ends ends = make_ends();
        auto made = ingest::make_tls_stream(std::move(ends.client), how.trust, how.host);
        REQUIRE(made.ok());
        hub = std::move(*made);
        fd = std::move(ends.server);
        ::SSL_set_fd(camera.tls.get(), fd.get());
        ::SSL_set_accept_state(camera.tls.get());
    }

    // The handshake: what came of it for the hub.
    Step shake() {
        bool accepted = false;
        for (int turn = 0; turn < kTlsTurns; ++turn) {
            ::ERR_clear_error();
            const Step opened = hub->open();
            if (opened == Step::lost || (opened == Step::done && accepted)) return opened;
            accepted = accepted || ::SSL_do_handshake(camera.tls.get()) == 1;
        }
        return Step::wait;
    }

    int say(std::string_view text) {
        return ::SSL_write(camera.tls.get(), text.data(), static_cast<int>(text.size()));
    }
    // What the hub hears until nothing more comes; `step` is the last.
    std::string hear(std::size_t room = 64 << 10) {
        std::string out;
        std::vector<std::uint8_t> space(room);
        for (int turn = 0; turn < kTlsTurns; ++turn) {
            const auto got = hub->receive(space);
            step = got.step;
            out += as_text(ByteView(space).first(got.size));
            if (step == Step::lost || (step == Step::wait && !hub->holds_bytes())) break;
        }
        return out;
    }
    // What the camera hears meanwhile.
    std::string camera_hears() {
        std::string out;
        std::array<char, 4096> space{};
        for (int n = 0; (n = ::SSL_read(camera.tls.get(), space.data(), space.size())) > 0;)
            out.append(space.data(), static_cast<std::size_t>(n));
        return out;
    }

    ServerSide camera;
    Fd fd;  // the camera's
    std::unique_ptr<ingest::ByteStream> hub;
    Step step = Step::wait;
};

}  // namespace hd::test
