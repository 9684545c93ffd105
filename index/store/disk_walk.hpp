// What rebuild, reconcile and check share: the data folder as lists, one clip file as a summary,
// one journal as gaps. Nothing here writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "index/store/rebuild.hpp"

namespace hd::store {

// Keeps up to kMaxFindings and counts the rest.
class Findings {
  public:
    void add(Finding finding) {
        ++total_;
        if (list_.size() < kMaxFindings) list_.push_back(std::move(finding));
    }
    const std::vector<Finding>& list() const { return list_; }
    std::uint64_t total() const { return total_; }

  private:
    std::vector<Finding> list_;
    std::uint64_t total_ = 0;
};

struct CameraDay {
    CameraId camera;
    std::string day;  // "2026-11-22", the folder's name
    bool operator==(const CameraDay&) const = default;
};
std::string folder_of(const CameraDay& d);  // relative to <data>/clips
// UTC begin of a day folder; nothing if the name is none.
std::optional<WallTime> begin_of_day(const std::string& day);

// Cameras that have a folder; a missing clips folder has none. Strange names become findings.
Result<std::vector<CameraId>> cameras_on_disk(FileSystem& fs, const DataFolders& folders,
                                              Findings* findings);
// A camera's day folders, oldest first.
Result<std::vector<CameraDay>> days_on_disk(FileSystem& fs, const DataFolders& folders,
                                            const CameraId& camera, Findings* findings);

// What a day's folder holds; a missing one, nothing. Not readable: a finding, and nothing is known.
std::optional<std::vector<FileEntry>> files_of_day(FileSystem& fs, const DataFolders& folders,
                                                   const CameraDay& day, Findings& findings);

enum class FileKind { clip, part, strange };
FileKind kind_of(const FileEntry& entry);

// The summary at the end of a finished clip: one read. The error's finding says what is wrong:
// unreadable_file, or wrong_name if it does not belong at this path.
struct ClipFile {
    std::optional<clip::ClipSummary> summary;
    Finding finding;
    bool no_footer = false;                  // readable, but its end is no whole footer
    std::optional<clip::ClipName> own_name;  // wrong_name: what it says it is
};
ClipFile read_clip_file(FileSystem& fs, const DataFolders& folders, const CameraDay& day,
                        const FileEntry& entry);

struct JournalPart {
    std::vector<GapRecord> gaps;         // in file order; the last may be open
    std::optional<journal::Stamp> ends;  // a GapEnded before any GapBegan of this part
    std::vector<clip::ClipName> closed;  // clips that it says were closed
    std::uint64_t whole_until = 0;       // so far there were whole records
    // Read on from here: an open gap is read again with its end, so that no end is ever taken for
    // that of another gap.
    std::uint64_t resume_from = 0;
};
// From byte `from` on. A missing file is an empty one; damage becomes a finding.
Result<JournalPart> read_journal_part(FileSystem& fs, const DataFolders& folders,
                                      const CameraId& camera, std::uint64_t from,
                                      Findings& findings);
// What the store should say of a camera's gaps, by its journal; and put right, if it does not.
// A gap that is open or younger than the newest that the store knows may be on its way.
Result<void> check_gaps(Store& store, FileSystem& fs, const DataFolders& folders,
                        const CameraId& camera, bool repair, Findings& findings);
// Puts a part's gaps into the store and remembers where to read on.
Result<void> put_journal_part(Store& store, const CameraId& camera, const JournalPart& part);
std::uint64_t journal_offset(const Store& store, const CameraId& camera);
Result<std::vector<CameraId>> cameras_with_journal(FileSystem& fs, const DataFolders& folders);
// Tells the store every boot offset of clock.log that it does not know.
Result<void> put_boot_offsets(Store& store, FileSystem& fs, const DataFolders& folders,
                              Findings& findings);

}  // namespace hd::store
