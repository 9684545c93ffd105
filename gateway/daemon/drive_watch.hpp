// Is the data folder still the one that this process opened, and does it take files? A drive that
// was pulled comes back as another device; what is open of the old one (index, lock, journals)
// stays with the dead one, and RocksDB cannot be opened twice in one process. So halfdoord then
// starts itself anew (main.cpp), under the same pid, and adopts its recorders.
//
// Threads: look() is the `index` thread's; the others may be called from any.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "index/base/files.hpp"
#include "index/base/ids.hpp"
#include "index/base/time.hpp"

namespace hd::daemon {

// How long a process that was started by itself `restarts` times in a row lives at least before it
// may do that again: it never loops fast. Pure.
Micros restart_wait(unsigned restarts);
// The number to hand on: a process that lived for long begins to count anew. Pure.
unsigned next_restarts(unsigned restarts, Micros lived);

class DriveWatch {
  public:
    // `restarts`: of this program by itself, in a row. `fs` must outlive this.
    DriveWatch(FileSystem& fs, std::string data_folder, BootTime now, unsigned restarts);

    enum class Sight : std::uint8_t {
        well,     // the same folder, or nobody minds
        away,     // another folder is there now, and it is no hub's: nothing may be put into it
        foreign,  // the folder of another hub
        failing,  // ours, but it takes no file
        resting,  // ours and well again; the last start is too young for another
        back,     // ours and well again: restart_wanted() from now on
    };
    // `index_failed`: the store takes no more writes. Writes a small file if it matters, and may
    // block as long as the drive does.
    Sight look(BootTime now, bool index_failed);

    bool restart_wanted() const { return wanted_; }
    // Another folder than the one that was opened: nothing is written into it, sockets and locks in
    // it are not ours. Now, not when it was last looked at.
    bool moved() const { return folder() != first_; }
    unsigned restarts_after(BootTime now) const { return next_restarts(restarts_, now - opened_); }

  private:
    struct Folder {
        dev_t device = 0;
        ino_t inode = 0;
        bool operator==(const Folder&) const = default;
    };
    std::optional<Folder> folder() const;
    bool takes_files() const;

    FileSystem* fs_;
    const std::string data_folder_;  // Constant after construction, as the next four.
    const BootTime opened_;
    const unsigned restarts_;
    const std::optional<Folder> first_;
    const std::optional<HubId> hub_;
    std::atomic<bool> wanted_{false};
};

std::string_view to_string(DriveWatch::Sight sight);

}  // namespace hd::daemon
