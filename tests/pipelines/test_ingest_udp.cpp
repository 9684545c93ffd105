// RTP over UDP: what is asked for and answered, the pairs of ports, and what comes out of them.
#include <array>
#include <thread>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "pipelines/ingest/datagrams.hpp"
#include "pipelines/ingest/reorder_buffer.hpp"
#include "pipelines/ingest/source.hpp"
#include "tests/support/fake_clock.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

sockaddr_in address(const char* host, std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    ::inet_pton(AF_INET, host, &out.sin_addr);
    return out;
}

std::uint16_t port_of(const Fd& fd) {
    sockaddr_in where{};
    socklen_t size = sizeof where;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&where), &size);
    return ntohs(where.sin_port);
}

Fd bound(int type, const char* host) {
    Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    const sockaddr_in where = address(host, 0);
    REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
    return fd;
}

void send_to(const Fd& from, std::uint16_t port, std::string_view text) {
    const sockaddr_in where = address("127.0.0.1", port);
    REQUIRE(::sendto(from.get(), text.data(), text.size(), 0,
                     reinterpret_cast<const sockaddr*>(&where),
                     sizeof where) == static_cast<ssize_t>(text.size()));
}

// Waits for it; loopback brings what was sent.
std::string receive(const Fd& fd) {
    pollfd wait{fd.get(), POLLIN, 0};
    ::poll(&wait, 1, 20'000);
    std::array<char, 64> text{};
    const ssize_t n = ::recv(fd.get(), text.data(), text.size(), MSG_DONTWAIT);
    return n < 0 ? "nothing" : std::string(text.data(), static_cast<std::size_t>(n));
}

bool is_empty(const Fd& fd) {
    char c = 0;
    return ::recv(fd.get(), &c, 1, MSG_DONTWAIT) < 0;
}

// A camera on 127.0.0.1 that was dialled.
struct Dialled {
    Fd listener = bound(SOCK_STREAM, "127.0.0.1"), rtp = bound(SOCK_DGRAM, "127.0.0.1"),
       rtcp = bound(SOCK_DGRAM, "127.0.0.1"), stranger = bound(SOCK_DGRAM, "127.0.0.2");
    DirectDialer dialer{{"127.0.0.1", std::to_string(port_of(listener)), true}, system_clock()};
    Fd connection;

    Dialled() {
        REQUIRE(::listen(listener.get(), 1) == 0);
        auto made = dialer.dial(system_clock().boot() + 20s, -1);
        REQUIRE(made);
        connection = std::move(*made);
    }
    CameraPorts ports() const { return {port_of(rtp), port_of(rtcp)}; }
};

constexpr const char* kSdp =
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:v\n"
    "m=audio 0 RTP/AVP 8\na=control:a\n";

// A conversation up to and with the answer to the first SETUP, or both.
struct Talk {
    RtspClient client{"rtsp://c/s", "", "", RtspClient::Sound::ask};

    explicit Talk(bool udp = true) {
        if (udp) client.use_udp({50'000, 50'002});
        client.start();
        answer("");
        answer("", 200, kSdp);
    }
    void answer(const std::string& transport, int status = 200, const char* body = "") {
        said = client.take_output();
        RtspMessage m;
        m.status = status;
        m.body = body;
        if (!transport.empty()) m.headers.push_back({"Transport", transport});
        client.take(m, {});
    }
    std::string said;  // what was answered last
};

// A camera that says yes to everything, and sends nothing.
class Mute {
  public:
    explicit Mute(test::FakeClock& clock)
        : clock_(clock), listener_(bound(SOCK_STREAM, "127.0.0.1")) {
        REQUIRE(::listen(listener_.get(), 1) == 0);
        thread_ = std::jthread([this] { serve(); });
    }
    ~Mute() { ::shutdown(listener_.get(), SHUT_RDWR); }
    Mute(const Mute&) = delete;
    Mute& operator=(const Mute&) = delete;
    std::string url() const { return fmt::format("rtsp://127.0.0.1:{}/s", port_of(listener_)); }

  private:
    void serve() {
        const Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        std::string heard;
        std::array<char, 4096> some{};
        for (ssize_t n = 0; (n = ::recv(peer.get(), some.data(), some.size(), 0)) > 0;) {
            heard.append(some.data(), static_cast<std::size_t>(n));
            for (std::size_t end = 0; (end = heard.find("\r\n\r\n")) != std::string::npos;) {
                answer(peer, heard.substr(0, end));
                heard.erase(0, end + 4);
            }
        }
    }
    void answer(const Fd& peer, const std::string& request) {
        const std::size_t cseq = request.find("CSeq: ");
        const std::string body = request.starts_with("DESCRIBE") ? kSdp : "";
        const std::string out = fmt::format(
            "RTSP/1.0 200 OK\r\n{}\r\nSession: 1\r\nTransport: RTP/AVP;source=10.0.0.9;"
            "server_port=6970-6971\r\nContent-Length: {}\r\n\r\n{}",
            request.substr(cseq, request.find('\r', cseq) - cseq), body.size(), body);
        static_cast<void>(!::send(peer.get(), out.data(), out.size(), MSG_NOSIGNAL));
        // Ten seconds are over as soon as it plays, and not before.
        if (request.starts_with("PLAY")) clock_.advance(9s);
    }

    test::FakeClock& clock_;
    const Fd listener_;
    std::jthread thread_;
};

}  // namespace

