// The RTSP source against halfdoor-replay over TLS, in a child process: real sockets.
#include <array>
#include <fstream>
#include <functional>
#include <thread>

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "index/base/clock.hpp"
#include "pipelines/ingest/encoder_desk.hpp"
#include "pipelines/ingest/source.hpp"
#include "tests/pipelines/tls_tools.hpp"
#include "tests/support/replay_child.hpp"
#include "tests/support/temp_folder.hpp"
#include "tools/replay/annexb.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;
using journal::GapCause;

// Long: only something that is broken takes so long, on whatever machine.
constexpr Micros kPatience = 60s;

struct Heard {
    std::size_t frames = 0, missing = 0, sounds = 0;
    bool connected = false, stopped = false;
    std::string sound, encoder;
    std::optional<Lost> lost;
};

// Until so many frames, and sounds, are there, or the session is lost. `at_tenth` is called when
// ten frames are there.
Heard listen(const link::RecorderSettings& settings, std::size_t frames, std::size_t sounds = 0,
             std::function<void()> at_tenth = {}) {
    Heard out;
    Ingress ingress({});
    const auto desk = std::make_shared<EncoderDesk>();
    desk->set_grant({{"x264enc"}, "software"});
    const auto source = make_rtsp_source(settings, system_clock(), ingress, desk);
    REQUIRE(source->start().ok());
    const BootTime until = system_clock().boot() + kPatience;
    std::optional<std::uint64_t> last;
    while ((out.frames < frames || out.sounds < sounds) && !out.lost &&
           system_clock().boot() < until) {
        if (at_tenth && out.frames >= 10) std::exchange(at_tenth, {})();
        const auto event = ingress.pop(100ms);
        if (!event) continue;
        out.connected |= std::holds_alternative<Connected>(*event);
        if (const auto* sound = std::get_if<AudioFormat>(&*event)) out.sound = sound->words;
        if (const auto* format = std::get_if<StreamFormat>(&*event)) out.encoder = format->encoder;
        if (const auto* lost = std::get_if<Lost>(&*event)) out.lost = *lost;
        out.sounds += std::holds_alternative<AudioFrame>(*event);
        const auto* frame = std::get_if<Frame>(&*event);
        if (!frame) continue;
        ++out.frames;
        const auto counter = replay::find_counter(frame->bytes);
        if (counter && last) out.missing += counter->number - *last - 1;
        if (counter) last = counter->number;
    }
    out.stopped = source->stop(system_clock().boot() + 20s).ok();
    return out;
}

link::RecorderSettings settings_for(const std::string& url, const std::string& tls = "verify") {
    link::RecorderSettings s;
    s.url = url;
    s.tls = tls;
    s.first_frame_timeout = kPatience;
    return s;
}

std::string rtsps(const std::string& url) { return "rtsps" + url.substr(url.find("://")); }

struct TlsCamera {
    TlsCamera(const test::Identity& identity, std::vector<std::string> more) {
        std::ofstream(folder / "camera.pem") << identity.pem();
        more.insert(more.begin(), {"--counter", "--tls", folder / "camera.pem", "--generate",
                                   "h264:64x64@25:gop=5:seconds=1:audio=aac"});
        camera.emplace(std::move(more));
    }
    std::string url() const { return rtsps(camera->url("h264-64p")); }

    test::TempFolder folder;
    std::optional<test::ReplayChild> camera;
};

// Takes one connection, hears something, says these words and waits until the other hangs up.
class Door {
  public:
    Door(std::string scheme, std::string words)
        : scheme_(std::move(scheme)), listening_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const any = reinterpret_cast<sockaddr*>(&address);
        REQUIRE(::bind(listening_.get(), any, size) == 0);
        REQUIRE(::listen(listening_.get(), 1) == 0);
        REQUIRE(::getsockname(listening_.get(), any, &size) == 0);
        port_ = ntohs(address.sin_port);
        thread_ = std::jthread([fd = listening_.get(), words] {
            const Fd one(::accept(fd, nullptr, nullptr));
            std::array<char, 4096> heard{};
            if (::recv(one.get(), heard.data(), heard.size(), 0) <= 0) return;
            if (!words.empty()) static_cast<void>(!::write(one.get(), words.data(), words.size()));
            while (::recv(one.get(), heard.data(), heard.size(), 0) > 0) {
            }
        });
    }
    ~Door() { ::shutdown(listening_.get(), SHUT_RDWR); }
    std::string url() const { return scheme_ + "://127.0.0.1:" + std::to_string(port_) + "/x"; }

  private:
    const std::string scheme_;
    const Fd listening_;
    int port_ = 0;
    std::jthread thread_;
};

}  // namespace

