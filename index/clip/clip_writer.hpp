// Writes one clip file: header, pieces, footer, rename. See docs/formats/clip.md.
//
// Passive and not thread-safe; append_piece() and sync() may be on different threads if the caller
// orders them. Whatever fails, what was written before stays readable: a writer that broke is
// dropped, a new one begun, and the ".part" left behind is finished by recover.hpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/clip/clip_format.hpp"

namespace hd::clip {

class ClipWriter {
  public:
    // Creates <clips_folder>/<clip_path(...)>.part with its folders (0700) and writes the header.
    // The name says header.utc_begin, or some microseconds later if that name is taken. `fs` must
    // outlive the writer.
    static Result<ClipWriter> begin(FileSystem& fs, const std::string& clips_folder,
                                    const ClipHeader& header);

    // Not durable until sync(). identity.camera, .clip and .sequence (0, 1, 2...) must be this
    // clip's: invalid otherwise, and nothing is written. Any other error breaks the writer.
    Result<void> append_piece(const PieceIdentity& identity, ByteView age_file);

    // Everything appended is on the disk (and so is the file's name). An error breaks the writer,
    // and what was not synced before is this clip's no more: the kernel may have dropped it, and
    // says so once only (fsync(2)).
    Result<void> sync();

    // Footer, fsync, rename to ".clip", fsync of the folder. On an error the ".part" stays, cut
    // back to size_bytes() if the disk allows. Works on a broken writer too: the space of a torn
    // piece, and of those that a failed sync took, is used for the footer. Call it once.
    Result<ClipSummary> finish(EndReason reason, std::string_view detail);

    const ClipHeader& header() const { return header_; }
    // As in the file: what the piece stanza hashes.
    ByteView header_bytes() const { return header_bytes_; }
    // Relative to the clips folder; ".part" until finish() succeeded.
    const std::string& relative_path() const { return relative_path_; }
    std::uint64_t size_bytes() const { return whole_until_; }  // of header and whole pieces
    std::uint32_t pieces() const { return static_cast<std::uint32_t>(table_.size()); }
    const std::vector<PieceEntry>& table() const { return table_; }  // written so far
    std::uint32_t next_sequence() const { return pieces(); }
    bool broken() const { return broken_; }

  private:
    ClipWriter(FileSystem& fs, std::string clips_folder, const ClipHeader& header)
        : fs_(&fs), clips_folder_(std::move(clips_folder)), header_(header) {}
    Result<void> create_part();
    Result<void> write_footer(ClipSummary& summary);  // fills in size_bytes
    void forget_unsynced();

    FileSystem* fs_;
    std::string clips_folder_;
    ClipHeader header_;
    Bytes header_bytes_;
    WallTime name_time_;
    std::string relative_path_;
    std::unique_ptr<AppendFile> file_;
    std::vector<PieceEntry> table_;
    std::uint64_t whole_until_ = 0;  // everything before this is the header and table_'s pieces
    bool broken_ = false;
    std::size_t synced_pieces_ = 0;
    bool name_synced_ = false;  // the folder's fsync, once, with the first sync()
};

// What header and pieces say together; the shared arithmetic of writer and recovery.
// pieces of kind video count for frames and for what the clip spans.
ClipSummary summarise(const ClipHeader& header, const std::vector<PieceEntry>& table,
                      WallTime name_time, EndReason reason, std::string_view detail);

}  // namespace hd::clip
