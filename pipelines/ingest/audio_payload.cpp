#include "pipelines/ingest/audio_payload.hpp"

#include <array>
#include <charconv>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "pipelines/ingest/rtsp_message.hpp"

namespace hd::ingest {
namespace {

// A late or repeated packet, rather than a sender that began again.
constexpr std::uint16_t kLate = 64;
// AAC stays below 768 bytes a channel, Opus below 8 KiB, G.711 is sent in tenths of a second.
constexpr std::size_t kMaxUnitBytes = 8 << 10;
constexpr std::size_t kMaxConfig = 64;
constexpr std::array<std::uint32_t, 13> kAacRates{96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                                  22050, 16000, 12000, 11025, 8000,  7350};

// Bits of plain bytes, big endian; zeros behind the end.
struct Bits {
    ByteView in;
    std::size_t at = 0;
    std::uint32_t take(unsigned count) {
        std::uint32_t v = 0;
        for (; count > 0; --count, ++at) {
            const std::uint32_t byte = at / 8 < in.size() ? in[at / 8] : 0u;
            v = v << 1 | ((byte >> (7 - at % 8)) & 1u);
        }
        return v;
    }
};

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 32))
        out.push_back(c > ' ' && c < 0x7f && c != '"' ? c : '?');
    return out;
}

unsigned number_of(const SdpMedia& m, std::string_view key) {
    const auto text = parameter(m.fmtp, key, ';');
    unsigned out = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), out);
    return out;
}

// ISO/IEC 14496-3, 1.6.2.1: as far as a sample entry and the length of a unit need it.
struct AacFacts {
    unsigned type = 0;
    std::uint32_t core_rate = 0;  // samples per second before SBR
    std::uint32_t rate = 0;       // and after it
    std::uint8_t channels = 0;
    std::uint32_t unit_samples = 1024;  // of the core
};

std::uint32_t aac_rate(Bits& in) {
    const std::uint32_t index = in.take(4);
    if (index == 15) return in.take(24);
    return index < kAacRates.size() ? kAacRates[index] : 0;
}

AacFacts read_aac_config(ByteView config) {
    Bits in{config};
    AacFacts f;
    f.type = in.take(5);
    if (f.type == 31) f.type = 32 + in.take(6);
    f.core_rate = f.rate = aac_rate(in);
    f.channels = static_cast<std::uint8_t>(in.take(4));
    if (f.type == 5 || f.type == 29) {  // SBR, PS: the rate of the output comes first
        f.core_rate = f.rate;
        f.rate = aac_rate(in);
        f.type = in.take(5);
    }
    if (in.take(1)) f.unit_samples = 960;
    return f;
}

// What an encoder without an SDP of its own would send: AAC-LC as the rtpmap says.
Bytes usual_aac_config(std::uint32_t rate, unsigned channels) {
    for (unsigned i = 0; i < kAacRates.size(); ++i)
        if (kAacRates[i] == rate)
            return {static_cast<std::uint8_t>(2u << 3 | i >> 1),
                    static_cast<std::uint8_t>((i & 1u) << 7 | channels << 3)};
    return {};
}

std::string left_out(std::string_view why) { return fmt::format("not recorded: {}", why); }

