// What a camera's sound is, as its SDP says, and its RTP packets taken apart: AAC (RFC 3640), Opus
// (RFC 7587), G.711 (RFC 3551). Pure; every byte comes from a camera. Fuzzed
// (tests/fuzz/fuzz_audio.cpp).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "pipelines/ingest/frame.hpp"
#include "pipelines/ingest/media_clock.hpp"
#include "pipelines/ingest/rtp_packet.hpp"
#include "pipelines/ingest/sdp.hpp"

namespace hd::ingest {

// How to take the packets of one audio track apart.
struct AudioPayload {
    AudioFormat format;  // codec none: it is not recorded, and `words` say why
    std::uint8_t payload_type = 0;
    std::uint32_t clock_rate = 0;                            // RTP ticks per second
    std::uint32_t unit_ticks = 0;                            // AAC: of one access unit
    unsigned size_bits = 0, index_bits = 0, delta_bits = 0;  // AAC: of an AU header
    bool operator==(const AudioPayload&) const = default;
};

AudioPayload audio_payload_of(const SdpMedia& media);

// The first audio track that can be recorded, else the first; nothing if there is none.
struct ChosenAudio {
    SdpMedia media;
    AudioPayload payload;
};
std::optional<ChosenAudio> choose_audio(const Sdp& sdp);

// How long an Opus packet plays (RFC 6716, 3.1); 0: it is none.
Micros opus_duration(ByteView packet);

// The sound of one session, from packets to frames with times. Loss leaves a hole; broken packets
// are counted and left out.
class AudioReceiver {
  public:
    explicit AudioReceiver(AudioPayload payload)
        : payload_(std::move(payload)), clock_(payload_.clock_rate) {}

    const AudioPayload& payload() const { return payload_; }
    // Appends the frames that it completes, at most kMaxUnits.
    void take(const RtpPacket& packet, BootTime arrival, std::vector<AudioFrame>& out);
    // Packets and units of which nothing could be made.
    std::uint64_t unusable() const { return unusable_; }

    static constexpr std::size_t kMaxUnits = 64;

  private:
    bool in_order(const RtpPacket& packet);
    void take_aac(const RtpPacket& packet, BootTime pts, std::vector<AudioFrame>& out);
    void fragment(ByteView data, std::size_t size, const RtpPacket& packet, BootTime pts,
                  std::vector<AudioFrame>& out);

    const AudioPayload payload_;
    MediaClock clock_;
    std::optional<std::uint32_t> ssrc_;
    std::optional<std::uint16_t> next_sequence_;
    std::uint64_t unusable_ = 0;

    // AAC: an access unit that came in part.
    std::shared_ptr<Bytes> open_;
    std::size_t open_size_ = 0;
    std::uint32_t open_timestamp_ = 0;
};

}  // namespace hd::ingest
