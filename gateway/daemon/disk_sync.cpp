#include "gateway/daemon/disk_sync.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace hd::daemon {
namespace {

constexpr std::uint64_t kMaxMountinfoBytes = 1 << 20;

class RealDiskSync final : public DiskSync {
  public:
    RealDiskSync(Fd fd, std::uint64_t device) : fd_(std::move(fd)), device_(device) {}
    std::uint64_t device() const override { return device_; }
    Result<void> sync() override {
        SyncFacts facts;
        if (::syncfs(fd_.get()) != 0) facts.syncfs = errno;
        struct statvfs now {};
        facts.read_only = ::fstatvfs(fd_.get(), &now) != 0 || (now.f_flag & ST_RDONLY) != 0;
        if (::write(fd_.get(), "", 0) != 0) facts.write = errno;
        return judge_sync(facts);
    }

  private:
    const Fd fd_;
    const std::uint64_t device_;
};

Error untrusted(std::string why) { return {ErrorCode::refused, std::move(why)}; }

}  // namespace

Result<void> judge_sync(const SyncFacts& facts) {
    if (facts.syncfs != 0) return errno_error(facts.syncfs, "syncfs");
    if (facts.read_only) return errno_error(EROFS, "after syncfs");
    if (facts.write != 0) return errno_error(facts.write, "write after syncfs");
    return {};
}

std::string_view mounted_type(std::string_view mountinfo, std::string_view device) {
    // 36 35 98:0 /root /mount options tags... - type source super-options
    while (!mountinfo.empty()) {
        const std::string_view line = mountinfo.substr(0, mountinfo.find('\n'));
        mountinfo.remove_prefix(std::min(line.size() + 1, mountinfo.size()));
        std::string_view rest = line;
        for (int i = 0; i < 2; ++i) rest.remove_prefix(std::min(rest.find(' ') + 1, rest.size()));
        if (rest.substr(0, rest.find(' ')) != device) continue;
        const auto dash = rest.find(" - ");
        if (dash == std::string_view::npos) return {};
        rest.remove_prefix(dash + 3);
        return rest.substr(0, rest.find(' '));
    }
    return {};
}

bool kernel_reports_sync_errors(std::string_view release) {
    unsigned major = 0, minor = 0;
    const char* const end = release.data() + release.size();
    const auto [dot, wrong] = std::from_chars(release.data(), end, major);
    if (wrong != std::errc() || dot == end || *dot != '.') return false;
    if (std::from_chars(dot + 1, end, minor).ec != std::errc()) return false;
    return major > 5 || (major == 5 && minor >= 17);
}

Result<std::unique_ptr<DiskSync>> open_disk_sync(const std::string& file) {
    utsname system{};
    if (::uname(&system) != 0 || !kernel_reports_sync_errors(system.release))
        return untrusted(fmt::format("Linux {} does not report every error of syncfs, 5.17 does",
                                     system.release));
    Fd fd{::open(file.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd) return errno_error(errno, "open " + file);
    struct stat facts {};
    if (::fstat(fd.get(), &facts) != 0) return errno_error(errno, "stat " + file);
    auto mounts = real_file_system().read("/proc/self/mountinfo", kMaxMountinfoBytes);
    if (!mounts) return mounts.error();
    const auto type = mounted_type(as_text(*mounts),
                                   fmt::format("{}:{}", major(facts.st_dev), minor(facts.st_dev)));
    if (type != "ext4")
        return untrusted(fmt::format("its file system is {}, only ext4 was tried",
                                     type.empty() ? "unknown" : type));
    return std::unique_ptr<DiskSync>(std::make_unique<RealDiskSync>(std::move(fd), facts.st_dev));
}

}  // namespace hd::daemon