void describe_aac(const SdpMedia& m, AudioPayload& out) {
    AudioFormat& f = out.format;
    const auto hex = parameter(m.fmtp, "config", ';');
    if (hex && hex->size() <= 2 * kMaxConfig) {
        std::string small = *hex;
        for (char& c : small)
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
        if (auto bytes = from_hex(small)) f.codec_config = std::move(*bytes);
    }
    if (f.codec_config.empty())
        f.codec_config = usual_aac_config(m.clock_rate, std::max(1u, m.channels));
    const AacFacts facts = read_aac_config(f.codec_config);
    out.size_bits = number_of(m, "sizelength");
    out.index_bits = number_of(m, "indexlength");
    out.delta_bits = number_of(m, "indexdeltalength");
    bool more = false;
    for (const char* key : {"ctsdeltalength", "dtsdeltalength", "randomaccessindication",
                            "streamstateindication", "auxiliarydatasizelength"})
        more = more || number_of(m, key) > 0;
    if (facts.type != 2 || facts.core_rate < 7350 || facts.rate > 96'000 || facts.channels == 0 ||
        facts.channels > 7) {
        f.words = left_out(fmt::format("AAC of object type {}, {} Hz, {} channels", facts.type,
                                       facts.rate, facts.channels));
        return;
    }
    if (out.size_bits == 0 || out.size_bits > 16 || out.index_bits > 16 || out.delta_bits > 16 ||
        more) {
        f.words = left_out("AAC in packets of another mode than AAC-hbr");
        return;
    }
    f.codec = AudioCodec::aac;
    f.rate = facts.rate;
    f.channels = facts.channels;
    f.words = fmt::format("AAC, {} Hz", f.rate);
    out.unit_ticks = static_cast<std::uint32_t>(std::uint64_t{facts.unit_samples} * m.clock_rate /
                                                facts.core_rate);
}

}  // namespace

AudioPayload audio_payload_of(const SdpMedia& m) {
    AudioPayload out;
    AudioFormat& f = out.format;
    out.payload_type = static_cast<std::uint8_t>(m.payload_type.value_or(0));
    out.clock_rate = m.clock_rate;
    if (!m.payload_type || m.encoding.empty()) {
        f.words = left_out("the camera does not say what it is");
    } else if (m.clock_rate < 1000 || m.clock_rate > 192'000) {
        f.words = left_out(fmt::format("{} at {} Hz", printable(m.encoding), m.clock_rate));
    } else if (m.encoding == "MPEG4-GENERIC") {
        describe_aac(m, out);
    } else if (m.encoding == "OPUS") {
        f.codec = AudioCodec::opus;
        f.rate = 48'000;
        f.channels = 2;  // RFC 7587: always said so; a packet says how many it has
        f.words = "Opus, 48000 Hz";
        out.clock_rate = 48'000;
    } else if (m.encoding == "PCMA" || m.encoding == "PCMU") {
        const bool law_a = m.encoding == "PCMA";
        const bool fits = m.channels <= 1 && (m.clock_rate == 8'000 || m.clock_rate == 16'000);
        if (fits) f.codec = law_a ? AudioCodec::pcma : AudioCodec::pcmu;
        f.rate = m.clock_rate;
        f.channels = 1;
        const std::string what =
            fmt::format("G.711 {}, {} Hz", law_a ? "A-law" : "mu-law", m.clock_rate);
        f.words =
            fits ? what + ", as AAC" : left_out(what + fmt::format(", {} channels", m.channels));
    } else {
        f.words = left_out(fmt::format("the camera sends {}", printable(m.encoding)));
    }
    return out;
}

std::optional<ChosenAudio> choose_audio(const Sdp& sdp) {
    std::optional<ChosenAudio> out;
    for (const SdpMedia& media : sdp.media) {
        if (media.kind != "audio") continue;
        ChosenAudio one{media, audio_payload_of(media)};
        if (one.payload.format.codec != AudioCodec::none) return one;
        if (!out) out = std::move(one);
    }
    return out;
}

Micros opus_duration(ByteView packet) {
    if (packet.empty()) return Micros(0);
    const unsigned config = packet[0] >> 3;
    // RFC 6716 table 2, in units of 2.5 ms.
    constexpr std::array<unsigned, 4> kSilk{4, 8, 16, 24}, kCelt{1, 2, 4, 8};
    const unsigned frame = config < 12   ? kSilk[config % 4]
                           : config < 16 ? (config % 2 ? 8u : 4u)
                                         : kCelt[config % 4];
    unsigned frames = 1;
    if ((packet[0] & 3u) == 3u) {
        if (packet.size() < 2) return Micros(0);
        frames = packet[1] & 63u;
    } else if ((packet[0] & 3u) != 0u) {
        frames = 2;
    }
    const unsigned units = frame * frames;
    return units == 0 || units > 48 ? Micros(0) : Micros(units * 2500);
}

