#include "pipelines/ingest/datagrams.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include "index/base/log.hpp"

namespace hd::ingest {
namespace {

constexpr Micros kMinute = std::chrono::seconds(60);
// Until the first key frames were seen nobody knows how much comes at once.
constexpr Micros kWatchFirst = std::chrono::seconds(10);
// The kernel counts a packet of 1.4 kB as 2.3 kB or, with some network cards, 4.6 kB.
constexpr std::size_t kBytesOfRoom = 4;
// A stream must not keep the reader from its connection and its wake-up.
constexpr int kMostBatches = 64;

}  // namespace

// Memory is only there where packets were written: most have 1.5 kB.
struct Datagrams::Batch {
    static constexpr std::size_t kPackets = 32, kPacketBytes = 65'536;
    std::unique_ptr<std::uint8_t[]> bytes =
        std::make_unique_for_overwrite<std::uint8_t[]>(kPackets * kPacketBytes);
    struct Notes {
        alignas(cmsghdr) std::array<std::uint8_t, 128> bytes;
    };
    std::array<Notes, kPackets> notes;
    std::array<iovec, kPackets> into{};
    std::array<mmsghdr, kPackets> packets{};

    std::uint8_t* room(std::size_t i) { return bytes.get() + i * kPacketBytes; }
    // How many came.
    std::size_t read(int socket) {
        for (std::size_t i = 0; i < kPackets; ++i) {
            into[i] = {room(i), kPacketBytes};
            packets[i] = {};
            packets[i].msg_hdr.msg_iov = &into[i];
            packets[i].msg_hdr.msg_iovlen = 1;
            packets[i].msg_hdr.msg_control = notes[i].bytes.data();
            packets[i].msg_hdr.msg_controllen = notes[i].bytes.size();
        }
        // A port of the camera's that is closed gives one error, and then what else there is.
        int n = -1;
        for (int tries = 0; n < 0 && tries < 3; ++tries) {
            n = ::recvmmsg(socket, packets.data(), kPackets, MSG_DONTWAIT, nullptr);
            if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        }
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
};

Datagrams::Datagrams(CameraId camera, Clock& clock)
    : camera_(camera), clock_(clock), drained_at_(clock.boot()) {}
Datagrams::~Datagrams() = default;

Result<void> Datagrams::begin(Dialer& dialer, RtspClient& client, bool sound, int wake) {
    HD_ASSIGN(ours_.video, dialer.reserve_ports(wake));
    if (sound) {
        HD_ASSIGN(ours_.audio, dialer.reserve_ports(wake));
    }
    client.use_udp(ours_);
    return {};
}

Result<void> Datagrams::join(Dialer& dialer, const RtspClient& client, int wake) {
    const auto& stream = client.stream();
    const auto& sound = client.audio();
    // A way through a firewall or a router opens from inside: packets that say nothing, as other
    // readers send them, too.
    const auto open_way = [](const PortPair& pair, const CameraPorts& camera) {
        constexpr std::array<std::uint8_t, 12> kNoPicture{0x80};
        constexpr std::array<std::uint8_t, 8> kNoReport{0x80, 201, 0, 1};
        if (camera.rtp != 0) ::send(pair.rtp.get(), kNoPicture.data(), kNoPicture.size(), 0);
        if (camera.rtcp != 0) ::send(pair.rtcp.get(), kNoReport.data(), kNoReport.size(), 0);
    };
    if (stream && stream->udp && !video_.rtp) {
        HD_ASSIGN(video_, dialer.join_ports(ours_.video, *stream->udp, wake));
        video_channel_ = stream->rtp_channel;
        report_channel_ = stream->rtcp_channel;
        camera_ports_ = *stream->udp;
        source_ = stream->source;
        open_way(video_, camera_ports_);
        int room = 0;
        socklen_t size = sizeof room;
        ::getsockopt(video_.rtp.get(), SOL_SOCKET, SO_RCVBUF, &room, &size);
        room_ = static_cast<std::size_t>(std::max(room, 0));
        joined_at_ = minute_begin_ = span_begin_ = drained_at_ = clock_.boot();
    }
    if (sound && sound->udp && !audio_.rtp) {
        HD_ASSIGN(audio_, dialer.join_ports(ours_.audio, *sound->udp, wake));
        audio_channel_ = sound->rtp_channel;
        open_way(audio_, *sound->udp);
    }
    return {};
}

std::array<Datagrams::Port, Datagrams::kSockets> Datagrams::ports() const {
    const auto number = [](const Fd& fd) { return fd ? fd.get() : -1; };
    return {Port{number(video_.rtp), video_channel_}, Port{number(video_.rtcp), report_channel_},
            Port{number(audio_.rtp), audio_channel_}};
}

void Datagrams::to_poll(std::span<pollfd, kSockets> out) const {
    const auto all = ports();
    for (std::size_t i = 0; i < kSockets; ++i) out[i] = {all[i].socket, POLLIN, 0};
}

void Datagrams::note_dropped(std::uint32_t dropped, int socket) {
    const std::size_t which = socket == video_.rtp.get() ? 0 : socket == audio_.rtp.get() ? 2 : 1;
    if (dropped_[which] == dropped) return;
    dropped_[which] = dropped;
    most_ = room_;  // No rest for two minutes.
    log::warn("datagrams.dropped", "camera={} packets={} room_bytes={} advice=\"{}\"",
              to_string(camera_), dropped, room_,
              "raise net.core.rmem_max, or set transport to tcp");
}

void Datagrams::receive(const Take& take) {
    if (!batch_) batch_ = std::make_unique<Batch>();
    const BootTime begin = clock_.boot();
    std::size_t video_bytes = 0;
    for (const Port& port : ports()) {
        for (int i = 0; port.socket >= 0 && i < kMostBatches; ++i) {
            const std::size_t got = receive_batch(port, take);
            if (port.socket == video_.rtp.get()) video_bytes += got;
            if (got == 0) break;
        }
    }
    drained_at_ = begin;
    note_burst(begin, video_bytes);
}

// 0: there is no more.
std::size_t Datagrams::receive_batch(const Port& port, const Take& take) {
    const std::size_t count = batch_->read(port.socket);
    if (count == 0) return 0;
    timespec wall{};
    ::clock_gettime(CLOCK_REALTIME, &wall);
    const BootTime now = clock_.boot();
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
        mmsghdr& packet = batch_->packets[i];
        Micros age{0};
        for (cmsghdr* c = CMSG_FIRSTHDR(&packet.msg_hdr); c; c = CMSG_NXTHDR(&packet.msg_hdr, c)) {
            if (c->cmsg_level != SOL_SOCKET) continue;
            if (c->cmsg_type == SCM_TIMESTAMPNS) {
                timespec stamp{};
                std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
                age = Micros((wall.tv_sec - stamp.tv_sec) * 1'000'000 +
                             (wall.tv_nsec - stamp.tv_nsec) / 1000);
            } else if (c->cmsg_type == SO_RXQ_OVFL) {
                std::uint32_t dropped = 0;
                std::memcpy(&dropped, CMSG_DATA(c), sizeof dropped);
                note_dropped(dropped, port.socket);
            }
        }
        heard_ = true;
        bytes += packet.msg_len;
        // The wall clock, by which the kernel stamps, may have been set meanwhile.
        const BootTime arrival =
            now - std::clamp(age, Micros(0), std::max(Micros(0), now - drained_at_));
        take(port.channel, {batch_->room(i), packet.msg_len}, arrival);
    }
    return bytes + 1;  // Empty packets count, too.
}

void Datagrams::note_burst(BootTime now, std::size_t bytes) {
    if (now - minute_begin_ >= kMinute) {
        most_before_ = std::exchange(most_, 0);
        minute_begin_ = now;
    }
    if (now - span_begin_ >= kRest) {
        span_begin_ = now;
        span_bytes_ = 0;
    }
    span_bytes_ += bytes;
    most_ = std::max(most_, span_bytes_);
}

bool Datagrams::may_rest() const {
    if (!video_.rtp) return true;
    return clock_.boot() - joined_at_ >= kWatchFirst &&
           std::max(most_, most_before_) * kBytesOfRoom <= room_;
}

void Datagrams::send(ByteView report) {
    if (video_.rtcp && camera_ports_.rtcp != 0)
        ::send(video_.rtcp.get(), report.data(), report.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::string Datagrams::silence() const {
    return fmt::format(
        "camera plays, but nothing comes by UDP to port {}{}: a firewall or a router on the way? "
        "set transport = \"tcp\", or let UDP through",
        ours_.video,
        source_.empty() ? "" : fmt::format(" (it says that it sends from {})", source_));
}

}  // namespace hd::ingest
