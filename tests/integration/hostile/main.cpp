// A recorder that was taken over: it records like halfdoor-recorder, behind the same walls, and
// meanwhile does what <runtime>/attack-<camera id> told it before it was confined, one line each.
// For test_hub_walls.py; never installed.
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "index/base/log.hpp"
#include "pipelines/record/confinement.hpp"
#include "pipelines/record/recorder.hpp"

namespace {

using namespace hd;

std::atomic<bool> g_stop{false};
void on_signal(int) { g_stop = true; }

std::string outcome(bool done) {
    if (done) return "done";
    const char* name = ::strerrorname_np(errno);
    return name != nullptr ? name : "failed";
}

std::string open_file(const std::string& path, int flags) {
    return outcome(static_cast<bool>(Fd(::open(path.c_str(), flags, 0600))));
}

std::string list_folder(const std::string& path) {
    DIR* dir = ::opendir(path.c_str());
    const std::string out = outcome(dir != nullptr);
    if (dir != nullptr) ::closedir(dir);
    return out;
}

// Of "HOST PORT", IPv4.
sockaddr_in address_of(const std::string& target) {
    const auto space = target.find(' ');
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(static_cast<std::uint16_t>(std::stoi(target.substr(space + 1))));
    ::inet_pton(AF_INET, target.substr(0, space).c_str(), &out.sin_addr);
    return out;
}

std::string use_socket(const std::string& target, int type, bool listen) {
    const sockaddr_in address = address_of(target);
    const Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    if (!fd) return outcome(false);
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    if (listen)
        return outcome(::bind(fd.get(), where, sizeof address) == 0 && ::listen(fd.get(), 1) == 0);
    return outcome(::connect(fd.get(), where, sizeof address) == 0);
}

// The connection that the dialer gave to the reader, or its first datagram socket, as soon as there
// is one.
int camera_socket(int wanted = SOCK_STREAM) {
    for (int tries = 0; tries < 200; ++tries) {
        for (int fd = 3; fd < 64; ++fd) {
            sockaddr_in peer{};
            socklen_t size = sizeof peer;
            int type = 0;
            socklen_t type_size = sizeof type;
            if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
                peer.sin_family == AF_INET &&
                ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == wanted)
                return fd;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return -1;
}

// Takes it apart and makes it anew to "HOST PORT" of IPv4, by connect() or with the first bytes.
std::string turn_connection(const std::string& target, bool with_bytes) {
    const int fd = camera_socket();
    if (fd < 0) return "no_connection";
    sockaddr_in address{};
    address.sin_family = AF_UNSPEC;
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    static_cast<void>(::connect(fd, where, sizeof address.sin_family));
    address = address_of(target);
    if (with_bytes)
        return outcome(::sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, where, sizeof address) ==
                       1);
    return outcome(::connect(fd, where, sizeof address) == 0);
}

// A datagram from the camera's socket to "HOST PORT", by one of the calls that take an address.
std::string send_datagram(const std::string& target, std::string_view how) {
    const int fd = camera_socket(SOCK_DGRAM);
    if (fd < 0) return "no_socket";
    sockaddr_in address = address_of(target);
    auto* where = reinterpret_cast<sockaddr*>(&address);
    if (how == "udp_turn") return outcome(::connect(fd, where, sizeof address) == 0);
    if (how == "udp_sendto") return outcome(::sendto(fd, "x", 1, 0, where, sizeof address) == 1);
    char byte = 'x';
    iovec bytes{&byte, 1};
    mmsghdr message{};
    message.msg_hdr.msg_name = where;
    message.msg_hdr.msg_namelen = sizeof address;
    message.msg_hdr.msg_iov = &bytes;
    message.msg_hdr.msg_iovlen = 1;
    if (how == "udp_sendmsg") return outcome(::sendmsg(fd, &message.msg_hdr, 0) == 1);
    return outcome(::sendmmsg(fd, &message, 1, 0) == 1);
}

// The recorder's end of the pair of sockets that it shares with its dialer.
int dialer_socket() {
    static_cast<void>(camera_socket());  // The reader's own call is answered then.
    for (int fd = 3; fd < 64; ++fd) {
        // A pair of sockets has no names; the link to the hub has one at its other end.
        sockaddr_un peer{};
        socklen_t size = sizeof peer;
        int type = 0;
        socklen_t type_size = sizeof type;
        if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
            peer.sun_family == AF_UNIX && size == sizeof peer.sun_family &&
            ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_SEQPACKET)
            return fd;
    }
    return -1;
}

