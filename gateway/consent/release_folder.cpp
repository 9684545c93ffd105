// The folder that a requester keeps of a release, and its verification years later.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "gateway/consent/release.hpp"
#include "gateway/consent/release_format.hpp"
#include "index/base/encoding.hpp"

namespace hd::consent {
namespace {

using ledger::Field;
using ledger::FieldReader;

// Twelve hours of eight cameras list 350,000 pieces of 150 bytes.
constexpr std::uint64_t kMaxListingBytes = 64ull << 20;
constexpr std::uint64_t kMaxPieceFile = clip::kMaxPieceBytes + seal::kMaxAgeHeaderBytes;
constexpr std::string_view kListing = "release.txt";
constexpr std::string_view kClipHeader = "clip.header";

constexpr std::string_view kReadme = R"(What this folder is
===================
Video that the owner of a Halfdoor hub released to you, with everything that proves where it
comes from. Nothing in it opens without your key.

  request.note     your request
  answer.note      the hub's receipt and answer, signed by the hub
  grant.note       the owner's approval: which pieces, for which key, signed
  release.txt      every piece: kind, begin, end, size of its new header in bytes, and the SHA-256
                   of the file as it was recorded
  clip-NNNN/       one recorded clip: clip.header, and for each piece
    SSSS.age         what you can open
    SSSS.original    the header that the piece was recorded with
    SSSS.identity    camera, clip, number, time

Watch it
--------
  halfdoor open . --key key.txt --output video.mp4        (verifies everything first)

The same by hand, with stock age (https://age-encryption.org), one clip at a time:
  for f in clip-0001/*.age; do age -d -i key.txt "$f"; done > clip-0001.mp4
It is the same file for everybody who opens it, so it has one SHA-256.

Check by hand that a piece is what was recorded
-----------------------------------------------
With N the size of its new header in release.txt:
  (cat clip-0001/0001.original; tail -c +$((N+1)) clip-0001/0001.age) | sha256sum
must give the SHA-256 in release.txt. `halfdoor open` also proves, with the key of the piece, that
the original header belongs to it: docs/formats/release.md says how.
)";

std::string clip_folder(std::size_t number) { return fmt::format("clip-{:04}", number); }

// The values of one `piece` line.
struct ListedPiece {
    std::string name;  // clip-0001/0003
    std::uint64_t new_header_size = 0;
    Digest recorded_sha256{};
};

Result<ListedPiece> parse_piece_line(const FieldReader& in, const Field& field) {
    const auto parts = ledger::split(field.value, ' ');
    const Error bad = in.bad("must be name, kind, begin, end, header size and SHA-256");
    if (parts.size() != 6 || parts[0].size() < 14 || parts[0].substr(9, 1) != "/") return bad;
    const auto clip = ledger::split(parts[0], '/');
    for (const char c : parts[0].substr(5, 4))
        if (c < '0' || c > '9') return bad;
    for (const char c : clip.back())
        if (c < '0' || c > '9') return bad;
    if (clip.size() != 2 || !parts[0].starts_with("clip-")) return bad;
    const auto size = ledger::parse_number(parts[4], seal::kMaxAgeHeaderBytes);
    const auto digest = ledger::parse_digest(parts[5]);
    if (!size || !digest) return bad;
    return ListedPiece{std::string(parts[0]), *size, *digest};
}

// Feeds one piece from its files.
Result<void> feed_piece(FileSystem& fs, const std::string& folder, const ListedPiece& piece,
                        ReleaseReader& reader) {
    const std::string base = join(folder, piece.name);
    HD_ASSIGN(const Bytes identity, fs.read(base + ".identity", clip::kMaxIdentityBytes));
    HD_ASSIGN(const Bytes original, fs.read(base + ".original", seal::kMaxAgeHeaderBytes));
    HD_ASSIGN(const Bytes age, fs.read(base + ".age", kMaxPieceFile));
    if (age.size() < piece.new_header_size)
        return Error{ErrorCode::corrupt, piece.name + ".age: shorter than its header"};
    ByteWriter out;
    out.u8(kPieceRecord);
    out.long_string(identity);
    out.long_string(original);
    out.long_string(ByteView(age).first(piece.new_header_size));
    out.raw(piece.recorded_sha256);
    out.u64(age.size() - piece.new_header_size);
    out.raw(ByteView(age).subspan(piece.new_header_size));
    return reader.feed(out.view());
}

Result<void> feed_notes(FileSystem& fs, const std::string& folder, ReleaseReader& reader) {
    HD_ASSIGN(const Bytes request, fs.read(join(folder, "request.note"), kMaxRequestBytes));
    HD_ASSIGN(const Bytes answer, fs.read(join(folder, "answer.note"), kAnswerBytes));
    HD_ASSIGN(const Bytes grant, fs.read(join(folder, "grant.note"), kMaxGrantBytes));
    ByteWriter out;
    out.raw(kReleaseMagic);
    out.u8(kNotesRecord);
    out.long_string(request);
    out.long_string(answer);
    out.long_string(grant);
    return reader.feed(out.view());
}

// What stands in the folder besides what was verified and would pass for it: the page of commands
// joins every .age file of a clip's folder. Other files beside the clips (an opened film) are the
// reader's own.
Result<void> refuse_strays(FileSystem& fs, const std::string& folder,
                           const std::set<std::string>& clips,
                           const std::set<std::string>& pieces) {
    const auto stray = [](const std::string& name) {
        return Error{ErrorCode::refused, name + ": is not part of this release"};
    };
    HD_ASSIGN(const auto entries, fs.list(folder));
    for (const FileEntry& entry : entries) {
        if (!entry.is_folder || !entry.name.starts_with("clip-")) continue;
        HD_ASSIGN(const auto files, fs.list(join(folder, entry.name)));
        for (const FileEntry& file : files) {
            const std::string name = join(entry.name, file.name);
            const std::string suffix = name.substr(std::min(name.size(), name.rfind('.')));
            const bool known = suffix == ".age" || suffix == ".original" || suffix == ".identity";
            const std::string piece = name.substr(0, name.size() - suffix.size());
            if (file.name == kClipHeader && clips.contains(entry.name)) continue;
            if (file.is_folder || !known || !pieces.contains(piece)) return stray(name);
        }
    }
    const auto readme = fs.read(join(folder, "README.txt"), 2 * kReadme.size());
    if (readme ? as_text(*readme) != kReadme : readme.error().code != ErrorCode::not_found)
        return Error{ErrorCode::refused, "README.txt: is not the one that came with this release"};
    return {};
}

}  // namespace

ReleaseFolderWriter::ReleaseFolderWriter(FileSystem& fs, std::string folder)
    : fs_(&fs), folder_(std::move(folder)) {}

Result<ReleaseFolderWriter> ReleaseFolderWriter::create(FileSystem& fs, const std::string& folder) {
    if (fs.exists(folder))
        return Error{ErrorCode::invalid, folder + ": exists; name a folder that does not"};
    HD_TRY(fs.make_folders(folder, 0700));
    ReleaseFolderWriter out(fs, folder);
    return out;
}

Result<void> ReleaseFolderWriter::write(const std::string& name, ByteView bytes) {
    HD_ASSIGN(const auto file, fs_->create(join(folder_, name)));
    return file->append(bytes);
}

Result<void> ReleaseFolderWriter::notes(std::string_view request, std::string_view answer,
                                        std::string_view grant) {
    listing_.begin(sha256(as_bytes(request)), sha256(as_bytes(grant)));
    HD_TRY(write("request.note", as_bytes(request)));
    HD_TRY(write("answer.note", as_bytes(answer)));
    return write("grant.note", as_bytes(grant));
}

Result<void> ReleaseFolderWriter::piece(const VerifiedPiece& piece) {
    if (listing_.add(piece)) {
        HD_TRY(fs_->make_folders(join(folder_, listing_.folder()), 0700));
        HD_TRY(write(join(listing_.folder(), kClipHeader), piece.clip_header));
    }
    HD_TRY(write(listing_.name() + ".age", piece.age_file));
    HD_TRY(write(listing_.name() + ".original", piece.original_header));
    return write(listing_.name() + ".identity", piece.identity_bytes);
}

Result<void> ReleaseFolderWriter::finish(const ReleaseSummary&) {
    HD_TRY(write("README.txt", as_bytes(kReadme)));
    HD_TRY(write(std::string(kListing), as_bytes(listing_.text())));
    return fs_->sync_folder(folder_);
}

void ReleaseListing::begin(const Digest& request, const Digest& grant) {
    text_ = fmt::format("{}request {}\ngrant {}\n", kReleaseMagic, to_hex(request), to_hex(grant));
}

bool ReleaseListing::add(const VerifiedPiece& piece) {
    const clip::PieceIdentity& id = piece.identity;
    const bool new_clip = clips_ == 0 || id.clip != clip_;
    if (new_clip) {
        clip_ = id.clip;
        folder_ = clip_folder(++clips_);
        text_ += fmt::format("clip {} {} {}\n", folder_, to_string(id.camera), to_string(clip_));
    }
    name_ = fmt::format("{}/{:04}", folder_, id.sequence);
    text_ += fmt::format("piece {} {} {} {} {} {}\n", name_, to_string(id.kind),
                         to_rfc3339(id.utc_begin), to_rfc3339(id.utc_end), piece.new_header_size,
                         to_hex(piece.recorded_sha256));
    return new_clip;
}

Result<ReleaseSummary> verify_release_folder(FileSystem& fs, const std::string& folder,
                                             ReleaseTrust trust,
                                             const ReleaseReader::OnPiece& on_piece) {
    HD_ASSIGN(const Bytes listing, fs.read(join(folder, kListing), kMaxListingBytes));
    // Written anew from what verified: the listing must say the same.
    ReleaseListing expected;
    ReleaseReader reader(
        std::move(trust),
        [&](std::string_view request, std::string_view, std::string_view grant) -> Result<void> {
            expected.begin(sha256(as_bytes(request)), sha256(as_bytes(grant)));
            return {};
        },
        [&](const VerifiedPiece& piece) -> Result<void> {
            expected.add(piece);
            return on_piece ? on_piece(piece) : Result<void>();
        });
    HD_TRY(feed_notes(fs, folder, reader));
    const std::string_view format = kReleaseMagic.substr(0, kReleaseMagic.size() - 1);
    HD_ASSIGN(FieldReader in,
              FieldReader::open(as_text(listing), format, ledger::TextForm::signed_text));
    HD_TRY(in.take("request"));
    HD_TRY(in.take("grant"));
    std::uint32_t pieces = 0;
    std::set<std::string> clip_names, piece_names;
    for (std::size_t clips = 1; in.next_is("clip"); ++clips) {
        HD_TRY(in.take("clip"));
        clip_names.insert(clip_folder(clips));
        HD_ASSIGN(const Bytes header, fs.read(join(folder, join(clip_folder(clips), kClipHeader)),
                                              clip::kMaxHeaderBytes));
        ByteWriter out;
        out.u8(kClipRecord);
        out.long_string(header);
        HD_TRY(reader.feed(out.view()));
        for (; in.next_is("piece"); ++pieces) {
            HD_ASSIGN(const Field field, in.take("piece"));
            HD_ASSIGN(const ListedPiece piece, parse_piece_line(in, field));
            HD_TRY(feed_piece(fs, folder, piece, reader));
            piece_names.insert(piece.name);
        }
    }
    HD_TRY(in.finish());
    ByteWriter out;
    out.u8(kEndRecord);
    out.u32(pieces);
    HD_TRY(reader.feed(out.view()));
    HD_ASSIGN(auto summary, reader.finish());
    if (const auto same = ledger::require_canonical(as_text(listing), expected.text()); !same)
        return Error{ErrorCode::corrupt, "release.txt: " + same.error().what};
    HD_TRY(refuse_strays(fs, folder, clip_names, piece_names));
    return summary;
}

}  // namespace hd::consent