bool AudioReceiver::in_order(const RtpPacket& p) {
    if (ssrc_ != p.ssrc) {
        ssrc_ = p.ssrc;
        next_sequence_.reset();
        clock_.restart();
        open_.reset();
    }
    if (next_sequence_ && p.sequence != *next_sequence_) {
        if (static_cast<std::uint16_t>(*next_sequence_ - p.sequence) <= kLate) return false;
        open_.reset();
    }
    next_sequence_ = static_cast<std::uint16_t>(p.sequence + 1);
    return true;
}

void AudioReceiver::take(const RtpPacket& p, BootTime arrival, std::vector<AudioFrame>& out) {
    if (!in_order(p) || p.payload.empty()) return;
    const BootTime pts = clock_.map(p.timestamp, arrival);
    if (payload_.format.codec == AudioCodec::aac) return take_aac(p, pts, out);
    const Micros duration =
        payload_.format.codec == AudioCodec::opus
            ? opus_duration(p.payload)
            : Micros(static_cast<std::int64_t>(p.payload.size()) * 1'000'000 / payload_.clock_rate);
    if (duration == Micros(0) || p.payload.size() > kMaxUnitBytes) {
        ++unusable_;
        return;
    }
    auto bytes = std::make_shared<const Bytes>(p.payload.begin(), p.payload.end());
    out.push_back({*bytes, bytes, pts, duration});
}

// RFC 3640, 3.2 and 3.3.6: AU headers, then the access units.
void AudioReceiver::take_aac(const RtpPacket& p, BootTime pts, std::vector<AudioFrame>& out) {
    const auto ticks_to_us = [&](std::uint64_t ticks) {
        return Micros(static_cast<std::int64_t>(ticks * 1'000'000 / payload_.clock_rate));
    };
    Bits in{p.payload};
    const std::size_t header_bits = in.take(16);
    const std::size_t data_at = 2 + (header_bits + 7) / 8;
    if (data_at > p.payload.size()) {
        ++unusable_;
        return;
    }
    ByteView data = p.payload.subspan(data_at);
    const std::size_t end = 16 + header_bits;
    for (std::size_t i = 0; i < kMaxUnits; ++i) {
        const unsigned rest = i == 0 ? payload_.index_bits : payload_.delta_bits;
        if (in.at + payload_.size_bits + rest > end) break;
        const std::size_t size = in.take(payload_.size_bits);
        const bool interleaved = in.take(rest) != 0 && i > 0;
        if (size == 0 || size > kMaxUnitBytes || interleaved) {
            ++unusable_;
            return;
        }
        if (size > data.size()) {
            if (i == 0) return fragment(data, size, p, pts, out);
            ++unusable_;
            return;
        }
        auto bytes = std::make_shared<const Bytes>(
            data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
        out.push_back({*bytes, bytes, pts + ticks_to_us(i * payload_.unit_ticks),
                       ticks_to_us(payload_.unit_ticks)});
        data = data.subspan(size);
    }
}

// An access unit that is larger than a packet: each part says the size of the whole.
void AudioReceiver::fragment(ByteView data, std::size_t size, const RtpPacket& p, BootTime pts,
                             std::vector<AudioFrame>& out) {
    if (!open_ || open_timestamp_ != p.timestamp || open_size_ != size) {
        if (open_) ++unusable_;
        open_ = std::make_shared<Bytes>();
        open_timestamp_ = p.timestamp;
        open_size_ = size;
    }
    open_->insert(open_->end(), data.begin(), data.end());
    if (open_->size() < size) return;
    const std::shared_ptr<const Bytes> whole = std::exchange(open_, nullptr);
    if (whole->size() > size) {
        ++unusable_;
        return;
    }
    out.push_back({*whole, whole, pts,
                   Micros(std::int64_t{payload_.unit_ticks} * 1'000'000 / payload_.clock_rate)});
}

}  // namespace hd::ingest
