#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipelines/record/confinement.hpp"
#include "tests/support/temp_folder.hpp"

using namespace hd;
using namespace hd::record;

namespace {

link::RecorderSettings camera_at(const std::string& url) {
    link::RecorderSettings settings;
    settings.camera.bytes.fill(0xc1);
    settings.data_folder = "/data";
    settings.url = url;
    return settings;
}

using Ports = std::vector<std::uint16_t>;

}  // namespace

TEST_SUITE_BEGIN("pipelines/record");

TEST_CASE("a recorder keeps the port of its camera, and the resolver's only for a name") {
    const Rights number = rights_of(camera_at("rtsp://192.168.1.7:8554/main"));
    CHECK(number.ports.connect == Ports{8554});
    CHECK_FALSE(number.calls.udp);
    const Rights six = rights_of(camera_at("rtsp://[fe80::1]:8554/main"));
    CHECK(six.ports.connect == Ports{8554});
    CHECK_FALSE(six.calls.udp);
    const Rights name = rights_of(camera_at("rtsp://door.lan/main"));
    CHECK(name.ports.connect == Ports{554, 53});
    CHECK(name.calls.udp);
    CHECK(rights_of(camera_at("rtsps://192.168.1.7/main")).ports.connect == Ports{554, 322});
    // No port is open for what is no camera's address.
    CHECK(rights_of(camera_at("http://192.168.1.7/")).ports.connect == Ports{53});

    link::RecorderSettings udp = camera_at("rtsp://192.168.1.7/main");
    udp.transport = link::RtspTransport::udp;
    CHECK(rights_of(udp).calls.udp);
    CHECK(rights_of(udp).ports.listen.empty());
}

TEST_CASE(
    "a recorder writes its camera's clips and journal only, and reads no folder that holds keys") {
    const FileRights files = rights_of(camera_at("rtsp://192.168.1.7/")).files;
    const std::string camera = to_string(camera_at("").camera);
    CHECK(files.change == std::vector<std::string>{"/data/clips/" + camera});
    CHECK(files.write == std::vector<std::string>{"/data/journal/" + camera + ".log", "/dev/null"});
    CHECK(files.list == std::vector<std::string>{"/data/journal"});
    for (const std::string& path : files.read)
        for (const std::string secret : {"/data/hub/x", "/etc/halfdoor/halfdoor.toml",
                                         "/etc/shadow", "/etc/ssl/private/x", "/proc/1/environ"})
            CHECK_MESSAGE(!secret.starts_with(path + "/"), path << " opens " << secret);
}

TEST_CASE("devices are for cameras that the hub may have to encode") {
    link::RecorderSettings settings = camera_at("rtsp://192.168.1.7/");
    CHECK(rights_of(settings).calls.devices);
    settings.encode = link::EncodeMode::camera;
    CHECK_FALSE(rights_of(settings).calls.devices);
    CHECK(rights_of(settings).files.devices.empty());
}

TEST_CASE("a recorder with a dialer keeps no port and no datagrams, whether it encodes or not") {
    link::RecorderSettings settings = camera_at("rtsp://door.lan/main");
    for (const auto mode :
         {link::EncodeMode::automatic, link::EncodeMode::hub, link::EncodeMode::camera}) {
        settings.encode = mode;
        const Rights rights = rights_of(settings, Network::dialled);
        CHECK(rights.ports.connect.empty());
        CHECK_FALSE(rights.calls.internet);
        CHECK_FALSE(rights.calls.udp);
        CHECK(rights.calls.devices == (mode != link::EncodeMode::camera));
        CHECK(rights.files.devices.empty() == (mode == link::EncodeMode::camera));
    }
}

