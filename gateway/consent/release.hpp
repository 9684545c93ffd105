// A release: what `fetch` brings, as one byte stream (the release file), the folder that the
// requester's tool makes of it, and the verifier. docs/formats/release.md.
//
// The hub lays the stream out without copying video (ReleaseLayout); the requester reads it in any
// portions (ReleaseReader), which verifies as it goes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/consent/answer.hpp"
#include "gateway/consent/grant.hpp"
#include "index/base/files.hpp"
#include "index/seal/seal.hpp"

namespace hd::consent {

constexpr std::uint64_t kReleasePartBytes = 1ull << 20;

// One piece as the hub has it on disk.
struct ReleasePiece {
    Bytes identity;
    Bytes original_header;
    Bytes new_header;
    Digest recorded_sha256{};  // of the whole original age file, from the clip file
    std::string file;          // path of the clip file; the payload is read from there
    std::uint64_t payload_offset = 0;
    std::uint64_t payload_size = 0;
};

// The release file as ranges of memory and of clip files. Build it in order, then read any part.
class ReleaseLayout {
  public:
    ReleaseLayout(std::string request_note, std::string answer, std::string grant_note);
    void begin_clip(ByteView clip_header);
    void add_piece(const ReleasePiece& piece);
    void finish();  // no more pieces; total() is now final

    std::uint64_t total() const { return total_; }
    std::uint64_t parts() const;  // of kReleasePartBytes, at least 1
    // Part n, read through `fs`. not_found: no such part. HD_CHECKs finish().
    Result<Bytes> read_part(FileSystem& fs, std::uint64_t part) const;

  private:
    struct Segment {
        std::uint64_t at = 0;  // offset in the release file
        Bytes memory;          // or, if `file` is set:
        std::string file;
        std::uint64_t offset = 0, size = 0;
    };
    void add_memory(Bytes bytes);
    std::vector<Segment> segments_;
    std::uint64_t total_ = 0;
    std::uint32_t pieces_ = 0;
    bool finished_ = false;
};

// What the requester must know to verify: the card of the hub and of the owner (grants by
// approvers: their note keys), its own secret, and the request that it sent.
struct ReleaseTrust {
    std::vector<ledger::NoteKey> granters;  // owner, then approvers that the requester knows
    ledger::NoteKey hub;
    std::string request_note;  // exact bytes as sent
    std::span<const seal::Identity> identities;
};

// A verified piece. `age_file` opens with stock `age -d`.
struct VerifiedPiece {
    clip::PieceIdentity identity;
    ByteView clip_header, identity_bytes, original_header;
    ByteView age_file;  // new header and payload
    std::size_t new_header_size = 0;
    Digest recorded_sha256{};  // of the original header and the payload
    Bytes plain;               // its fMP4 bytes
};

struct ReleaseSummary {
    SignedGrant grant;
    Answer answer;
    std::size_t clips = 0, pieces = 0, frames = 0;
    std::uint64_t video_bytes = 0;
    std::vector<std::pair<CameraId, TimeSpan>> spans;  // one per clip, in order
    std::string granter;                               // key name of who signed
};

// Verifies a release in a stream: feed bytes, get each piece when it is whole and verified. Holds
// one piece in memory (at most clip::kMaxPieceBytes and headers). The first error is final.
class ReleaseReader {
  public:
    using OnPiece = std::function<Result<void>(const VerifiedPiece&)>;
    // Called once, before the first piece: the notes as they came, already verified.
    using OnNotes = std::function<Result<void>(std::string_view request, std::string_view answer,
                                               std::string_view grant)>;
    ReleaseReader(ReleaseTrust trust, OnNotes on_notes, OnPiece on_piece);
    ~ReleaseReader();
    ReleaseReader(ReleaseReader&&) noexcept;

    // refused or corrupt: names the clip, the piece and the check that failed.
    Result<void> feed(ByteView bytes);
    // After the last byte: everything that the grant names came, nothing else, hash of headers.
    Result<ReleaseSummary> finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// The lines of release.txt, and where each piece lies.
class ReleaseListing {
  public:
    void begin(const Digest& request, const Digest& grant);
    // True if the piece begins a clip: folder() is then a new one.
    bool add(const VerifiedPiece& piece);
    const std::string& text() const { return text_; }
    const std::string& folder() const { return folder_; }  // clip-0001
    const std::string& name() const { return name_; }      // clip-0001/0003

  private:
    std::string text_, folder_, name_;
    ClipId clip_;
    std::size_t clips_ = 0;
};

// The folder:
//   README.txt  request.note  answer.note  grant.note  release.txt
//   clip-0001/clip.header  0000.age 0000.original 0000.identity  0003.age ...
// `release.txt` lists the pieces with the SHA-256 of the original age file. Writes through
// ReleaseReader's callbacks; `folder` must not exist. A folder without release.txt is unfinished.
class ReleaseFolderWriter {
  public:
    static Result<ReleaseFolderWriter> create(FileSystem& fs, const std::string& folder);
    Result<void> notes(std::string_view request, std::string_view answer, std::string_view grant);
    Result<void> piece(const VerifiedPiece& piece);
    Result<void> finish(const ReleaseSummary& summary);  // README.txt, then release.txt

  private:
    ReleaseFolderWriter(FileSystem& fs, std::string folder);
    Result<void> write(const std::string& name, ByteView bytes);
    FileSystem* fs_;  // must outlive this
    std::string folder_;
    ReleaseListing listing_;
};

// Verifies a folder again (`halfdoor open`, or years later) and calls `on_piece` for each piece in
// order. The same checks as ReleaseReader.
Result<ReleaseSummary> verify_release_folder(FileSystem& fs, const std::string& folder,
                                             ReleaseTrust trust,
                                             const ReleaseReader::OnPiece& on_piece);

}  // namespace hd::consent
