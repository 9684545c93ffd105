#include "pipelines/ingest/lean_reader.hpp"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "index/base/crypto.hpp"
#include "pipelines/ingest/access_unit.hpp"

namespace hd::ingest {
namespace {

using journal::GapCause;

// Bytes are read so often and not as they come: waking up, here and in the threads behind, costs
// more than the bytes do. The kernel notes when the last of them came, so no time is falsified; and
// it is far below the second in which a piece closes.
constexpr int kRestMs = 80;
constexpr std::size_t kReadBytes = 64 << 10;
// Over some 3 Mbit/s a rest would fill the socket's buffer, and the camera would have to wait.
constexpr std::size_t kRestBelow = 32 << 10;
constexpr std::size_t kBufferBytes = kRtspMaxItem + kReadBytes;
// What we say is short; a camera that does not read for so long is gone.
constexpr std::size_t kMaxOutput = 64 << 10;
// Of an interleaved packet, up to the SSRC.
constexpr std::size_t kSureBytes = 16;
// A camera that talks for a second or so and makes no sense.
constexpr std::size_t kMaxGarbage = 1 << 20;
constexpr Micros kReportPeriod = std::chrono::seconds(10);
// A camera that lives answers TEARDOWN in a few ms; one that does not is not waited for.
constexpr int kTeardownMs = 100;

}  // namespace

LeanReader::LeanReader(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
                       std::function<void()> on_jpeg, std::shared_ptr<Dialer> dialer)
    : settings_(settings),
      clock_(clock),
      ingress_(ingress),
      on_jpeg_(std::move(on_jpeg)),
      dialer_(std::move(dialer)),
      client_(settings.url, settings.user, settings.password,
              settings.audio == link::AudioMode::keep ? RtspClient::Sound::ask
                                                      : RtspClient::Sound::leave),
      reorder_(settings.jitter_latency) {}

Result<void> LeanReader::prepare() {
    HD_ASSIGN(const RtspUrl url, parse_rtsp_url(settings_.url));
    if (!dialer_) dialer_ = std::make_shared<DirectDialer>(DialTarget{url.host, url.port}, clock_);
    wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return errno_error(errno, "eventfd");
    return {};
}

void LeanReader::close() {
    stop_ = true;
    const std::uint64_t one = 1;
    if (wake_) static_cast<void>(!::write(wake_.get(), &one, sizeof one));
    const std::lock_guard lock(closing_mutex_);
    closed_ = true;
}

SourceStats LeanReader::stats() const {
    const std::lock_guard lock(clock_mutex_);
    return {frames_.load(), bytes_.load(), unusable_.load(), camera_clock_.value()};
}

void LeanReader::push(SourceEvent event) {
    const std::lock_guard lock(closing_mutex_);
    if (!closed_) ingress_.push(std::move(event));
}

void LeanReader::lose(GapCause cause, std::string detail, Remedy remedy) {
    // Being asked for its sound was too much for this camera: its video comes first.
    if (client_.waits_for_audio() && !asked_to_stop()) {
        again_without_audio_ = true;
        return;
    }
    push(Lost{cause, std::move(detail), remedy});
    stop_ = true;
}

GapCause LeanReader::closed_cause() const {
    return connected_ ? GapCause::closed : GapCause::unreachable;
}

void LeanReader::run() {
    deadline_ = clock_.boot() + settings_.first_frame_timeout;
    run_once();
    if (!again_without_audio_ || asked_to_stop()) return;
    client_.forget_session();
    log::warn("audio.left_out", "camera={} why=\"the camera hung up when it was asked for sound\"",
              to_string(settings_.camera));
    output_.clear();
    begin_ = end_ = 0;
    run_once();
}

void LeanReader::run_once() {
    if (!connect_camera()) return;
    converse();
    hang_up();
    socket_ = Fd();
    buffer_.reset();
    if (client_.offers_jpeg_only() && on_jpeg_) on_jpeg_();
}

bool LeanReader::connect_camera() {
    auto connected = dialer_->dial(deadline_, wake_.get());
    if (connected) {
        socket_ = std::move(*connected);
        return true;
    }
    if (!asked_to_stop()) {
        const bool gone = connected.error().code == ErrorCode::exhausted;
        lose(GapCause::unreachable, connected.error().what,
             gone ? Remedy::new_process : Remedy::new_source);
    }
    return false;
}

void LeanReader::converse() {
    buffer_ = std::make_unique_for_overwrite<std::uint8_t[]>(kBufferBytes);
    client_.start();
    while (!asked_to_stop() && !again_without_audio_) {
        if (!send_output()) return lose(closed_cause(), "camera closed the connection");
        if (!wait_for_bytes()) continue;
        if (!receive() || !take_items()) return;
    }
}

int LeanReader::patience_ms() const {
    const Micros left = connected_ ? Micros(std::chrono::seconds(1)) : deadline_ - clock_.boot();
    return static_cast<int>(std::clamp<std::int64_t>(left.count() / 1000 + 1, 1, 1000));
}

// False: nothing to read yet.
bool LeanReader::wait_for_bytes() {
    // If nothing came meanwhile, receive() finds nothing, and the next wait is for bytes.
    if (connected_ && std::exchange(rest_due_, false) && output_.empty()) {
        pollfd wake{wake_.get(), POLLIN, 0};
        ::poll(&wake, 1, kRestMs);
        tick(clock_.boot());
        return true;
    }
    std::array<pollfd, 2> fds{
        pollfd{socket_.get(), static_cast<short>(output_.empty() ? POLLIN : POLLIN | POLLOUT), 0},
        pollfd{wake_.get(), POLLIN, 0}};
    const int ready = ::poll(fds.data(), 2, patience_ms());
    const BootTime now = clock_.boot();
    tick(now);
    if (!connected_ && now > deadline_)
        lose(GapCause::unreachable, "camera did not answer in time");
    return ready > 0 && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

void LeanReader::tick(BootTime now) {
    client_.tick(now);
    say_alive(now);
}

// When the last of the bytes that were read came, if the kernel says so; else now.
BootTime LeanReader::arrival_of(const msghdr& read) const {
    const BootTime now = clock_.boot();
    for (const cmsghdr* c = CMSG_FIRSTHDR(&read); c;
         c = CMSG_NXTHDR(const_cast<msghdr*>(&read), const_cast<cmsghdr*>(c))) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
        timespec stamp{}, wall{};
        std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
        ::clock_gettime(CLOCK_REALTIME, &wall);
        const Micros age((wall.tv_sec - stamp.tv_sec) * 1'000'000 +
                         (wall.tv_nsec - stamp.tv_nsec) / 1000);
        // The wall clock may have been set meanwhile.
        return now - std::clamp(age, Micros(0), now - read_at_);
    }
    return now;
}

// False: the connection is over, and said so.
bool LeanReader::receive() {
    if (begin_ == end_) begin_ = end_ = 0;
    if (kBufferBytes - end_ < kReadBytes) {
        std::copy(buffer_.get() + begin_, buffer_.get() + end_, buffer_.get());
        end_ -= std::exchange(begin_, 0);
    }
    iovec space{buffer_.get() + end_, kReadBytes};
    alignas(cmsghdr) std::array<std::uint8_t, 64> notes;
    msghdr read{};
    read.msg_iov = &space;
    read.msg_iovlen = 1;
    read.msg_control = notes.data();
    read.msg_controllen = notes.size();
    const ssize_t n = ::recvmsg(socket_.get(), &read, 0);
    if (n > 0) {
        read_at_ = arrival_of(read);
        end_ += static_cast<std::size_t>(n);
        rest_due_ = static_cast<std::size_t>(n) < kRestBelow;
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    lose(closed_cause(), n == 0 ? "camera closed the connection" : "camera reset the connection");
    return false;
}

// Random bytes hold dollar signs, and one that is taken for a packet swallows up to 64 KiB of
// video. So after garbage only a packet counts whose source is the one that we know.
bool LeanReader::surely_ours(ByteView head) const {
    const RtspStream& stream = *client_.stream();
    const std::size_t at = head[1] == stream.rtp_channel ? 12 : 8;  // of the SSRC
    const std::uint32_t ssrc = std::uint32_t{head[at]} << 24 | std::uint32_t{head[at + 1]} << 16 |
                               std::uint32_t{head[at + 2]} << 8 | head[at + 3];
    return (head[1] == stream.rtp_channel || head[1] == stream.rtcp_channel) && ssrc == ssrc_;
}

// False: it is over.
bool LeanReader::take_items() {
    // This is when the last packet came. Those before it came earlier; the media clock goes by the
    // packets that were least late.
    const BootTime arrival = read_at_;
    while (begin_ < end_) {
        if (lost_track_ && buffer_[begin_] == '$') {
            if (end_ - begin_ < kSureBytes) break;
            if (!surely_ours({buffer_.get() + begin_, kSureBytes})) {
                ++begin_;
                continue;
            }
        }
        const RtspItem item = next_item({buffer_.get() + begin_, end_ - begin_});
        if (item.kind == RtspItem::Kind::incomplete) break;
        begin_ += item.size;
        const bool garbage = item.kind == RtspItem::Kind::garbage;
        lost_track_ = garbage && ssrc_;
        garbage_bytes_ = garbage ? garbage_bytes_ + item.size : 0;
        if (item.kind == RtspItem::Kind::packet) {
            take_packet(item.channel, item.payload, arrival);
        } else if (item.kind == RtspItem::Kind::message) {
            client_.take(item.message, read_at_);
            if (client_.phase() == RtspClient::Phase::playing) begin_stream();
            if (client_.lost()) {
                if (!(client_.offers_jpeg_only() && on_jpeg_))
                    lose(client_.lost()->cause, client_.lost()->detail);
                return false;
            }
        } else if (garbage_bytes_ > kMaxGarbage) {
            lose(closed_cause(), "camera sends what is not RTSP");
            return false;
        }
    }
    return true;
}

void LeanReader::begin_stream() {
    if (std::exchange(connected_, true)) return;
    const RtspStream& stream = *client_.stream();
    depacketizer_.emplace(stream.codec);
    for (const Bytes& set : parameter_sets_of(stream.media)) depacketizer_->add_parameter_set(set);
    media_clock_.emplace(stream.media.clock_rate);
    next_report_ = clock_.boot() + kReportPeriod;
    push(Connected{});
    AudioFormat sound;
    sound.words = again_without_audio_ ? "not recorded: the camera hung up when asked for it"
                                       : client_.audio_words();
    if (client_.audio()) {
        audio_.emplace(client_.audio()->payload);
        sound = audio_->payload().format;
    }
    push(std::move(sound));
}

void LeanReader::take_packet(std::uint8_t channel, ByteView payload, BootTime arrival) {
    if (!client_.stream()) return;
    const RtspStream& stream = *client_.stream();
    if (channel == stream.rtcp_channel && channel != stream.rtp_channel) {
        if (connected_) take_rtcp(payload, arrival);
        return;
    }
    const auto& sound = client_.audio();
    if (channel != stream.rtp_channel && !(sound && channel == sound->rtp_channel)) return;
    const auto packet = parse_rtp(payload);
    if (!packet) return;
    // Some cameras send both on one channel: the payload type tells them apart.
    if (packet->payload_type != stream.media.payload_type) {
        if (connected_ && sound && packet->payload_type == sound->payload.payload_type)
            take_audio(*packet, arrival);
        return;
    }
    // The picture may overtake the answer to PLAY.
    begin_stream();
    if (ssrc_ != packet->ssrc) {
        ssrc_ = packet->ssrc;
        media_clock_->restart();
        reorder_.restart();
        last_report_.reset();
    }
    if (reorder_.take(*packet, payload, arrival)) take_video(*packet, arrival);
    release_held(arrival);
}

void LeanReader::take_video(const RtpPacket& packet, BootTime arrival) {
    units_.clear();
    depacketizer_->push(packet, arrival, units_);
    unusable_ = depacketizer_->counts().damaged_units + depacketizer_->counts().unusable_units;
    for (AccessUnit& unit : units_) deliver(std::move(unit));
}

void LeanReader::release_held(BootTime now) {
    while (const auto held = reorder_.release(now))
        if (const auto packet = parse_rtp(held->whole)) take_video(*packet, held->arrival);
}

void LeanReader::take_audio(const RtpPacket& packet, BootTime arrival) {
    if (!audio_) return;
    audio_frames_.clear();
    audio_->take(packet, arrival, audio_frames_);
    for (AudioFrame& frame : audio_frames_) push(std::move(frame));
}

void LeanReader::deliver_format(const AccessUnit::Format& format) {
    StreamFormat out;
    out.codec = client_.stream()->codec;
    out.codec_config = format.codec_config;
    auto name = rfc6381_codec(out.codec, out.codec_config);
    if (!name) return;
    out.rfc6381 = *std::move(name);
    out.width = static_cast<std::uint16_t>(format.facts.width);
    out.height = static_cast<std::uint16_t>(format.facts.height);
    out.encoder = "camera";
    out.encoder_why = "stream as sent";
    const double rate = client_.stream()->media.frame_rate;
    out.frame_duration = format.facts.frame_duration;
    if (out.frame_duration == Micros(0) && rate >= 1)
        out.frame_duration = Micros(std::llround(1e6 / rate));
    const bool same = format_ && format_->codec_config == out.codec_config;
    if (same) return;
    times_.restart(reorder_depth(out.codec, out.codec_config), out.frame_duration);
    format_ = out;
    push(std::move(out));
}

void LeanReader::deliver(AccessUnit&& unit) {
    if (unit.format) deliver_format(*unit.format);
    if (!format_) return;
    Frame frame;
    frame.bytes = *unit.bytes;
    const EntryPoint entry = entry_point(format_->codec, frame.bytes);
    frame.idr = entry == EntryPoint::idr;
    frame.cra = entry == EntryPoint::cra;
    const auto times = times_.next(media_clock_->map(unit.timestamp, unit.arrival));
    frame.pts = times.pts;
    frame.dts = times.dts;
    frame.owner = std::move(unit.bytes);
    ++frames_;
    bytes_ += frame.bytes.size();
    push(std::move(frame));
}

void LeanReader::take_rtcp(ByteView payload, BootTime arrival) {
    const RtcpFacts facts = parse_rtcp(payload);
    if (!facts.report || (ssrc_ && facts.report->ssrc != *ssrc_)) return;
    last_report_ = facts.report;
    last_report_at_ = arrival;
    const auto camera = facts.report->utc();
    const auto hub = media_clock_->where(facts.report->timestamp);
    if (!camera || !hub) return;
    const WallTime hub_utc{hub->us + wall_minus_boot(clock_).count()};
    const std::lock_guard lock(clock_mutex_);
    camera_clock_.add(*camera - hub_utc);
}

void LeanReader::report_losses(BootTime now) {
    const auto& counts = depacketizer_->counts();
    if (counts.damaged_units == losses_said_) return;
    std::uint64_t suppressed = 0;
    if (!loss_log_.allow(now.us, suppressed)) return;
    losses_said_ = counts.damaged_units;
    log::warn("frames.damaged",
              "camera={} frames={} packets={} why=\"the camera left packets out\"",
              to_string(settings_.camera), counts.damaged_units, counts.lost_packets);
}

// A receiver report now and then: some servers end sessions of which they hear nothing.
void LeanReader::say_alive(BootTime now) {
    if (!connected_ || now < next_report_) return;
    next_report_ = now + kReportPeriod;
    report_losses(now);
    if (!ssrc_) return;
    ReceiverState state;
    std::array<std::uint8_t, 4> random{};
    random_bytes(random);
    state.our_ssrc = std::uint32_t{random[0]} << 24 | std::uint32_t{random[1]} << 16 |
                     std::uint32_t{random[2]} << 8 | random[3];
    state.camera_ssrc = *ssrc_;
    state.highest_sequence = depacketizer_->counts().highest_sequence;
    state.lost = depacketizer_->counts().lost_packets;
    if (last_report_) {
        state.last_report = static_cast<std::uint32_t>(last_report_->ntp >> 16);
        const std::int64_t us = (now - last_report_at_).count();
        state.since_last_report = static_cast<std::uint32_t>(us * 65'536 / 1'000'000);
    }
    const Bytes report = format_receiver_report(state);
    output_.push_back('$');
    output_.push_back(static_cast<char>(client_.stream()->rtcp_channel));
    output_.push_back(static_cast<char>(report.size() >> 8));
    output_.push_back(static_cast<char>(report.size()));
    output_ += as_text(report);
}

// False: the connection is over, or the camera does not read.
bool LeanReader::send_output() {
    output_ += client_.take_output();
    while (!output_.empty()) {
        const ssize_t n = ::send(socket_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return output_.size() <= kMaxOutput;
        if (n <= 0) return false;
        output_.erase(0, static_cast<std::size_t>(n));
    }
    return true;
}

void LeanReader::hang_up() {
    client_.teardown();
    if (!send_output() || client_.phase() != RtspClient::Phase::ended || client_.lost()) return;
    ::shutdown(socket_.get(), SHUT_WR);
    // Unread bytes would turn our close into a reset, which may overtake the TEARDOWN.
    const BootTime until = clock_.boot() + std::chrono::milliseconds(kTeardownMs);
    while (true) {
        const std::int64_t left = (until - clock_.boot()).count() / 1000;
        pollfd fd{socket_.get(), POLLIN, 0};
        if (left <= 0 || ::poll(&fd, 1, static_cast<int>(left)) <= 0) return;
        if (::recv(socket_.get(), buffer_.get(), kReadBytes, 0) <= 0) return;
    }
}

}  // namespace hd::ingest
