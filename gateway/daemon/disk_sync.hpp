// One sync of the whole file system under the data folder (syncfs), and whether its word may be
// taken for every file on it. docs/decisions/0004-who-syncs-when.md says why not always.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "index/base/files.hpp"

namespace hd::daemon {

class DiskSync {
  public:
    virtual ~DiskSync() = default;
    // st_dev of the file system that is synced.
    virtual std::uint64_t device() const = 0;
    // Success: everything written into it before the call is durable. May block as long as a disk
    // does.
    virtual Result<void> sync() = 0;
};

// Opens `file` (any of ours on that file system; it must be there) and keeps it open: errors are
// told once to each descriptor. `refused`, with the reason: what syncfs says is not to be trusted
// here, so everybody syncs their own files.
Result<std::unique_ptr<DiskSync>> open_disk_sync(const std::string& file);

// What was seen of one sync; errno values, 0 for none.
struct SyncFacts {
    int syncfs = 0;
    bool read_only = false;  // the file system is, after it
    int write = 0;           // of nothing, after it
};
// Pure. An ext4 that an error stopped answers 0 to syncfs in many kernels. Until 6.11 it is
// read-only then; since then it only refuses writes, even of nothing, and so does a drive that was
// pulled.
Result<void> judge_sync(const SyncFacts& facts);

// Pure. The type of the file system with that device number ("major:minor") in the text of
// /proc/self/mountinfo; empty: it is not in there.
std::string_view mounted_type(std::string_view mountinfo, std::string_view device);
// Pure. Since Linux 5.8 syncfs reports errors of files, since 5.17 those of the journal and of the
// flush too. `release` as in uname(2).
bool kernel_reports_sync_errors(std::string_view release);

}  // namespace hd::daemon
