#include "pipelines/mux/audio_fragment.hpp"

#include <string_view>

namespace hd::mux {
namespace {

// ISO/IEC 14496-12.
constexpr std::uint32_t kDefaultBaseIsMoof = 0x020000, kDefaultSampleFlags = 0x20;
constexpr std::uint32_t kNoSampleNeedsAnother = 0x02000000;
constexpr std::uint32_t kDataOffset = 0x1, kSampleDuration = 0x100, kSampleSize = 0x200;

class BoxWriter {
  public:
    explicit BoxWriter(std::size_t capacity) { out_.reserve(capacity); }
    void u32(std::uint32_t v) {
        for (const int shift : {24, 16, 8, 0})
            out_.push_back(static_cast<std::uint8_t>(v >> shift));
    }
    void u64(std::uint64_t v) {
        u32(static_cast<std::uint32_t>(v >> 32));
        u32(static_cast<std::uint32_t>(v));
    }
    void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
    std::size_t begin(std::string_view type) {
        const std::size_t at = out_.size();
        u32(0);
        raw(as_bytes(type));
        return at;
    }
    void end(std::size_t box) { set(box, static_cast<std::uint32_t>(out_.size() - box)); }
    void set(std::size_t at, std::uint32_t v) {
        for (std::size_t i = 0; i < 4; ++i)
            out_[at + i] = static_cast<std::uint8_t>(v >> (24 - 8 * i));
    }
    std::size_t size() const { return out_.size(); }
    Bytes take() && { return std::move(out_); }

  private:
    Bytes out_;
};

}  // namespace

Bytes audio_fragment(const AudioTrack& track, std::uint32_t number,
                     std::span<const AudioSample> samples) {
    std::size_t bytes = 0;
    for (const AudioSample& s : samples) bytes += s.bytes.size();
    // In one block, so that no copy of the plain bytes stays behind in freed memory.
    BoxWriter out(bytes + 8 * samples.size() + 256);
    const auto tick = [&](Micros t) { return audio_ticks(track.rate, t + kAudioPreroll); };

    const std::size_t moof = out.begin("moof");
    const std::size_t mfhd = out.begin("mfhd");
    out.u32(0);
    out.u32(number);
    out.end(mfhd);
    const std::size_t traf = out.begin("traf");
    const std::size_t tfhd = out.begin("tfhd");
    out.u32(kDefaultBaseIsMoof | kDefaultSampleFlags);
    out.u32(kAudioTrackId);
    out.u32(kNoSampleNeedsAnother);
    out.end(tfhd);
    const std::size_t tfdt = out.begin("tfdt");
    out.u32(0x01000000);  // version 1: 64-bit time
    out.u64(static_cast<std::uint64_t>(tick(samples.front().pts)));
    out.end(tfdt);
    const std::size_t trun = out.begin("trun");
    out.u32(kDataOffset | kSampleDuration | kSampleSize);
    out.u32(static_cast<std::uint32_t>(samples.size()));
    const std::size_t offset = out.size();
    out.u32(0);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        // From sample to sample as their times say; only the last one's own length counts.
        const bool last = i + 1 == samples.size();
        const Micros end = last ? samples[i].pts + samples[i].duration : samples[i + 1].pts;
        out.u32(static_cast<std::uint32_t>(tick(end) - tick(samples[i].pts)));
        out.u32(static_cast<std::uint32_t>(samples[i].bytes.size()));
    }
    out.end(trun);
    out.end(traf);
    out.end(moof);
    out.set(offset, static_cast<std::uint32_t>(out.size() - moof + 8));
    const std::size_t mdat = out.begin("mdat");
    for (const AudioSample& s : samples) out.raw(s.bytes);
    out.end(mdat);
    return std::move(out).take();
}

}  // namespace hd::mux