// Nothing: the dialer ended.
std::optional<ingest::DialReply> ask_dialer(int fd, const ingest::DialRequest& request) {
    const Bytes packet = ingest::encode(request);
    static_cast<void>(!::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL));
    std::array<std::uint8_t, 512> answer{};
    const ssize_t n = ::recv(fd, answer.data(), answer.size(), 0);
    if (n <= 0) return std::nullopt;
    return ingest::decode_dial_reply(ByteView(answer).first(static_cast<std::size_t>(n)));
}

// "HOST PORT": tells the dialer to go there from now on.
std::string aim_dialer(const std::string& target) {
    const auto space = target.find(' ');
    const ingest::DialTarget there{target.substr(0, space), target.substr(space + 1)};
    const int fd = dialer_socket();
    if (fd < 0) return "no_dialer";
    return ask_dialer(fd, ingest::Aim{there}) ? "done" : "dialer_ended";
}

// "PORT" of the camera's host: a pair of datagram sockets to it.
std::string join_ports(const std::string& port) {
    static_cast<void>(camera_socket(SOCK_DGRAM));  // The reader has its own.
    const int fd = dialer_socket();
    if (fd < 0) return "no_dialer";
    const auto reserved = ask_dialer(fd, ingest::Reserve{1u << 31});
    const auto* pair = reserved ? std::get_if<ingest::Reserved>(&*reserved) : nullptr;
    if (pair == nullptr || pair->port == 0) return "not_reserved";
    const auto wanted = static_cast<std::uint16_t>(std::stoi(port));
    const auto joined = ask_dialer(fd, ingest::Join{1u << 31, pair->port, {wanted, wanted}});
    const auto* dialled = joined ? std::get_if<ingest::Dialled>(&*joined) : nullptr;
    return dialled != nullptr && dialled->connected ? "done" : "refused";
}

// A socket that has a name, but no file.
std::string use_abstract(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    return outcome(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
}

std::string start_program() {
    ::execl("/bin/true", "true", nullptr);
    return outcome(false);
}

std::string fork_child() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    return outcome(pid > 0);
}

[[noreturn]] void leak() {
    constexpr std::size_t kStep = 4 << 20;
    std::vector<std::vector<char>> all;
    while (true) {
        all.emplace_back(kStep, 'x');
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

std::string attack(const std::string& verb, const std::string& rest) {
    if (verb == "read") return open_file(rest, O_RDONLY | O_CLOEXEC);
    if (verb == "write") return open_file(rest, O_WRONLY | O_CREAT | O_CLOEXEC);
    if (verb == "append") return open_file(rest, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (verb == "list") return list_folder(rest);
    if (verb == "unlink") return outcome(::unlink(rest.c_str()) == 0);
    if (verb == "tcp") return use_socket(rest, SOCK_STREAM, false);
    if (verb == "udp") return use_socket(rest, SOCK_DGRAM, false);
    if (verb == "listen") return use_socket(rest, SOCK_STREAM, true);
    if (verb == "turn") return turn_connection(rest, false);
    if (verb == "turn_with_bytes") return turn_connection(rest, true);
    if (verb.starts_with("udp_")) return send_datagram(rest, verb);
    if (verb == "aim") return aim_dialer(rest);
    if (verb == "join") return join_ports(rest);
    if (verb == "abstract") return use_abstract(rest);
    if (verb == "cut") return outcome(::shutdown(camera_socket(), SHUT_RDWR) == 0);
    if (verb == "netlink")
        return outcome(static_cast<bool>(Fd(::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE))));
    if (verb == "raw") return outcome(static_cast<bool>(Fd(::socket(AF_PACKET, SOCK_RAW, 0))));
    if (verb == "signal") return outcome(::kill(std::stoi(rest), 0) == 0);
    if (verb == "fork") return fork_child();
    if (verb == "execve") return start_program();
    if (verb == "ptrace") return outcome(::ptrace(PTRACE_ATTACH, std::stoi(rest), 0, 0) == 0);
    if (verb == "become_root") return outcome(::setresuid(0, 0, 0) == 0);
    if (verb == "abort") ::raise(SIGSEGV);
    if (verb == "leak") leak();
    if (verb == "spin")
        while (true) std::atomic_signal_fence(std::memory_order_seq_cst);
    if (verb == "wait") std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(rest)));
    return "done";
}

