#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "pipelines/record/confinement.hpp"

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

TEST_CASE("settings that need other rights need another process, other settings do not") {
    const link::RecorderSettings before = camera_at("rtsp://192.168.1.7/main");
    const auto changed = [&](auto change) {
        link::RecorderSettings after = before;
        change(after);
        return needs_new_process(before, after);
    };
    CHECK_FALSE(changed([](auto&) {}));
    CHECK_FALSE(changed([](auto& s) { s.password = "new"; }));
    CHECK_FALSE(changed([](auto& s) { s.url = "rtsp://192.168.1.8/sub"; }));
    CHECK_FALSE(changed([](auto& s) { s.clip_target = std::chrono::seconds(30); }));
    CHECK(changed([](auto& s) { s.url = "rtsp://192.168.1.7:555/main"; }));
    CHECK(changed([](auto& s) { s.url = "rtsp://door.lan/main"; }));
    CHECK(changed([](auto& s) { s.transport = link::RtspTransport::udp; }));
    CHECK(changed([](auto& s) { s.encode = link::EncodeMode::camera; }));
    CHECK(changed([](auto& s) { s.reader = link::RtspReader::gstreamer; }));
    CHECK(changed([](auto& s) { s.data_folder = "/other"; }));
}

TEST_SUITE_END();
