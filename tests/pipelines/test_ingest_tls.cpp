// The TLS stream against a server's side at the other end of a socket pair: both in one thread, so
// that each step is where the test wants it and nothing waits for a clock.
#include <doctest/doctest.h>
#include <poll.h>

#include "tests/pipelines/tls_pair.hpp"

namespace hd::ingest {
namespace {

using journal::GapCause;
using test::Identity;
using test::make_identity;
using Pair = test::TlsPair;
using Step = ByteStream::Step;

Identity vouched(const std::string& names, int first_day = -2, int last_day = 2) {
    return make_identity({.names = names,
                          .first_day = first_day,
                          .last_day = last_day,
                          .issuer = &test::authority()});
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_SUITE("pipelines/ingest/tls") {
    TEST_CASE("a certificate that an authority vouches for is taken for its names only") {
        struct Row {
            const char *names, *host;
            bool taken;
        };
        for (const Row& r : {Row{"DNS:camera.test", "camera.test", true},
                             {"DNS:*.house.test", "camera.house.test", true},
                             {"DNS:cam*.house.test", "camera.house.test", false},
                             {"DNS:other.test", "camera.test", false},
                             {"IP:127.0.0.1", "127.0.0.1", true},
                             {"IP:127.0.0.2", "127.0.0.1", false},
                             {"DNS:127.0.0.1", "127.0.0.1", false},
                             {"IP:::1", "::1", true},
                             {"IP:fe80::1", "fe80::1%eth0", true},
                             {"", "camera.test", false}}) {
            CAPTURE(r.names);
            const Identity identity = vouched(r.names);
            Pair pair(identity, {.host = r.host});
            CHECK(pair.shake() == (r.taken ? Step::done : Step::lost));
            if (r.taken) continue;
            CHECK(pair.hub->lost().cause == GapCause::refused);
            CHECK(has(pair.hub->lost().detail, std::string(", not for ") + r.host + "; if it is"));
            CHECK(has(pair.hub->lost().detail, "set tls = \"" + identity.pin() + "\""));
        }
        Pair named(vouched("DNS:a.test,IP:10.0.0.7,DNS:c.test"), {.host = "b.test"});
        REQUIRE(named.shake() == Step::lost);
        CHECK(has(named.hub->lost().detail, "is for a.test, 10.0.0.7 and others, not for b.test"));
    }

    TEST_CASE("the host is named to the camera, an address is not") {
        for (const auto& [host, name] :
             {std::pair{"camera.test", "camera.test"}, {"127.0.0.1", ""}}) {
            Pair pair(vouched("DNS:camera.test,IP:127.0.0.1"), {.host = host});
            REQUIRE(pair.shake() == Step::done);
            const char* said =
                ::SSL_get_servername(pair.camera.tls.get(), TLSEXT_NAMETYPE_host_name);
            CHECK(std::string(said ? said : "") == name);
        }
    }

    TEST_CASE("what is wrong with a certificate is said") {
        test::authority();
        const Identity stranger = make_identity({.names = "", .authority = true});
        struct Row {
            Identity identity;
            const char* words;
        };
        Row rows[] = {{vouched("DNS:camera.test", -400, -300), "certificate expired on 20"},
                      {vouched("DNS:camera.test", 300, 400), "is the hub's clock right"},
                      {make_identity({}), "is not trusted (self-signed)"},
                      {make_identity({.issuer = &stranger}),
                       "is not trusted (no authority that this system knows)"}};
        for (const Row& r : rows) {
            CAPTURE(r.words);
            Pair pair(r.identity);
            REQUIRE(pair.shake() == Step::lost);
            CHECK(pair.hub->lost().cause == GapCause::refused);
            CHECK(has(pair.hub->lost().detail, r.words));
            CHECK(has(pair.hub->lost().detail, r.identity.pin()));
            CHECK(pair.hub->lost().detail.size() < 250);
            // The owner who pins it, and the one who does not care, have it all the same.
            for (const std::string& trust : {r.identity.pin(), std::string("insecure")}) {
                Pair again(r.identity, {.trust = trust});
                CHECK(again.shake() == Step::done);
            }
        }
    }

    TEST_CASE("a pin takes its certificate, and what would be taken without it") {
        const Identity right = make_identity({.names = "DNS:other.test"}),
                       wrong = make_identity({});
        Pair pinned(right, {.trust = right.pin()});
        CHECK(pinned.shake() == Step::done);
        Pair other(wrong, {.trust = right.pin()});
        REQUIRE(other.shake() == Step::lost);
        CHECK(other.hub->lost().cause == GapCause::refused);
        CHECK(has(other.hub->lost().detail, "is another than the one that tls names"));
        CHECK(has(other.hub->lost().detail, wrong.pin()));
        Pair vouched_for(vouched("DNS:camera.test"), {.trust = right.pin()});
        CHECK(vouched_for.shake() == Step::done);
        Pair vouched_for_another(vouched("DNS:other.test"), {.trust = right.pin()});
        CHECK(vouched_for_another.shake() == Step::lost);
    }

    TEST_CASE("bytes go both ways, whatever the size of records and of the room for them") {
        for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
            Pair pair(vouched("DNS:camera.test"), {.oldest = version, .newest = version});
            REQUIRE(pair.shake() == Step::done);
            std::string sent, heard;
            for (int i = 0; i < 60; ++i) {
                const std::string some(static_cast<std::size_t>(1 + i * 400), char('a' + i % 26));
                REQUIRE(pair.say(some) == static_cast<int>(some.size()));
                sent += some;
                if (i % 7 == 6) heard += pair.hear(i % 2 ? 1000 : 64 << 10);
            }
            CHECK(heard + pair.hear(64 << 10) == sent);
            CHECK(pair.step == Step::wait);
            CHECK(pair.hub->events(false) == POLLIN);
            // What is left in the room of OpenSSL, poll() cannot see.
            REQUIRE(pair.say(std::string(5000, 'x')) == 5000);
            std::array<std::uint8_t, 1000> little{};
            CHECK(pair.hub->receive(little).size == little.size());
            CHECK(pair.hub->holds_bytes());
            CHECK(pair.hear().size() == 4000);
            CHECK_FALSE(pair.hub->holds_bytes());
            std::string out = "OPTIONS";
            CHECK(pair.hub->send(out) == Step::done);
            CHECK(out.empty());
            CHECK(pair.camera_hears() == "OPTIONS");
        }
    }

    TEST_CASE("a camera that does not read is waited for, and nothing of what was said is lost") {
        Pair pair(vouched("DNS:camera.test"));
        REQUIRE(pair.shake() == Step::done);
        std::string all, out, heard;
        bool waited = false;
        for (int turn = 0; turn < 200 && all.size() < (1 << 20); ++turn) {
            const std::string more(9000, char('a' + turn % 26));
            all += more;
            out += more;
            out.shrink_to_fit();  // It moves in memory while it waits.
            if (pair.hub->send(out) != Step::wait) continue;
            waited = true;
            CHECK((pair.hub->events(true) & POLLOUT) != 0);
            heard += pair.camera_hears();
        }
        while (!out.empty() && pair.hub->send(out) != Step::lost) heard += pair.camera_hears();
        heard += pair.camera_hears();
        CHECK(waited);
        CHECK(heard == all);
    }

    TEST_CASE("half a record is waited for without a word from poll(), then it is there") {
        Pair pair(vouched("DNS:camera.test"));
        REQUIRE(pair.shake() == Step::done);
        pair.hear();  // session tickets
        // The camera's bytes go by way of the test.
        BIO* const out = ::BIO_new(::BIO_s_mem());
        ::SSL_set0_wbio(pair.camera.tls.get(), out);
        const std::string text(5000, 'v');
        REQUIRE(pair.say(text) == 5000);
        char* bytes = nullptr;
        const auto size = static_cast<std::size_t>(BIO_get_mem_data(out, &bytes));
        for (const std::size_t half : {std::size_t{3}, size / 2}) {
            static std::size_t done;
            if (half == 3) done = 0;
            REQUIRE(::write(pair.fd.get(), bytes + done, half - done) ==
                    static_cast<ssize_t>(half - done));
            done = half;
            CHECK(pair.hear().empty());
            CHECK(pair.step == Step::wait);
            CHECK_FALSE(pair.hub->holds_bytes());
        }
        const std::size_t rest = size - size / 2;
        REQUIRE(::write(pair.fd.get(), bytes + size / 2, rest) == static_cast<ssize_t>(rest));
        CHECK(pair.hear() == text);
    }

    TEST_CASE("an end is an end, with or without TLS's last word, and what came before it counts") {
        for (const bool polite : {true, false}) {
            Pair pair(vouched("DNS:camera.test"));
            REQUIRE(pair.shake() == Step::done);
            pair.say("the last picture");
            if (polite) ::SSL_shutdown(pair.camera.tls.get());
            pair.fd = Fd();
            CHECK(pair.hear() == "the last picture");
            REQUIRE(pair.step == Step::lost);
            CHECK(pair.hub->lost().cause == GapCause::closed);
            CHECK(pair.hub->lost().detail ==
                  (polite ? "camera closed the connection"
                          : "camera closed the connection without TLS's last word"));
            CHECK(pair.hear().empty());
            CHECK(pair.step == Step::lost);
            std::string out = "TEARDOWN";
            CHECK(pair.hub->send(out) == Step::lost);
            pair.hub->finish();
        }
    }

    TEST_CASE("bytes that were changed or come from nowhere end the connection") {
        Pair pair(vouched("DNS:camera.test"));
        REQUIRE(pair.shake() == Step::done);
        const std::string forged("\x17\x03\x03\x00\x20 this is not what a camera said!!", 38);
        REQUIRE(::write(pair.fd.get(), forged.data(), forged.size()) == 38);
        CHECK(pair.hear().empty());
        REQUIRE(pair.step == Step::lost);
        CHECK(pair.hub->lost().cause == GapCause::closed);
        CHECK(has(pair.hub->lost().detail, "TLS with the camera failed: "));
    }

    TEST_CASE("tickets, new keys and another handshake are answered, and nobody notices") {
        Pair now(vouched("DNS:camera.test"));
        REQUIRE(now.shake() == Step::done);
        ::SSL_new_session_ticket(now.camera.tls.get());
        ::SSL_key_update(now.camera.tls.get(), SSL_KEY_UPDATE_REQUESTED);
        REQUIRE(now.say("one") == 3);
        CHECK(now.hear() == "one");
        std::string out = "two";
        CHECK(now.hub->send(out) == Step::done);
        CHECK(now.camera_hears() == "two");

        Pair old(vouched("DNS:camera.test"), {.newest = TLS1_2_VERSION});
        REQUIRE(old.shake() == Step::done);
        REQUIRE(::SSL_renegotiate(old.camera.tls.get()) == 1);
        std::string heard;
        for (int turn = 0; turn < 20; ++turn) {
            if (turn == 0) ::SSL_do_handshake(old.camera.tls.get());
            heard += old.hear() + old.camera_hears();
        }
        CHECK(::SSL_renegotiate_pending(old.camera.tls.get()) == 0);
        REQUIRE(old.say("three") == 5);
        CHECK(old.hear() == "three");
        CHECK(heard.empty());
        CHECK(old.step == Step::wait);
    }

    TEST_CASE("what is no TLS, too old or silent is told apart") {
        Pair old(vouched("DNS:camera.test"),
                 {.trust = "insecure", .oldest = TLS1_VERSION, .newest = TLS1_1_VERSION});
        REQUIRE(old.shake() == Step::lost);
        CHECK(old.hub->lost().cause == GapCause::refused);
        CHECK(has(old.hub->lost().detail, "no TLS 1.2 or newer"));

        Pair plain(vouched("DNS:camera.test"));
        CHECK(plain.hub->open() == Step::wait);
        const std::string answer = "RTSP/1.0 400 Bad Request\r\n\r\n";
        REQUIRE(::write(plain.fd.get(), answer.data(), answer.size()) > 0);
        REQUIRE(plain.hub->open() == Step::lost);
        CHECK(plain.hub->lost().cause == GapCause::refused);
        CHECK(plain.hub->lost().detail == "camera does not speak TLS on this port; try rtsp://");

        Pair gone(vouched("DNS:camera.test"));
        CHECK(gone.hub->open() == Step::wait);
        REQUIRE(::shutdown(gone.fd.get(), SHUT_WR) == 0);
        REQUIRE(gone.hub->open() == Step::lost);
        CHECK(gone.hub->lost().cause == GapCause::closed);
        CHECK(has(gone.hub->lost().detail, "does it speak TLS on this port?"));

        Pair silent(vouched("DNS:camera.test"));
        for (int i = 0; i < 3; ++i) CHECK(silent.hub->open() == Step::wait);
        CHECK(silent.hub->events(true) == POLLIN);  // Nothing may be sent yet.
    }
}

}  // namespace hd::ingest
