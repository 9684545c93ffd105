#include "gateway/daemon/lock_file.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace hd::daemon {

Result<LockFile> LockFile::take(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return errno_error(errno, "open lock file " + path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return errno_error(errno, "lock " + path);
        std::array<char, 32> holder{};
        const ssize_t got = ::read(fd.get(), holder.data(), holder.size() - 1);
        std::string who(holder.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
        while (!who.empty() && who.back() == '\n') who.pop_back();
        return Error{ErrorCode::refused, fmt::format("{} is held by another process (pid {})", path,
                                                     who.empty() ? "unknown" : who)};
    }
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        return errno_error(errno, "write lock file " + path);
    }
    return LockFile(std::move(fd));
}

bool LockFile::is_held(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) return false;
    if (::flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return false;  // Closing lets go again.
    return errno == EWOULDBLOCK;
}

}  // namespace hd::daemon
