// Invariants checked, on any SDP and any packets that a camera sends for its sound:
//  - choosing a track and taking packets apart never crashes or hangs;
//  - what is to be recorded has a rate, channels and, if it is AAC, a configuration; what is not
//    has words that say why;
//  - a frame is not empty, below its limit, and lasts longer than nothing.
// The SDP up to the first zero byte; then u16 length (big-endian) and packet, again and again.
#include <algorithm>
#include <cstdint>

#include "index/base/check.hpp"
#include "pipelines/ingest/audio_payload.hpp"

using namespace hd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView in(data, size);
    const auto zero = static_cast<std::size_t>(std::find(in.begin(), in.end(), 0) - in.begin());
    const auto sdp = ingest::parse_sdp(as_text(in.first(zero)));
    in = in.subspan(std::min(zero + 1, in.size()));
    if (!sdp) return 0;
    const auto chosen = ingest::choose_audio(*sdp);
    if (!chosen) return 0;
    const ingest::AudioFormat& format = chosen->payload.format;
    HD_CHECK(!format.words.empty());
    if (format.codec == ingest::AudioCodec::none) return 0;
    HD_CHECK(format.rate >= 1000 && format.channels > 0);
    HD_CHECK((format.codec == ingest::AudioCodec::aac) == !format.codec_config.empty());
    ingest::AudioReceiver receiver(chosen->payload);
    std::vector<ingest::AudioFrame> frames;
    std::int64_t now = 1'000'000;
    while (in.size() >= 2) {
        const std::size_t length = std::min(std::size_t{in[0]} << 8 | in[1], in.size() - 2);
        const auto packet = ingest::parse_rtp(in.subspan(2, length));
        in = in.subspan(2 + length);
        now += 20'000;
        if (!packet) continue;
        frames.clear();
        receiver.take(*packet, BootTime{now}, frames);
        HD_CHECK(frames.size() <= ingest::AudioReceiver::kMaxUnits);
        for (const auto& frame : frames) {
            HD_CHECK(!frame.bytes.empty() && frame.bytes.size() <= 8192);
            HD_CHECK(frame.duration > Micros(0));
        }
    }
    return 0;
}
