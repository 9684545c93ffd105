#include "pipelines/ingest/lean_reader.hpp"

#include <array>
#include <cerrno>
#include <span>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "index/base/log.hpp"

namespace hd::ingest {
namespace {

using journal::GapCause;

// Bytes are read so often and not as they come: waking up, here and in the threads behind, costs
// more than the bytes do. The kernel notes when the last of them came, so no time is falsified; and
// it is far below the second in which a piece closes.
constexpr int kRestMs = static_cast<int>(Datagrams::kRest.count() / 1000);
// Over some 3 Mbit/s a rest would fill the socket's buffer, and the camera would have to wait.
constexpr std::size_t kRestBelow = 32 << 10;
// What we say is short; a camera that does not read for so long is gone.
constexpr std::size_t kMaxOutput = 64 << 10;
// A camera that talks for a second or so and makes no sense.
constexpr std::size_t kMaxGarbage = 1 << 20;
// A camera that lives answers TEARDOWN in a few ms; one that does not is not waited for.
constexpr int kTeardownMs = 100;

// An alert or a handshake: what a TLS server says to whoever does not begin with TLS.
bool is_tls_record(ByteView bytes) {
    return bytes.size() >= 3 && (bytes[0] == 0x15 || bytes[0] == 0x16) && bytes[1] == 3;
}

}  // namespace

LeanReader::LeanReader(const link::RecorderSettings& settings, Clock& clock, Ingress& ingress,
                       std::shared_ptr<EncoderDesk> desk, std::shared_ptr<Dialer> dialer)
    : settings_(settings),
      clock_(clock),
      ingress_(ingress),
      desk_(std::move(desk)),
      dialer_(std::move(dialer)),
      client_(settings.url, settings.user, settings.password,
              settings.audio == link::AudioMode::keep ? RtspClient::Sound::ask
                                                      : RtspClient::Sound::leave,
              settings.encode == link::EncodeMode::camera ? RtspClient::Jpeg::refuse
                                                          : RtspClient::Jpeg::take),
      feed_(settings, desk_, clock,
            {.push = [this](SourceEvent e) { push(std::move(e)); },
             .lose =
                 [this](Lost lost) {
                     say_lost(std::move(lost));
                     wake();
                 }}),
      receiver_(
          settings, client_, clock, [this](SourceEvent e) { push(std::move(e)); },
          [this] { return begin_encoding(); }) {}

Result<void> LeanReader::prepare() {
    HD_ASSIGN(url_, parse_rtsp_url(settings_.url));
    const bool udp = settings_.transport == link::RtspTransport::udp;
    if (udp && url_.tls)
        return Error{
            ErrorCode::invalid,
            "rtsps:// needs transport = \"tcp\": by UDP the video would come in the clear"};
    if (!dialer_)
        dialer_ = std::make_shared<DirectDialer>(DialTarget{url_.host, url_.port, udp}, clock_);
    wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return errno_error(errno, "eventfd");
    return {};
}

void LeanReader::wake() {
    const std::uint64_t one = 1;
    if (wake_) static_cast<void>(!::write(wake_.get(), &one, sizeof one));
}

void LeanReader::close() {
    stop_ = true;
    wake();
    const std::lock_guard lock(closing_mutex_);
    closed_ = true;
}

void LeanReader::push(SourceEvent event) {
    const auto* frame = std::get_if<Frame>(&event);
    if (frame) bytes_ += frame->bytes.size();
    if (frame) ++frames_;
    const std::lock_guard lock(closing_mutex_);
    if (!closed_) ingress_.push(std::move(event));
}

void LeanReader::say_lost(Lost lost) {
    if (!lost_.exchange(true)) push(std::move(lost));
    stop_ = true;
}

SourceStats LeanReader::stats() const {
    return {frames_.load(), bytes_.load(), receiver_.unusable_frames(), receiver_.camera_clock()};
}

// Null: the camera's own stream is kept.
EncodeFeed* LeanReader::begin_encoding() {
    const RtspStream& stream = *client_.stream();
    if (stream.is_jpeg()) desk_->need("camera sends JPEG", clock_.boot());
    if (!desk_->needed()) return nullptr;
    feed_.begin(stream.media);
    return &feed_;
}

void LeanReader::lose(GapCause cause, std::string detail, Remedy remedy) {
    // Being asked for its sound was too much for this camera: its video comes first.
    if (client_.waits_for_audio() && !asked_to_stop()) {
        again_without_audio_ = true;
        return;
    }
    say_lost(Lost{cause, std::move(detail), remedy});
}

void LeanReader::lose_connection() {
    Lost lost = stream_->lost();
    if (lost.detail.empty()) return lose(GapCause::closed, "camera does not read what it is sent");
    // One that ended before the camera played was none.
    if (lost.cause == GapCause::closed && !receiver_.begun()) lost.cause = GapCause::unreachable;
    if (!camera_spoke_ && !url_.tls)
        lost.detail += " before it said a word; does it want rtsps:// on this port?";
    lose(lost.cause, std::move(lost.detail));
}

void LeanReader::run() {
    deadline_ = clock_.boot() + settings_.first_frame_timeout;
    run_once();
    if (again_without_audio_ && !asked_to_stop()) {
        client_.begin_again_without_audio();
        log::warn("audio.left_out",
                  "camera={} why=\"the camera hung up when it was asked for sound\"",
                  to_string(settings_.camera));
        run_once();
    }
    feed_.stop();  // The camera has been hung up on: a driver that hangs keeps no session open.
}

void LeanReader::run_once() {
    again_without_audio_ = camera_spoke_ = rest_due_ = false;
    output_.clear();
    if (connect_camera()) {
        converse();
        hang_up();
    }
    stream_.reset();
    datagrams_.reset();
    buffer_.release();
}

void LeanReader::converse() {
    client_.start();
    while (!asked_to_stop() && !again_without_audio_) {
        if (!send_output()) return lose_connection();
        if (!wait_for_bytes()) continue;
        if (!receive() || !take_items()) return;
    }
}

int LeanReader::patience_ms() const {
    const bool silent = receiver_.begun() && datagrams_ && datagrams_->silent();
    const Micros left = silent              ? silence_until() - clock_.boot()
                        : receiver_.begun() ? Micros(std::chrono::seconds(1))
                                            : deadline_ - clock_.boot();
    return static_cast<int>(std::clamp<std::int64_t>(left.count() / 1000 + 1, 1, 1000));
}

// False: nothing to read yet.
bool LeanReader::wait_for_bytes() {
    if (stream_->holds_bytes()) {
        tick(clock_.boot());
        return true;
    }
    // If nothing came meanwhile, receive() finds nothing, and the next wait is for bytes.
    if (receiver_.begun() && std::exchange(rest_due_, false) && output_.empty()) {
        pollfd wake{wake_.get(), POLLIN, 0};
        ::poll(&wake, 1, kRestMs);
        tick(clock_.boot());
        if (!datagrams_) return true;
    }
    std::array<pollfd, 2 + Datagrams::kSockets> fds{
        pollfd{stream_->socket(), stream_->events(!output_.empty()), 0},
        pollfd{wake_.get(), POLLIN, 0}};
    if (datagrams_) datagrams_->to_poll(std::span(fds).last<Datagrams::kSockets>());
    const int ready = ::poll(fds.data(), datagrams_ ? fds.size() : 2, patience_ms());
    const BootTime now = clock_.boot();
    tick(now);
    if (!receiver_.begun() && now > deadline_)
        lose(GapCause::unreachable, "camera did not answer in time");
    if (datagrams_) take_datagrams(now);
    return ready > 0 && stream_->may_receive(fds[0].revents);
}

void LeanReader::tick(BootTime now) {
    client_.tick(now);
    const Bytes report = receiver_.report(now);
    if (report.empty()) return;
    if (client_.stream()->udp)
        datagrams_->send(report);
    else
        output_ += format_packet(client_.stream()->rtcp_channel, report);
}

void LeanReader::take_datagrams(BootTime now) {
    datagrams_->receive([this](std::uint8_t channel, ByteView packet, BootTime arrival) {
        receiver_.take(channel, packet, arrival);
    });
    rest_due_ = datagrams_->may_rest();
    if (receiver_.begun() && datagrams_->silent() && now >= silence_until())
        lose(GapCause::stalled, datagrams_->silence());
}

// Before the recorder's watchdog, which knows less.
BootTime LeanReader::silence_until() const { return deadline_ - settings_.first_frame_timeout / 8; }

// False: the connection is over, and said so.
bool LeanReader::receive() {
    const auto [step, size] = stream_->receive(buffer_.room());
    if (step == ByteStream::Step::lost) lose_connection();
    if (step != ByteStream::Step::done) return step == ByteStream::Step::wait;
    buffer_.filled(size);
    const BootTime now = clock_.boot();
    // The wall clock, by which the kernel stamps, may have been set meanwhile.
    read_at_ = now - std::clamp(stream_->age(), Micros(0), now - read_at_);
    rest_due_ = size < kRestBelow;
    return true;
}

// False: it is over.
bool LeanReader::take_items() {
    if (buffer_.waiting().empty()) return true;
    if (!std::exchange(camera_spoke_, true) && !url_.tls && is_tls_record(buffer_.waiting())) {
        lose(GapCause::refused, "camera speaks TLS on this port; try rtsps://");
        return false;
    }
    // This is when the last packet came. Those before it came earlier; the media clock goes by the
    // packets that were least late.
    const BootTime arrival = read_at_;
    while (true) {
        const RtspItem item = buffer_.next(receiver_.known());
        if (item.kind == RtspItem::Kind::incomplete) return true;
        if (item.kind == RtspItem::Kind::packet) {
            receiver_.take(item.channel, item.payload, arrival);
        } else if (item.kind == RtspItem::Kind::message) {
            if (!take_message(item.message)) return false;
        } else if (buffer_.garbage_bytes() > kMaxGarbage) {
            lose(receiver_.begun() ? GapCause::closed : GapCause::unreachable,
                 "camera sends what is not RTSP");
            return false;
        }
    }
}

bool LeanReader::take_message(const RtspMessage& message) {
    client_.take(message, read_at_);
    if (!join_ports()) return false;
    if (client_.phase() == RtspClient::Phase::playing) receiver_.begin();
    if (!client_.lost()) return true;
    lose(client_.lost()->cause, client_.lost()->detail);
    return false;
}

// False: the connection is over, or the camera does not read.
bool LeanReader::send_output() {
    output_ += client_.take_output();
    return stream_->send(output_) != ByteStream::Step::lost && output_.size() <= kMaxOutput;
}

void LeanReader::hang_up() {
    client_.teardown();
    if (!send_output() || client_.phase() != RtspClient::Phase::ended || client_.lost()) return;
    stream_->finish();
    // Unread bytes would turn our close into a reset, which may overtake the TEARDOWN.
    const BootTime until = clock_.boot() + std::chrono::milliseconds(kTeardownMs);
    const auto room = buffer_.room();
    while (true) {
        const std::int64_t left = (until - clock_.boot()).count() / 1000;
        pollfd fd{stream_->socket(), POLLIN, 0};
        if (left <= 0 || ::poll(&fd, 1, static_cast<int>(left)) <= 0) return;
        if (::recv(stream_->socket(), room.data(), room.size(), 0) <= 0) return;
    }
}

}  // namespace hd::ingest