// What a camera's bytes that took over the reader would do: in its process, on a thread of it.
class TakenOver final : public ingest::Source {
  public:
    TakenOver(std::unique_ptr<ingest::Source> source, std::vector<std::string> lines)
        : source_(std::move(source)), lines_(std::move(lines)) {}
    Result<void> start() override {
        HD_TRY(source_->start());
        static std::atomic<bool> begun{false};  // Once, not for each connection.
        if (begun.exchange(true)) return {};
        std::thread([lines = lines_] {
            for (const std::string& line : lines) {
                const auto space = std::min(line.find(' '), line.size());
                const std::string rest = line.substr(std::min(space + 1, line.size()));
                log::warn("attack.begins", "what=\"{}\"", line);
                log::warn("attack.result", "what=\"{}\" outcome={}", line,
                          attack(line.substr(0, space), rest));
            }
        }).detach();
        return {};
    }
    Result<void> stop(BootTime deadline) override { return source_->stop(deadline); }
    ingest::SourceStats stats() const override { return source_->stats(); }

  private:
    std::unique_ptr<ingest::Source> source_;
    const std::vector<std::string> lines_;
};

std::vector<std::string> read_lines(const std::string& path) {
    std::vector<std::string> out;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5 || argv[1] != std::string_view("--link")) return 2;
    const std::string link = argv[2], id = argv[4];
    auto lines = read_lines(join(parent_folder(link), "attack-" + id));
    std::vector<Wall> walls = record::leave_privileges();
    record::DialerProcess dialer = record::start_dialer(system_clock());
    // As if there could not be one.
    if (std::erase(lines, "alone") > 0) dialer.dismiss();
    std::signal(SIGTERM, on_signal);
    std::signal(SIGPIPE, SIG_IGN);
    const auto camera = parse_id<CameraId>(id, "--camera");
    if (!camera) return 2;
    log::set_program("taken-over " + id.substr(0, 8));
    record::Recorder recorder(
        {.link_path = link, .camera = *camera},
        {.fs = real_file_system(),
         .clock = system_clock(),
         .make_source =
             [&](const link::RecorderSettings& settings, Clock& clock, ingest::Ingress& ingress,
                 std::shared_ptr<ingest::EncoderDesk> desk) {
                 return std::make_unique<TakenOver>(
                     ingest::make_rtsp_source(settings, clock, ingress, std::move(desk),
                                              dialer.dialer),
                     lines);
             },
         .confine =
             [&](const link::RecorderSettings& settings) {
                 return record::confine(settings, dialer);
             },
         .walls = std::move(walls),
         .connect_link = link::LinkChannel::connect_from_folder});
    if (!recorder.take_lock()) return static_cast<int>(record::Ended::already);
    const auto ended = recorder.run(g_stop);
    ::_exit(static_cast<int>(ended));
}