TEST_SUITE("pipelines/ingest/udp") {
    TEST_CASE("a camera that plays and is not heard is lost with words for who has to mend it") {
        test::FakeClock clock;
        const Mute camera(clock);
        link::RecorderSettings settings;
        settings.url = camera.url();
        settings.transport = link::RtspTransport::udp;
        Ingress ingress({});
        const auto source =
            make_rtsp_source(settings, clock, ingress, std::make_shared<EncoderDesk>(), nullptr);
        REQUIRE(source->start());
        std::optional<Lost> lost;
        for (int i = 0; i < 200 && !lost; ++i)
            if (const auto event = ingress.pop(100ms))
                if (const auto* said = std::get_if<Lost>(&*event)) lost = *said;
        source->stop(clock.boot() + 20s).ignore();
        REQUIRE(lost);
        CHECK(lost->cause == journal::GapCause::stalled);
        CHECK(lost->detail.find("nothing comes by UDP to port") != std::string::npos);
        CHECK(lost->detail.find("10.0.0.9") != std::string::npos);
        CHECK(lost->detail.find("firewall") != std::string::npos);
    }

    TEST_CASE("rtsps:// is not asked to send by UDP, where nothing protects it") {
        link::RecorderSettings settings;
        settings.url = "rtsps://127.0.0.1/s";
        settings.transport = link::RtspTransport::udp;
        Ingress ingress({});
        const auto source = make_rtsp_source(settings, system_clock(), ingress,
                                             std::make_shared<EncoderDesk>(), nullptr);
        const auto started = source->start();
        REQUIRE_FALSE(started);
        CHECK(started.error().code == ErrorCode::invalid);
    }

    TEST_CASE("a camera's transport is understood as cameras write it, and nothing else is") {
        using Ports = CameraPorts;
        CHECK(ask_for_ports(50'000) == "RTP/AVP;unicast;client_port=50000-50001");
        CHECK(ask_for_channels(2) == "RTP/AVP/TCP;unicast;interleaved=2-3");
        const auto server = [](const char* text) { return parse_transport(text).server; };
        CHECK(server("RTP/AVP;unicast;client_port=1-2;server_port=6970-6971") == Ports{6970, 6971});
        CHECK(server("RTP/AVP/UDP;unicast; Server_Port = 6970") == Ports{6970, 6971});
        CHECK(server("RTP/AVP;server_port=6970-7001;ssrc=0") == Ports{6970, 7001});
        CHECK(server("RTP/AVP;server_port=6970-x") == Ports{6970, 6971});
        CHECK(server("RTP/AVP;server_port=65535") == Ports{65'535, 65'535});
        CHECK(server("RTP/AVP;server_port=0-0") == Ports{0, 0});
        for (const char* none : {"", "RTP/AVP;unicast", "server_port=65536-1",
                                 "server_port=", "server_port=-1", "xserver_port=1"})
            CHECK_FALSE(server(none).has_value());
        CHECK(parse_transport("RTP/AVP;Multicast;port=1-2").multicast);
        CHECK_FALSE(parse_transport("RTP/AVP;unicast;mode=\"multicast\"").multicast);
        CHECK(parse_transport("a;source=10.0.0.9;b").source == "10.0.0.9");
        CHECK(parse_transport("a;source=\"x y\n\"").source == "x?y?");
        CHECK(parse_transport("a;source=" + std::string(300, 'a')).source.size() == 64);
        const auto channels = parse_transport("RTP/AVP/TCP;interleaved=4-5").channels;
        REQUIRE(channels);
        CHECK((channels->rtp == 4 && channels->rtcp == 5));
        CHECK_FALSE(parse_transport("interleaved=256-257").channels.has_value());
    }

    TEST_CASE("a camera that is asked for UDP gives video and sound from the ports that it names") {
        Talk talk;
        talk.answer("RTP/AVP;unicast;source=10.0.0.9;server_port=6970-6971");
        CHECK(talk.said.find("Transport: RTP/AVP;unicast;client_port=50000-50001\r\n") !=
              std::string::npos);
        REQUIRE(talk.client.stream());
        CHECK(talk.client.stream()->udp == CameraPorts{6970, 6971});
        CHECK(talk.client.stream()->source == "10.0.0.9");
        talk.answer("RTP/AVP;unicast;server_port=6972-6973");
        CHECK(talk.said.find("client_port=50002-50003\r\n") != std::string::npos);
        CHECK(talk.client.audio()->udp == CameraPorts{6972, 6973});
        talk.answer("");
        CHECK(talk.client.phase() == RtspClient::Phase::playing);
    }

    TEST_CASE("a camera that names no port, or sends interleaved all the same, is taken as it is") {
        Talk silent;
        silent.answer("");
        CHECK(silent.client.stream()->udp == CameraPorts{});
        Talk stubborn;
        stubborn.answer("RTP/AVP/TCP;unicast;interleaved=0-1");
        CHECK_FALSE(stubborn.client.stream()->udp.has_value());
        stubborn.answer("RTP/AVP/TCP;unicast;interleaved=6-7");
        CHECK(stubborn.client.audio()->rtp_channel == 6);
        CHECK_FALSE(stubborn.client.lost().has_value());
    }

    TEST_CASE("a camera that does not offer what is asked for says which setting would do") {
        const auto reason = [](bool udp, const char* transport, int status) {
            Talk talk(udp);
            talk.answer(transport, status);
            return talk.client.lost() ? talk.client.lost()->detail : "";
        };
        CHECK(reason(true, "", 461) ==
              "camera does not offer this transport (461): set transport = \"tcp\"");
        CHECK(reason(false, "", 461) ==
              "camera does not offer this transport (461): set transport = \"udp\"");
        CHECK(reason(false, "RTP/AVP;unicast;server_port=1-2", 200) ==
              "camera does not offer this transport (it wants UDP): set transport = \"udp\"");
        CHECK(reason(true, "RTP/AVP;multicast;port=5000-5001", 200) ==
              "camera does not offer this transport (it sends to a multicast group)");
        Talk sound;
        sound.answer("server_port=6970");
        sound.answer("RTP/AVP;multicast;port=5000-5001");
        CHECK_FALSE(sound.client.audio().has_value());
        CHECK(sound.client.audio_words() ==
              "not recorded: the camera sends it to a multicast group");
    }

    TEST_CASE("a pair of ports is an even one and the next, and brings what the camera sends") {
        Dialled camera;
        const auto port = camera.dialer.reserve_ports(-1);
        REQUIRE(port);
        CHECK(*port % 2 == 0);
        // Before anybody knows from where the camera sends.
        send_to(camera.stranger, *port, "too early");
        send_to(camera.rtp, *port, "too early");
        auto pair = camera.dialer.join_ports(*port, camera.ports(), -1);
        REQUIRE(pair);
        CHECK(port_of(pair->rtp) == *port);
        CHECK(port_of(pair->rtcp) == *port + 1);
        send_to(camera.stranger, *port, "a stranger");
        send_to(camera.rtcp, *port, "from another port");
        send_to(camera.rtp, *port, "video");
        CHECK(receive(pair->rtp) == "video");
        CHECK(is_empty(pair->rtp));
        CHECK(::send(pair->rtcp.get(), "report", 6, 0) == 6);
        CHECK(receive(camera.rtcp) == "report");
        CHECK_FALSE(camera.dialer.join_ports(*port, camera.ports(), -1));
    }

    TEST_CASE("of a camera that names no port, any port of its host is heard") {
        Dialled camera;
        const auto port = camera.dialer.reserve_ports(-1);
        REQUIRE(port);
        const auto pair = camera.dialer.join_ports(*port, {}, -1);
        REQUIRE(pair);
        send_to(camera.stranger, *port, "a stranger");
        send_to(camera.rtcp, *port, "video");
        CHECK(receive(pair->rtp) == "video");
        CHECK(is_empty(pair->rtp));
    }

    TEST_CASE("pairs are for two tracks of a camera that was dialled, and not for its services") {
        DirectDialer nobody{{"127.0.0.1", "1", true}, system_clock()};
        CHECK_FALSE(nobody.reserve_ports(-1));
        Dialled camera;
        const auto first = camera.dialer.reserve_ports(-1);
        REQUIRE(first);
        REQUIRE(camera.dialer.reserve_ports(-1));
        CHECK_FALSE(camera.dialer.reserve_ports(-1));
        const auto low = camera.dialer.join_ports(*first, {1023, 6971}, -1);
        REQUIRE_FALSE(low);
        CHECK(low.error().what == "camera sends from a UDP port below 1024");
        // Of another connection none is left.
        REQUIRE(camera.dialer.dial(system_clock().boot() + 20s, -1));
        CHECK_FALSE(camera.dialer.join_ports(*first, camera.ports(), -1));
    }

    TEST_CASE("packets come with the time at which the kernel had them, whenever they are read") {
        Dialled camera;
        RtspClient client("rtsp://c/s", "", "");
        Datagrams datagrams({}, system_clock());
        REQUIRE(datagrams.begin(camera.dialer, client, false, -1));
        client.start();
        RtspMessage m;
        m.status = 200;
        client.take(m, {});
        m.body = kSdp;
        client.take(m, {});
        const std::string said = client.take_output();
        const auto ports = said.substr(said.find("client_port=") + 12);
        m.headers = {{"Transport", fmt::format("RTP/AVP;server_port={}-{}", camera.ports().rtp,
                                               camera.ports().rtcp)}};
        client.take(m, {});
        REQUIRE(datagrams.join(camera.dialer, client, -1));
        // Words that open the way, of nothing.
        CHECK(receive(camera.rtp).size() == 12);
        CHECK(receive(camera.rtcp).size() == 8);
        CHECK(datagrams.silent());
        CHECK(datagrams.silence().find("firewall") != std::string::npos);

        const auto port = static_cast<std::uint16_t>(std::stoi(ports));
        const BootTime before = system_clock().boot();
        for (int i = 0; i < 40; ++i) send_to(camera.rtp, port, std::to_string(i));
        const BootTime after = system_clock().boot();
        send_to(camera.rtcp, static_cast<std::uint16_t>(port + 1), "report");
        std::this_thread::sleep_until(std::chrono::steady_clock::now() + 60ms);
        std::vector<std::string> packets, reports;
        std::vector<BootTime> times;
        const BootTime read_from = system_clock().boot();
        datagrams.receive([&](std::uint8_t channel, ByteView packet, BootTime at) {
            (channel == 0 ? packets : reports).emplace_back(as_text(packet));
            if (channel == 0) times.push_back(at);
        });
        REQUIRE(packets.size() == 40);
        CHECK(packets.front() == "0");
        CHECK(packets.back() == "39");
        CHECK(reports == std::vector<std::string>{"report"});
        // Two clocks are read one after the other: what reading takes is what it may be wrong by.
        const Micros slack = system_clock().boot() - read_from + 1ms;
        for (const BootTime at : times) CHECK((at >= before - slack && at <= after + slack));
        CHECK_FALSE(datagrams.silent());
        const std::array<std::uint8_t, 4> report{1, 2, 3, 4};
        datagrams.send(report);
        CHECK(receive(camera.rtcp).size() == 4);
    }

    TEST_CASE("what is lost by UDP is waited for as long as set, however much comes after it") {
        for (const std::size_t most :
             {ReorderBuffer::kMostOfConnection, ReorderBuffer::kMostOfDatagrams}) {
            ReorderBuffer buffer(200ms, most);
            RtpPacket packet;
            const Bytes whole(20);
            BootTime now{1'000'000};
            CHECK(buffer.take(packet, whole, now));
            packet.sequence = 1;  // lost
            std::size_t held = 0;
            while (held < 1000) {
                ++packet.sequence;
                CHECK_FALSE(buffer.take(packet, whole, now));
                ++held;
                if (buffer.release(now)) break;
            }
            CHECK(held == most);
        }
    }
}

}  // namespace hd::ingest
