// The one append-only record file: small, checksummed, self-describing records. Camera journals,
// clock.log and the request journal are all this. The document is docs/formats/journal.md.
//
// Several writers may append to one file (O_APPEND, one write per record). A torn or damaged record
// is skipped: the reader looks for the next record that checks, and says how many bytes it passed
// over.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "index/base/bytes.hpp"
#include "index/base/files.hpp"

namespace hd::journal {

constexpr std::uint32_t kMaxRecordBytes = 256 * 1024;

struct Record {
    std::uint16_t type = 0;
    Bytes payload;
};

struct ReadReport {
    std::uint64_t records = 0;
    std::uint64_t damaged_bytes = 0;  // passed over in the middle
    std::uint64_t torn_bytes = 0;     // at the end
    std::uint64_t whole_until = 0;    // file offset behind the last record that checks
};

class Writer {
  public:
    // Creates the file with its header if missing. `kind` is written into the header ("camera",
    // "clock", "request"): a file of another kind is refused. `fs` must outlive the writer.
    static Result<Writer> open(FileSystem& fs, const std::string& path, std::string_view kind);
    // Not durable until sync(). Room for a few records is kept behind the end where the file system
    // can, so that a full disk takes them. After a failure the next record goes to the file opened
    // anew: the old descriptor may be that of a drive that is gone, and what it failed to sync is
    // lost.
    Result<void> append(const Record& record);
    Result<void> sync();
    std::uint64_t size() const { return file_->size(); }

  private:
    Writer(FileSystem& fs, std::string path, std::string_view kind,
           std::unique_ptr<AppendFile> file)
        : fs_(&fs), path_(std::move(path)), kind_(kind), file_(std::move(file)) {}

    FileSystem* fs_;
    std::string path_, kind_;
    std::unique_ptr<AppendFile> file_;
    bool failed_ = false;
};

// Calls `visit` for each whole record in file order, from byte `from` on (0: all). Reads in bounded
// chunks.
Result<ReadReport> read(FileSystem& fs, const std::string& path, std::string_view kind,
                        std::uint64_t from,
                        const std::function<void(const Record&, std::uint64_t offset)>& visit);

// Cuts a torn tail off. Only while nobody else has the file open (at start, before the recorders).
Result<ReadReport> repair_tail(FileSystem& fs, const std::string& path, std::string_view kind);

// One record as it stands in the file, for the fuzzer and `halfdoor dump`.
Bytes encode_record(const Record& record);

}  // namespace hd::journal