TEST_SUITE("pipelines/ingest/rtsps") {
    TEST_CASE("a camera that an authority vouches for is recorded with its sound and a password") {
        const test::Identity identity =
            test::make_identity({.names = "IP:127.0.0.1", .issuer = &test::authority()});
        setenv("HALFDOOR_REPLAY_PASSWORD", "s3cret-of-the-test", 1);
        const TlsCamera camera(identity, {"--user", "cam"});
        auto settings = settings_for(camera.url());
        settings.user = "cam";
        settings.password = "s3cret-of-the-test";
        const Heard good = listen(settings, 30, 20);
        CHECK(good.connected);
        CHECK(good.stopped);
        CHECK(good.frames >= 30);
        CHECK(good.missing == 0);
        CHECK(good.sounds >= 20);
        CHECK(good.sound.starts_with("AAC"));
        CHECK(good.encoder == "camera");
        settings.password = "wrong";
        const Heard refused = listen(settings, 1);
        REQUIRE(refused.lost.has_value());
        CHECK(refused.lost->cause == GapCause::refused);
        CHECK(refused.lost->detail == "camera refused user or password (401)");

        // The same camera by another of its names, which the certificate does not have.
        settings.password = "s3cret-of-the-test";
        const std::string url = camera.url();
        settings.url = "rtsps://localhost" + url.substr(url.rfind(':'));
        const Heard other = listen(settings, 1);
        REQUIRE(other.lost.has_value());
        CHECK(other.lost->detail.find("is for 127.0.0.1, not for localhost") != std::string::npos);
    }

    TEST_CASE("a self-signed rtsps camera is refused until its certificate is pinned") {
        test::authority();
        const test::Identity identity = test::make_identity({});
        // Kept as sent, or encoded: the connection is the same.
        for (const auto mode : {link::EncodeMode::camera, link::EncodeMode::hub}) {
            CAPTURE(static_cast<int>(mode));
            const TlsCamera camera(identity, {});
            auto settings = settings_for(camera.url());
            settings.encode = mode;
            const Heard refused = listen(settings, 1);
            REQUIRE(refused.lost.has_value());
            CHECK(refused.lost->cause == GapCause::refused);
            CHECK(refused.lost->detail.ends_with("set tls = \"" + identity.pin() + "\""));
            CHECK_FALSE(refused.connected);
            settings.tls = identity.pin();
            CHECK(listen(settings, 15).missing == 0);
            settings.tls.back() = settings.tls.back() == '0' ? '1' : '0';
            CHECK(listen(settings, 1).lost.has_value());
            settings.tls = link::kTlsAny;
            CHECK(listen(settings, 15).frames >= 15);
        }
    }

    TEST_CASE("a camera that hangs up or resets in the middle of its stream has closed") {
        const test::Identity identity = test::make_identity({});
        for (const char* kind : {"close", "reset"}) {
            const TlsCamera camera(identity, {"--commands"});
            const Heard s = listen(settings_for(camera.url(), identity.pin()), 100'000, 0,
                                   [&] { camera.camera->command(std::string("1,") + kind); });
            REQUIRE(s.lost.has_value());
            CHECK(s.lost->cause == GapCause::closed);
            CHECK(s.frames >= 10);
            CHECK(s.missing == 0);
            CHECK(s.stopped);
        }
    }

    TEST_CASE("TLS at a plain port and none at a TLS port are named, silence ends in time") {
        const TlsCamera camera(test::make_identity({}), {});
        const Heard tls = listen(settings_for("rtsp" + camera.url().substr(5)), 1);
        REQUIRE(tls.lost.has_value());
        CHECK(tls.lost->cause == GapCause::unreachable);
        CHECK(tls.lost->detail.ends_with("does it want rtsps:// on this port?"));
        const Door alert("rtsp", {"\x15\x03\x03\x00\x02\x02\x46", 7});
        const Heard alerted = listen(settings_for(alert.url()), 1);
        REQUIRE(alerted.lost.has_value());
        CHECK(alerted.lost->cause == GapCause::refused);
        CHECK(alerted.lost->detail == "camera speaks TLS on this port; try rtsps://");

        const Door plain("rtsps", "RTSP/1.0 400 Bad Request\r\n\r\n");
        const Heard none = listen(settings_for(plain.url()), 1);
        REQUIRE(none.lost.has_value());
        CHECK(none.lost->cause == GapCause::refused);
        CHECK(none.lost->detail == "camera does not speak TLS on this port; try rtsp://");
        const Door silent("rtsps", "");
        auto settings = settings_for(silent.url());
        settings.first_frame_timeout = 300ms;
        const Heard hung = listen(settings, 1);
        REQUIRE(hung.lost.has_value());
        CHECK(hung.lost->cause == GapCause::unreachable);
        CHECK(hung.lost->detail.find("did not finish the TLS handshake") != std::string::npos);
        CHECK(hung.stopped);
    }
}

}  // namespace hd::ingest
