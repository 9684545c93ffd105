#include "pipelines/ingest/stream_receiver.hpp"

#include <array>
#include <cmath>

#include "index/base/crypto.hpp"
#include "pipelines/ingest/access_unit.hpp"

namespace hd::ingest {
namespace {

// RFC 3550, 6.2: the least. By UDP the way to our ports stays open for as long as we say something.
constexpr Micros kReportPeriod = std::chrono::seconds(5);

std::size_t most_held(const link::RecorderSettings& settings) {
    return settings.transport == link::RtspTransport::udp ? ReorderBuffer::kMostOfDatagrams
                                                          : ReorderBuffer::kMostOfConnection;
}

}  // namespace

StreamReceiver::StreamReceiver(const link::RecorderSettings& settings, const RtspClient& client,
                               Clock& clock, std::function<void(SourceEvent)> push,
                               std::function<EncodeFeed*()> encoder)
    : camera_(settings.camera),
      client_(client),
      clock_(clock),
      push_(std::move(push)),
      encoder_(std::move(encoder)),
      reorder_(settings.jitter_latency, most_held(settings)),
      audio_reorder_(settings.jitter_latency, most_held(settings)) {}

std::optional<CameraClock> StreamReceiver::camera_clock() const {
    const std::lock_guard lock(clock_mutex_);
    return camera_clock_.value();
}

std::optional<ReceiveBuffer::Known> StreamReceiver::known() const {
    if (!ssrc_ || !client_.stream()) return std::nullopt;
    return ReceiveBuffer::Known{client_.stream()->rtp_channel, client_.stream()->rtcp_channel,
                                *ssrc_};
}

void StreamReceiver::begin() {
    if (std::exchange(begun_, true)) return;
    const RtspStream& stream = *client_.stream();
    if (!stream.is_jpeg()) depacketizer_.emplace(stream.codec);
    if (depacketizer_)
        for (const Bytes& set : parameter_sets_of(stream.media))
            depacketizer_->add_parameter_set(set);
    media_clock_.emplace(stream.media.clock_rate);
    next_report_ = clock_.boot() + kReportPeriod;
    push_(Connected{});
    AudioFormat sound;
    sound.words = client_.audio_words();
    if (client_.audio()) {
        audio_.emplace(client_.audio()->payload);
        sound = audio_->payload().format;
    }
    push_(std::move(sound));
    feed_ = encoder_();
}

void StreamReceiver::take(std::uint8_t channel, ByteView payload, BootTime arrival) {
    if (!client_.stream()) return;
    const RtspStream& stream = *client_.stream();
    if (channel == stream.rtcp_channel && channel != stream.rtp_channel) {
        if (begun_) take_rtcp(payload, arrival);
        return;
    }
    const auto& sound = client_.audio();
    if (channel != stream.rtp_channel && !(sound && channel == sound->rtp_channel)) return;
    const auto packet = parse_rtp(payload);
    if (!packet) return;
    // Some cameras send both on one channel: the payload type tells them apart.
    if (packet->payload_type != stream.media.payload_type) {
        if (begun_ && sound && packet->payload_type == sound->payload.payload_type)
            order_audio(*packet, payload, arrival);
        return;
    }
    // The picture may overtake the answer to PLAY.
    begin();
    if (ssrc_ != packet->ssrc) {
        ssrc_ = packet->ssrc;
        media_clock_->restart();
        reorder_.restart();
        last_report_.reset();
    }
    if (reorder_.take(*packet, payload, arrival)) take_video(*packet, payload, arrival);
    release_held(arrival);
}

// The packets themselves go on: GStreamer has the depayloader.
void StreamReceiver::take_jpeg(const RtpPacket& packet, ByteView whole, BootTime arrival) {
    const PacketOrder::Step step = jpeg_.order.take(packet, jpeg_.counts);
    if (step == PacketOrder::Step::late) return;
    const bool damaged = step == PacketOrder::Step::after_a_hole;
    if (jpeg_.timestamp != packet.timestamp) {
        jpeg_.timestamp = packet.timestamp;
        jpeg_.pts = media_clock_->map(packet.timestamp, arrival);
        jpeg_.damaged = false;
    }
    if (damaged && !std::exchange(jpeg_.damaged, true)) ++unusable_;
    if (feed_) feed_->take_packet(whole, jpeg_.pts);
}

void StreamReceiver::take_video(const RtpPacket& packet, ByteView whole, BootTime arrival) {
    if (!depacketizer_) return take_jpeg(packet, whole, arrival);
    units_.clear();
    depacketizer_->push(packet, arrival, units_);
    unusable_ = depacketizer_->counts().damaged_units + depacketizer_->counts().unusable_units;
    for (AccessUnit& unit : units_) deliver(std::move(unit));
}

void StreamReceiver::release_held(BootTime now) {
    while (const auto held = reorder_.release(now))
        if (const auto packet = parse_rtp(held->whole))
            take_video(*packet, held->whole, held->arrival);
}

void StreamReceiver::order_audio(const RtpPacket& packet, ByteView whole, BootTime arrival) {
    if (!client_.audio()->udp) return take_audio(packet, arrival);
    if (audio_ssrc_ != packet.ssrc) audio_reorder_.restart();
    audio_ssrc_ = packet.ssrc;
    if (audio_reorder_.take(packet, whole, arrival)) take_audio(packet, arrival);
    while (const auto held = audio_reorder_.release(arrival))
        if (const auto next = parse_rtp(held->whole)) take_audio(*next, held->arrival);
}

void StreamReceiver::take_audio(const RtpPacket& packet, BootTime arrival) {
    if (!audio_) return;
    audio_frames_.clear();
    audio_->take(packet, arrival, audio_frames_);
    for (AudioFrame& frame : audio_frames_) push_(std::move(frame));
}

void StreamReceiver::deliver_format(const AccessUnit::Format& format) {
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
    if (feed_) return feed_->take(out);
    push_(std::move(out));
}

void StreamReceiver::deliver(AccessUnit&& unit) {
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
    if (feed_) return feed_->take(frame);
    push_(std::move(frame));
}

void StreamReceiver::take_rtcp(ByteView payload, BootTime arrival) {
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

void StreamReceiver::say_losses(BootTime now) {
    const std::uint64_t damaged =
        depacketizer_ ? depacketizer_->counts().damaged_units : unusable_.load();
    if (damaged == losses_said_) return;
    std::uint64_t suppressed = 0;
    if (!loss_log_.allow(now.us, suppressed)) return;
    losses_said_ = damaged;
    log::warn("frames.damaged", "camera={} frames={} packets={} why=\"{}\"", to_string(camera_),
              damaged, counts().lost_packets,
              client_.stream()->udp ? "packets were lost on the way (UDP)"
                                    : "the camera left packets out");
}

// Now and then: some servers end sessions of which they hear nothing.
Bytes StreamReceiver::report(BootTime now) {
    if (!begun_ || now < next_report_) return {};
    next_report_ = now + kReportPeriod;
    say_losses(now);
    if (!ssrc_) return {};
    ReceiverState state;
    std::array<std::uint8_t, 4> random{};
    random_bytes(random);
    state.our_ssrc = std::uint32_t{random[0]} << 24 | std::uint32_t{random[1]} << 16 |
                     std::uint32_t{random[2]} << 8 | random[3];
    state.camera_ssrc = *ssrc_;
    state.highest_sequence = counts().highest_sequence;
    state.lost = counts().lost_packets;
    if (last_report_) {
        state.last_report = static_cast<std::uint32_t>(last_report_->ntp >> 16);
        const std::int64_t us = (now - last_report_at_).count();
        state.since_last_report = static_cast<std::uint32_t>(us * 65'536 / 1'000'000);
    }
    return format_receiver_report(state);
}

}  // namespace hd::ingest
