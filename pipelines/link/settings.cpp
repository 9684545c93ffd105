#include "pipelines/link/settings.hpp"

#include <fmt/format.h>

namespace hd::link {
namespace {

// docs/formats/link.md. Raised when a field comes, goes or changes its meaning: recorder and daemon
// of one release speak one version, and an orphan of another release is ended (Hello.version).
constexpr std::uint16_t kSettingsVersion = 5;
constexpr std::size_t kMaxSetting = 4096;
// Owner, paper, household and some spares; each costs about 100 bytes a piece on disk.
constexpr std::size_t kMaxRecipients = 32;
constexpr Micros kShortest = std::chrono::milliseconds(100);
constexpr Micros kLongest = std::chrono::hours(24);

void put_durations(ByteWriter& out, const RecorderSettings& s) {
    for (const Micros d : {s.clip_target, s.clip_max, s.sync_period, s.jitter_latency,
                           s.first_frame_timeout, s.frame_gap_timeout, s.orphan_timeout})
        out.i64(d.count());
}

void get_durations(ByteReader& in, RecorderSettings& s) {
    for (Micros* d : {&s.clip_target, &s.clip_max, &s.sync_period, &s.jitter_latency,
                      &s.first_frame_timeout, &s.frame_gap_timeout, &s.orphan_timeout})
        *d = Micros(in.i64());
}

// Everything but the name, which is for log lines only.
void put_effective(ByteWriter& out, const RecorderSettings& s) {
    out.raw(s.camera.bytes);
    out.raw(s.hub.bytes);
    out.short_string(s.url);
    out.short_string(s.user);
    out.short_string(s.password);
    out.short_string(s.tls);
    out.u8(static_cast<std::uint8_t>(s.transport));
    out.u8(static_cast<std::uint8_t>(s.encode));
    out.u8(static_cast<std::uint8_t>(s.audio));
    out.u8(s.activity ? 1 : 0);
    out.short_string(s.data_folder);
    put_durations(out, s);
    out.u64(s.buffer_bytes);
    out.u32(s.max_width);
    out.u32(s.max_height);
    out.u32(s.max_frames_per_s);
    out.u32(s.max_kbit_per_s);
    out.u64(s.policy_number);
    out.raw(s.policy_hash);
    out.u16(static_cast<std::uint16_t>(s.recipients.size()));
    for (const auto& r : s.recipients) out.raw(r);
}

Error bad(std::string_view field, std::string_view rule) {
    return {ErrorCode::corrupt, fmt::format("settings: {} {}", field, rule)};
}

Result<void> check_text(std::string_view field, const std::string& text) {
    if (text.size() > kMaxSetting) return bad(field, "is longer than 4096 bytes");
    if (text.find('\0') != std::string::npos) return bad(field, "holds a zero byte");
    return {};
}

Result<void> check_duration(std::string_view field, Micros d, Micros least, Micros most) {
    if (d < least || d > most)
        return bad(field, fmt::format("must be {} to {} us, is {}", least.count(), most.count(),
                                      d.count()));
    return {};
}

Result<void> check(const RecorderSettings& s) {
    HD_TRY(check_text("name", s.name));
    HD_TRY(check_text("url", s.url));
    HD_TRY(check_text("user", s.user));
    HD_TRY(check_text("password", s.password));
    if (!is_tls_trust(s.tls)) return bad("tls", "is unknown");
    HD_TRY(check_text("data_folder", s.data_folder));
    HD_TRY(check_duration("clip_max", s.clip_max, kShortest, std::chrono::seconds(120)));
    HD_TRY(check_duration("clip_target", s.clip_target, kShortest, s.clip_max));
    HD_TRY(check_duration("sync_period", s.sync_period, kShortest, std::chrono::seconds(60)));
    HD_TRY(check_duration("jitter_latency", s.jitter_latency, Micros(0), std::chrono::seconds(10)));
    HD_TRY(check_duration("first_frame_timeout", s.first_frame_timeout, kShortest, kLongest));
    HD_TRY(check_duration("frame_gap_timeout", s.frame_gap_timeout, kShortest, kLongest));
    HD_TRY(check_duration("orphan_timeout", s.orphan_timeout, Micros(0), kLongest));
    return {};
}

}  // namespace

bool is_tls_trust(std::string_view text) {
    if (text == kTlsVerify || text == kTlsAny) return true;
    return text.size() == kTlsPin.size() + 64 && text.starts_with(kTlsPin) &&
           text.find_first_not_of("0123456789abcdef", kTlsPin.size()) == std::string_view::npos;
}

Bytes encode_settings(const RecorderSettings& settings) {
    HD_CHECK(settings.recipients.size() <= kMaxRecipients);
    ByteWriter out;
    out.u16(kSettingsVersion);
    out.short_string(settings.name);
    put_effective(out, settings);
    return std::move(out).take();
}

Result<RecorderSettings> decode_settings(ByteView bytes) {
    ByteReader in(bytes);
    const std::uint16_t version = in.u16();
    if (in.ok() && version != kSettingsVersion)
        return Error{ErrorCode::invalid,
                     fmt::format("settings of version {}, this program knows {}", version,
                                 kSettingsVersion)};
    RecorderSettings s;
    s.name = in.short_string();
    s.camera.bytes = in.array<16>();
    s.hub.bytes = in.array<16>();
    s.url = in.short_string();
    s.user = in.short_string();
    s.password = in.short_string();
    s.tls = in.short_string();
    const std::uint8_t transport = in.u8(), encode = in.u8(), audio = in.u8(), activity = in.u8();
    if (transport > static_cast<std::uint8_t>(RtspTransport::udp))
        return bad("transport", "is unknown");
    if (encode > static_cast<std::uint8_t>(EncodeMode::hub)) return bad("encode", "is unknown");
    if (audio > static_cast<std::uint8_t>(AudioMode::off)) return bad("audio", "is unknown");
    if (activity > 1) return bad("activity", "is unknown");
    s.transport = static_cast<RtspTransport>(transport);
    s.encode = static_cast<EncodeMode>(encode);
    s.audio = static_cast<AudioMode>(audio);
    s.activity = activity == 1;
    s.data_folder = in.short_string();
    get_durations(in, s);
    s.buffer_bytes = in.u64();
    s.max_width = in.u32();
    s.max_height = in.u32();
    s.max_frames_per_s = in.u32();
    s.max_kbit_per_s = in.u32();
    s.policy_number = in.u64();
    s.policy_hash = in.array<32>();
    const std::size_t recipients = in.u16();
    if (recipients > kMaxRecipients) return bad("recipients", "are more than 32");
    for (std::size_t i = 0; i < recipients && in.ok(); ++i) s.recipients.push_back(in.array<32>());
    HD_TRY(in.finish("settings"));
    HD_TRY(check(s));
    return s;
}

Digest settings_hash(const RecorderSettings& settings) {
    ByteWriter out;
    out.raw(std::string_view("halfdoor-settings/v1\n"));
    put_effective(out, settings);
    Bytes bytes = std::move(out).take();
    const Digest digest = sha256(bytes);
    wipe(bytes);  // holds the camera's password
    return digest;
}

}  // namespace hd::link
