// Reads clip files: the summary alone, the piece table, an unfinished file, one piece. Total: any
// bytes give a value or an Error that names byte and rule. See docs/formats/clip.md.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::clip {

// The end of a finished clip with ONE read. corrupt: no (valid) footer, or not this long.
Result<ClipSummary> read_summary(FileSystem& fs, const std::string& path);
// The same file's piece table: a second read.
Result<Footer> read_footer(FileSystem& fs, const std::string& path);

// A header and the very bytes that it was read from (the piece stanza hashes those).
struct HeaderBytes {
    ClipHeader header;
    Bytes bytes;
};
Result<HeaderBytes> read_header(FileSystem& fs, const std::string& path);

enum class WalkDepth {
    heads,   // believe each piece's head: a few hundred bytes read per piece
    hashes,  // read everything and compare each age file with its SHA-256
};
struct Walk {
    HeaderBytes header;
    std::vector<PieceEntry> table;    // whole pieces, in file order, sequence rising
    std::uint64_t whole_until = 0;    // behind the last whole piece
    std::uint64_t damaged_bytes = 0;  // passed over between whole pieces
    std::uint64_t left_bytes = 0;     // behind whole_until: a footer or a torn tail
};
// Reads piece after piece from the front: how an unfinished file is read, and one with a broken
// footer. Damage is passed over to the next whole piece of the same clip. Fails only if there is no
// valid header or the disk fails.
Result<Walk> walk(FileSystem& fs, const std::string& path, WalkDepth depth);

// One piece, as it stands in the file.
struct PieceFile {
    PieceIdentity identity;
    Bytes identity_bytes;
    Digest age_sha256{};
    Bytes age_file;
};

// A clip file, finished or not, open for reading pieces. Holds no file descriptor, so the file may
// be deleted meanwhile (read_piece then fails with not_found). Thread-safe after open().
class ClipReader {
  public:
    // Takes the footer if there is one, else walks the heads. `fs` must outlive the reader.
    static Result<ClipReader> open(FileSystem& fs, const std::string& path);

    const ClipHeader& header() const { return header_.header; }
    ByteView header_bytes() const { return header_.bytes; }
    // Nothing for an unfinished file.
    const std::optional<ClipSummary>& summary() const { return summary_; }
    const std::vector<PieceEntry>& table() const { return table_; }
    // By position in table(). One read; bounds, head against table, and SHA-256 are checked.
    Result<PieceFile> read_piece(std::size_t index) const;
    // The first bytes of a piece's age file, at most `limit`: its header, without reading the
    // video. Nothing is checked; the age header has its own MAC.
    Result<Bytes> read_age_prefix(std::size_t index, std::uint64_t limit) const;

  private:
    ClipReader(FileSystem& fs, std::string path) : fs_(&fs), path_(std::move(path)) {}
    FileSystem* fs_;
    std::string path_;
    HeaderBytes header_;
    std::optional<ClipSummary> summary_;
    std::vector<PieceEntry> table_;
};

}  // namespace hd::clip
