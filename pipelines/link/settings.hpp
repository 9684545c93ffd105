// What a recorder is told: one struct with its defaults. gateway/config fills it, the daemon sends
// it down the link socket, pipelines/record obeys. Credentials live here and nowhere else; never
// log this struct.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "index/base/crypto.hpp"
#include "index/base/ids.hpp"
#include "index/base/time.hpp"

namespace hd::link {

enum class EncodeMode : std::uint8_t { automatic = 0, camera = 1, hub = 2 };
// keep: AAC and Opus as sent, G.711 as AAC; the rest is left out, and said.
enum class AudioMode : std::uint8_t { keep = 0, off = 1 };
enum class RtspTransport : std::uint8_t { tcp = 0, udp = 1 };

constexpr std::string_view kTlsVerify = "verify", kTlsAny = "insecure", kTlsPin = "sha256:";
// One of the three.
bool is_tls_trust(std::string_view text);

struct RecorderSettings {
    CameraId camera;
    std::string name;  // for log lines
    HubId hub;
    std::string url;  // rtsp:// or rtsps://, WITHOUT credentials
    std::string user, password;
    // Which certificate an rtsps:// camera may have: kTlsVerify, kTlsAny, or kTlsPin and 64
    // hexadecimal digits, the SHA-256 of the certificate that is taken without any authority.
    std::string tls = std::string(kTlsVerify);
    RtspTransport transport = RtspTransport::tcp;
    EncodeMode encode = EncodeMode::automatic;
    AudioMode audio = AudioMode::keep;
    bool activity = false;    // key frames are decoded and scored, for the owner
    std::string data_folder;  // <data>
    Micros clip_target = std::chrono::seconds(60);
    Micros clip_max = std::chrono::seconds(120);
    Micros sync_period =
        std::chrono::seconds(1);  // pieces close, and disks sync, on this shared tick
    Micros jitter_latency = std::chrono::milliseconds(200);
    Micros first_frame_timeout = std::chrono::seconds(10);
    Micros frame_gap_timeout = std::chrono::seconds(3);
    Micros orphan_timeout = std::chrono::seconds(300);  // without a daemon: close the clip and end
    std::uint64_t buffer_bytes = 32ull << 20;           // between camera and disk; then overload
    // Of `auto`: above one of these the hub encodes. Of `camera`: a larger picture or a higher rate
    // is refused. Of `hub`: what it encodes stays within them.
    std::uint32_t max_width = 3840, max_height = 2160;
    std::uint32_t max_frames_per_s = 60;
    std::uint32_t max_kbit_per_s = 20000;
    std::uint64_t policy_number = 0;
    Digest policy_hash{};
    std::vector<std::array<std::uint8_t, 32>> recipients;  // X25519 public keys
};

Bytes encode_settings(const RecorderSettings& settings);
Result<RecorderSettings> decode_settings(ByteView bytes);
// Changes if and only if a recorder has to act on the new settings.
Digest settings_hash(const RecorderSettings& settings);

}  // namespace hd::link