TEST_CASE("a dialer is aimed at the host and port of the settings") {
    const ingest::DialTarget door{"door.lan", "8554"};
    CHECK(dial_target(camera_at("rtsp://door.lan:8554/main")) == door);
    CHECK(dial_target(camera_at("rtsp://[fe80::1]/main")) == ingest::DialTarget{"fe80::1", "554"});
    CHECK_FALSE(dial_target(camera_at("http://door.lan/")));
    link::RecorderSettings udp = camera_at("rtsp://door.lan/");
    udp.transport = link::RtspTransport::udp;
    CHECK(dial_target(udp) == ingest::DialTarget{"door.lan", "554", true});
    link::RecorderSettings hub = camera_at("rtsp://door.lan/");
    hub.encode = link::EncodeMode::hub;
    CHECK(dial_target(hub) == ingest::DialTarget{"door.lan", "554"});
}

// Outcome of `body` in a child process, which may give up what it likes.
int in_child(const std::function<int()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(body());
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Whether a TCP connection to this machine itself is refused for lack of a way, not by a peer.
bool has_no_way_out() {
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == ENETUNREACH;
}

TEST_CASE("an empty network has no way out, and a system that allows none is told of") {
    CHECK(in_child([] {
              const Wall wall = enter_empty_network();
              const Wall bare = drop_capabilities();
              if (wall.state == WallState::enforced)
                  return has_no_way_out() && bare.state == WallState::enforced ? 0 : 1;
              std::printf("not tested as enforced: %s\n", wall.detail.c_str());
              return has_no_way_out() ? 2 : 0;
          }) == 0);
    // Who is in a changed root may make no user name space, and without a capability no other.
    const int refused = in_child([] {
        if (::chroot("/proc") != 0) return 77;
        static_cast<void>(drop_capabilities());
        return enter_empty_network().state == WallState::missing && !has_no_way_out() ? 0 : 1;
    });
    if (refused == 77)
        MESSAGE("not tested as missing: only root may change its root");
    else
        CHECK(refused == 0);
}

TEST_CASE("a recorder whose dialer died before it was aimed connects by itself, and says so") {
    const test::TempFolder folder;
    link::RecorderSettings settings = camera_at("rtsp://127.0.0.1:9/main");
    settings.data_folder = folder.path();
    settings.encode = link::EncodeMode::camera;
    CHECK(in_child([&] {
              DialerProcess dialer = start_dialer(system_clock());
              siginfo_t ended{};
              if (!dialer.dialer || ::kill(dialer.pid, SIGKILL) != 0 ||
                  ::waitid(P_PID, static_cast<id_t>(dialer.pid), &ended, WEXITED | WNOWAIT) != 0)
                  return 1;
              const auto walls = confine(settings, dialer);
              if (!walls || dialer.dialer) return 2;
              const auto hosts = std::find_if(walls->begin(), walls->end(),
                                              [](const Wall& w) { return w.name == "hosts"; });
              if (hosts == walls->end() || hosts->state != WallState::missing) return 3;
              if (hosts->detail.find("connects by itself") == std::string::npos) return 4;
              // It still has a way to its camera: refused, as nobody listens there, is one.
              return has_no_way_out() ? 5 : 0;
          }) == 0);
}

TEST_CASE("settings that need other rights need another process, other settings do not") {
    const link::RecorderSettings before = camera_at("rtsp://192.168.1.7/main");
    const auto changed = [&](auto change) {
        link::RecorderSettings after = before;
        change(after);
        return needs_new_process(before, after);
    };
    CHECK_FALSE(changed([](auto&) {}));
    CHECK_FALSE(changed([](auto& s) { s.password = "new"; }));
    CHECK_FALSE(changed([](auto& s) { s.url = "rtsp://192.168.1.7/sub"; }));
    CHECK(changed([](auto& s) { s.url = "rtsp://192.168.1.8/main"; }));
    CHECK_FALSE(changed([](auto& s) { s.clip_target = std::chrono::seconds(30); }));
    CHECK(changed([](auto& s) { s.url = "rtsp://192.168.1.7:555/main"; }));
    CHECK(changed([](auto& s) { s.url = "rtsp://door.lan/main"; }));
    CHECK(changed([](auto& s) { s.transport = link::RtspTransport::udp; }));
    CHECK(changed([](auto& s) { s.encode = link::EncodeMode::camera; }));
    CHECK(changed([](auto& s) { s.data_folder = "/other"; }));
}

TEST_SUITE_END();
