// The clip file: what is in it, and its bytes. The document is docs/formats/clip.md.
//
//   header | piece* | footer            (".part" has no footer yet)
//
// Files are the truth: a finished clip's index row comes from ONE read at its end (ClipSummary), an
// unfinished one's by walking its pieces. All metadata is readable without a key; the pieces are
// not. Pure: bytes to values and back. No disk, no clock. On disk: do not renumber any enum here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/base/crypto.hpp"
#include "index/base/ids.hpp"
#include "index/base/time.hpp"

namespace hd::clip {

// A clip never spans more than this (design.md section 1); the index relies on it to find overlaps.
constexpr Micros kMaxClipLength = std::chrono::seconds(120);
// Limits of the reader. A 1 s piece of a 64 Mbit/s camera is 8 MB; four times that is refused.
constexpr std::uint64_t kMaxPieceBytes = 32ull << 20;
constexpr std::uint32_t kMaxPieces = 4096;
constexpr std::uint32_t kMaxHeaderBytes = 16384;
constexpr std::uint32_t kMaxIdentityBytes = 4096;

// Why a clip ended.
enum class EndReason : std::uint8_t {
    target = 1,           // key frame after the target length
    hard_max = 2,         // no key frame in time
    codec_change = 3,     // the camera's parameter sets changed
    stream_lost = 4,      // the run ended; the journal has the gap with its cause
    shutdown = 5,         // the recorder was asked to end
    settings_change = 6,  // recipients, camera or encoder settings changed
    disk_error = 7,       // writing or syncing failed; a new file was begun
    overload = 8,         // frames had to be dropped
    recovered = 9,        // found unfinished after a crash; cut at its last whole piece
    input_end = 10,       // recorded from a file that ended
    clock_step = 11,      // UTC moved against BOOTTIME
};
std::string_view to_string(EndReason r);

enum class PieceKind : std::uint8_t { init = 1, video = 2, audio = 3, activity = 4 };
std::string_view to_string(PieceKind k);

// What a decoder can do at the first frame of a piece.
enum class PieceStart : std::uint8_t { none = 0, idr = 1, cra = 2 };
std::string_view to_string(PieceStart s);

// A field that this version does not know: kept, skipped, copied, never an error.
struct Extension {
    std::uint16_t type = 0;
    Bytes value;
    bool operator==(const Extension&) const = default;
};

// Extensions of the header that readers of this version know.
//
// What the clip's sound is, a phrase: "AAC, 16000 Hz". A clip without it was begun without sound.
Extension audio_extension(std::string_view words);
std::optional<std::string> audio_words(const std::vector<Extension>& extensions);
// The clip does not begin with a key frame: how far before its first frame the newest one was
// shown, and in which clip it is.
struct KeyDistance {
    ClipId clip;
    Micros distance{0};
    bool operator==(const KeyDistance&) const = default;
};
Extension key_extension(const KeyDistance& key);
std::optional<KeyDistance> key_distance(const std::vector<Extension>& extensions);

struct ClipHeader {
    ClipId clip;
    CameraId camera;
    HubId hub;
    RunId run;
    BootId boot;
    BootTime boot_begin;  // of the first frame
    WallTime utc_begin;   // best known when the clip began
    ClockQuality quality = ClockQuality::unsynchronised;
    std::string codec;  // RFC 6381: "avc1.4D401F", "hvc1.1.6.L93.B0"
    std::uint16_t width = 0, height = 0;
    std::string encoder;              // "camera", or the hub's encoder element
    std::string encoder_why;          // a phrase
    std::uint64_t policy_number = 0;  // recipients came from this policy
    Digest policy_hash{};
    std::vector<Extension> extensions;
    bool operator==(const ClipHeader&) const = default;
};

// Who a piece is. Bound to the age file by the stanza `halfdoor-piece`
// (index/seal/piece_stanza.hpp).
struct PieceIdentity {
    CameraId camera;
    ClipId clip;
    std::uint32_t sequence = 0;  // 0 is the init piece
    PieceKind kind = PieceKind::video;
    BootTime boot_begin, boot_end;  // first frame by minimum PTS; end of the last by maximum PTS
    WallTime utc_begin, utc_end;
    std::uint32_t frames = 0;
    PieceStart start = PieceStart::none;
    std::vector<Extension> extensions;
    bool operator==(const PieceIdentity&) const = default;
};

// A line of the footer's piece table.
struct PieceEntry {
    std::uint64_t offset = 0;      // of the piece record in the file
    std::uint64_t age_offset = 0;  // of its age file
    std::uint64_t age_size = 0;
    Digest age_sha256{};  // of the whole age file, header included
    PieceIdentity identity;
};

// Everything an index row needs, at the very end of a finished clip.
struct ClipSummary {
    ClipId clip;
    CameraId camera;
    RunId run;
    BootId boot;
    BootTime boot_begin, boot_end;
    WallTime utc_begin, utc_end;  // by the header's mapping
    WallTime name_time;           // what the file name says; the name is only a name
    ClockQuality quality = ClockQuality::unsynchronised;
    EndReason reason = EndReason::target;
    std::uint32_t pieces = 0;
    std::uint32_t frames = 0;  // video frames
    std::uint32_t longest_key_distance_ms = 0;
    std::uint64_t size_bytes = 0;  // of the whole file, footer included
    std::string reason_detail;     // a short phrase, may be empty
    bool operator==(const ClipSummary&) const = default;
};

// Encoded header, framing and checksum included: these very bytes go into the piece stanza's hash.
Bytes encode_header(const ClipHeader& header);
// `in` may be longer; `size` receives how many bytes the header took. corrupt: names the byte and
// the rule.
Result<ClipHeader> decode_header(ByteView in, std::size_t& size);

Bytes encode_identity(const PieceIdentity& identity);
Result<PieceIdentity> decode_identity(ByteView in);

// The frame before each age file: magic, sizes, SHA-256 of the age file, identity, checksum.
struct PieceHead {
    Bytes identity_bytes;
    PieceIdentity identity;
    std::uint64_t age_size = 0;
    Digest age_sha256{};
};
Bytes encode_piece_head(ByteView identity_bytes, std::uint64_t age_size, const Digest& age_sha256);
Result<PieceHead> decode_piece_head(ByteView in, std::size_t& size);

// Footer: piece table, then the summary, then a fixed-size trailer that says where both begin.
// summary.size_bytes is filled in by the encoder from `file_offset`, where the footer begins.
Bytes encode_footer(const std::vector<PieceEntry>& table, ClipSummary summary,
                    std::uint64_t file_offset);
// From the last bytes of a file (kSummaryReadBytes of them are always enough for the summary).
constexpr std::uint64_t kSummaryReadBytes = 1024;
Result<ClipSummary> decode_summary(ByteView tail, std::uint64_t file_size);
struct Footer {
    ClipSummary summary;
    std::vector<PieceEntry> table;
    std::uint64_t offset = 0;
};
// Where the footer of a file with this tail begins, so that a second read can fetch the table.
Result<std::uint64_t> footer_offset(ByteView tail, std::uint64_t file_size);
Result<Footer> decode_footer(ByteView footer_bytes, std::uint64_t file_offset);

// "<camera>/<YYYY-MM-DD>/<HHMMSS.ffffffZ>-<run>.clip", relative to <data>/clips.
std::string clip_path(const CameraId& camera, WallTime name_time, RunId run);
struct ClipName {
    CameraId camera;
    WallTime name_time;
    RunId run;
};
Result<ClipName> parse_clip_path(std::string_view relative_path);  // ".part" is accepted too

}  // namespace hd::clip
