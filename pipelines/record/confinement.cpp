#include "pipelines/record/confinement.hpp"

#include <cstdlib>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/base/files.hpp"
#include "index/base/log.hpp"
#include "pipelines/ingest/gst_start.hpp"
#include "pipelines/ingest/rtsp_url.hpp"
#include "pipelines/ingest/tls_stream.hpp"

namespace hd::record {
namespace {

// Heap and stacks; the system maps stacks of 8 MiB, and an encoder has a thread for each core.
// Measured on 2 cores (VmData): 47 MiB without GStreamer, 252 MiB with x264
// at 1080p; four times that for 8 cores and 4K.
constexpr std::uint64_t kMemoryKept = 256ull << 20;
constexpr std::uint64_t kMemoryEncoding = 1024ull << 20;

// For the dialer to give up its rights: milliseconds where nothing else runs, but a card may be
// slow when sixteen recorders start. The hub waits for 30 s.
constexpr Micros kDialerPatience = std::chrono::seconds(15);

std::string cache_folder() {
    if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr) return cache;
    const char* home = std::getenv("HOME");
    return home != nullptr ? join(home, ".cache") : std::string();
}

// Where GStreamer keeps the list of its plugins. Its name there ends with the architecture.
std::string registry_place() {
    if (const char* file = std::getenv("GST_REGISTRY"); file != nullptr) return file;
    return join(cache_folder(), "gstreamer-1.0");
}

bool has_registry(FileSystem& fs) {
    const std::string place = registry_place();
    const auto files = fs.list(place);
    return files.ok() ? !files->empty() : fs.exists(place);
}

bool may_encode(const link::RecorderSettings& settings) {
    return settings.encode != link::EncodeMode::camera;
}

bool speaks_tls(const link::RecorderSettings& settings) {
    const auto url = ingest::parse_rtsp_url(settings.url);
    return url && url->tls;
}

struct Address {
    std::string host;
    std::vector<std::uint16_t> ports;
};

Address address_of(const std::string& url) {
    auto parsed = ingest::parse_rtsp_url(url);
    if (!parsed) return {};  // The source says what is wrong with it; no port is open for it.
    const auto port = static_cast<std::uint16_t>(std::strtoul(parsed->port.c_str(), nullptr, 10));
    // RFC 7826 names 322 for rtsps; most cameras and GStreamer take 554 if the URL says nothing.
    if (parsed->tls && port == 554) return {parsed->host, {554, 322}};
    return {parsed->host, {port}};
}

// What the dialer gave up. Nothing: there is none, and the recorder connects by itself.
std::optional<Wall> aim(const link::RecorderSettings& settings, DialerProcess& process) {
    const auto target = dial_target(settings);
    if (!process.dialer || !target) {
        process.dismiss();
        return std::nullopt;
    }
    auto wall = process.dialer->aim(*target, system_clock().boot() + kDialerPatience);
    if (wall) return *wall;
    log::warn("dialer.failed", "camera={} error=\"{}\"", to_string(settings.camera),
              wall.error().what);
    process.dismiss();
    return std::nullopt;
}

// Says which hosts it can reach, and mends what is said of ports.
void judge_network(Wall& ports, std::vector<Wall>& walls, const Wall& calls, const Wall& empty) {
    const bool filtered = calls.state == WallState::enforced;
    Wall hosts{"hosts", WallState::enforced,
               "makes no connection; its dialer makes those to its camera"};
    if (!filtered)
        hosts = {"hosts",
                 empty.state == WallState::enforced ? WallState::partial : WallState::missing,
                 "its dialer connects; without the filter of system calls it can turn a connection "
                 "to another host"};
    hosts.detail += "; " + empty.detail;
    walls.push_back(std::move(hosts));
    if (filtered && ports.state != WallState::enforced)
        ports = {"ports", WallState::enforced, "makes no connection (seccomp)"};
}

}  // namespace

std::vector<std::string> resolver_files() {
    return {"/usr/lib",
            "/usr/lib64",
            "/lib",
            "/lib64",
            "/etc/ld.so.cache",
            "/etc/resolv.conf",
            "/etc/hosts",
            "/etc/host.conf",
            "/etc/nsswitch.conf",
            "/etc/gai.conf",
            "/etc/services",
            "/etc/protocols",
            "/run/systemd/resolve"};
}

std::optional<ingest::DialTarget> dial_target(const link::RecorderSettings& settings) {
    const auto url = ingest::parse_rtsp_url(settings.url);
    if (!url) return std::nullopt;
    return ingest::DialTarget{url->host, url->port, settings.transport == link::RtspTransport::udp};
}

