#include "gateway/daemon/ballast.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "index/base/files.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

namespace {

std::string ballast_path(const std::string& data_folder) { return join(data_folder, "ballast"); }

}  // namespace

Result<std::uint64_t> free_bytes_of(const std::string& folder) {
    struct statvfs disk {};
    if (::statvfs(folder.c_str(), &disk) != 0)
        return errno_error(errno, "look at the disk of " + folder);
    return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

Result<void> make_room(const std::string& data_folder) {
    auto free = free_bytes_of(data_folder);
    if (!free || *free >= kLeastFreeBytes) return {};
    if (::unlink(ballast_path(data_folder).c_str()) == 0) {
        log::warn("disk.ballast_given_up", "free_bytes={}", *free);
        free = free_bytes_of(data_folder);
        if (!free || *free >= kLeastFreeBytes) return {};
    }
    return Error{ErrorCode::exhausted,
                 fmt::format("the disk of {} is full: {} KiB are free, {} are needed to open the "
                             "index; free some space (not by deleting clips)",
                             data_folder, *free >> 10, kLeastFreeBytes >> 10)};
}

void keep_ballast(const std::string& data_folder, std::uint64_t free_bytes,
                  std::uint64_t reserve_bytes) {
    if (free_bytes < reserve_bytes + kBallastBytes) return;
    const std::string path = ballast_path(data_folder);
    struct stat there {};
    if (::stat(path.c_str(), &there) == 0 &&
        static_cast<std::uint64_t>(there.st_blocks) * 512 >= kBallastBytes) {
        return;
    }
    const Fd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    // Not on every file system; without it a full disk needs a person, as `make_room` says.
    if (!fd || ::posix_fallocate(fd.get(), 0, static_cast<off_t>(kBallastBytes)) != 0) {
        ::unlink(path.c_str());
    }
}

}  // namespace hd::daemon