Rights rights_of(const link::RecorderSettings& settings, Network network) {
    const std::string camera = to_string(settings.camera);
    const std::string journals = join(settings.data_folder, "journal");
    Rights rights;
    const Address address = address_of(settings.url);
    rights.host_by_name = !ingest::is_address(address.host);
    rights.ports.connect = address.ports;
    if (rights.host_by_name) rights.ports.connect.push_back(53);
    rights.calls.udp = rights.host_by_name || settings.transport == link::RtspTransport::udp;
    rights.calls.devices = may_encode(settings);
    if (network == Network::dialled) {
        rights.ports = {};
        rights.calls = {.internet = false, .devices = may_encode(settings)};
    }

    FileRights& files = rights.files;
    files.change = {join(settings.data_folder, "clips/" + camera)};
    files.write = {join(journals, camera + ".log"), "/dev/null"};
    files.list = {journals};
    // Programs' libraries and plugins; the resolver's, TLS's and the time zone's files, each by its
    // name, because /etc holds the hub's configuration too; facts about the machine.
    files.read = {"/usr",
                  "/opt",
                  "/etc/passwd",
                  "/etc/group",
                  "/etc/localtime",
                  "/etc/ssl/certs",
                  "/etc/ssl/openssl.cnf",
                  "/etc/gnutls",
                  "/etc/libva.conf",
                  "/dev/urandom",
                  "/dev/random",
                  "/proc/self",
                  "/proc/cpuinfo",
                  "/proc/meminfo",
                  "/proc/stat",
                  "/proc/sys/kernel/random",
                  "/sys/devices/system/cpu",
                  join(journals, "clock.log"),
                  registry_place()};
    const auto names = resolver_files();
    files.read.insert(files.read.end(), names.begin(), names.end());
    if (const char* plugins = std::getenv("GST_PLUGIN_PATH"); plugins != nullptr)
        files.read.emplace_back(plugins);
    if (!rights.calls.devices) return rights;
    files.read.insert(files.read.end(), {"/sys", "/proc/device-tree", "/dev/v4l"});
    files.devices = {"/dev/dri", "/dev/dma_heap", "/dev/nvmap", "/dev/mpp_service", "/dev/rga"};
    for (const char* name : {"video", "media", "nvhost-ctrl", "nvhost-msenc", "nvhost-nvdec"}) {
        files.devices.push_back(fmt::format("/dev/{}", name));
        for (int i = 0; i < 64; ++i) files.devices.push_back(fmt::format("/dev/{}{}", name, i));
    }
    return rights;
}

bool needs_new_process(const link::RecorderSettings& before, const link::RecorderSettings& after) {
    const auto same = [](const Rights& a, const Rights& b) {
        return a.files.change == b.files.change && a.ports.connect == b.ports.connect &&
               a.calls.udp == b.calls.udp && a.calls.devices == b.calls.devices;
    };
    // Certificates are read before the walls stand.
    return speaks_tls(before) != speaks_tls(after) || dial_target(before) != dial_target(after) ||
           !same(rights_of(before), rights_of(after));
}

std::optional<FolderIdentity> folder_identity(const link::RecorderSettings& settings) {
    struct stat facts {};
    const std::string path = join(settings.data_folder, "clips/" + to_string(settings.camera));
    if (::stat(path.c_str(), &facts) != 0) return std::nullopt;
    return FolderIdentity{facts.st_dev, facts.st_ino};
}

std::vector<Wall> leave_privileges() {
    close_inherited_files();
    return {shut_memory(), forbid_new_privileges()};
}

Result<std::vector<Wall>> confine(const link::RecorderSettings& settings, DialerProcess& dialer) {
    FileSystem& fs = real_file_system();
    const std::optional<Wall> dialled = aim(settings, dialer);
    const Rights rights = rights_of(settings, dialled ? Network::dialled : Network::own);
    const bool encodes = may_encode(settings);
    HD_TRY(fs.make_folders(rights.files.change.front(), kFolderMode));
    HD_TRY(fs.make_folders(rights.files.list.front(), kFolderMode));
    if (auto journal = fs.open_append(rights.files.write.front()); !journal) return journal.error();

    // OpenSSL's configuration, and the authorities' certificates, may be anywhere (SSL_CERT_FILE).
    if (speaks_tls(settings))
        if (auto ready = ingest::init_tls(); !ready)
            log::warn("tls.not_ready", "error=\"{}\"", ready.error().what);
    // GLib's sockets ask the desktop's settings for a proxy; there is none for cameras.
    ::setenv("GSETTINGS_BACKEND", "memory", 1);
    // A camera that turns out to need the encoder finds GStreamer's plugins listed: the list is
    // made now if there is none yet. Most cameras never need it, and it would cost each recorder
    // memory.
    if (settings.encode == link::EncodeMode::hub || (encodes && !has_registry(fs)))
        if (auto ready = ingest::init_gstreamer(); !ready)
            log::warn("gstreamer.not_ready", "error=\"{}\"", ready.error().what);
    ::setenv("GST_REGISTRY_UPDATE", "no", 1);
    ::setenv("GST_REGISTRY_FORK", "no", 1);

    std::vector<Wall> walls;
    walls.push_back(
        limit_memory(settings.buffer_bytes * 2 + (encodes ? kMemoryEncoding : kMemoryKept)));
    walls.push_back({"cpu_limit", WallState::partial,
                     "the scheduler shares fairly, a recorder that hangs is ended after 30 s; a "
                     "hard limit is the unit's (CPUQuota)"});
    const Wall empty = dialled ? enter_empty_network() : Wall{};
    walls.push_back(drop_capabilities());
    LandlockWalls land = restrict_files_and_ports(rights.files, rights.ports);
    if (land.files.state == WallState::enforced)
        land.files.detail = "its clips folder and its journal (" + land.files.detail + ")";
    if (land.ports.state == WallState::enforced && rights.calls.udp) {
        land.ports.state = WallState::partial;
        land.ports.detail += "; UDP to any port, for ";
        land.ports.detail += rights.host_by_name ? "the resolver of host names" : "video over UDP";
    }
    const Wall calls = restrict_system_calls(rights.calls);
    if (dialled) {
        walls.push_back(*dialled);
        judge_network(land.ports, walls, calls, empty);
    } else {
        walls.push_back({"hosts", WallState::missing,
                         "it has no dialer and connects by itself, and Landlock knows ports, not "
                         "hosts: set IPAddressAllow in the unit"});
    }
    walls.insert(walls.end(), {land.files, land.ports, land.signals, calls});
    return walls;
}

}  // namespace hd::record
