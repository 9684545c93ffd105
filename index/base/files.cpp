#include "index/base/files.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"

namespace hd {

void Fd::reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

Error errno_error(int err, std::string_view what) {
    ErrorCode code = ErrorCode::unavailable;
    if (err == ENOENT) code = ErrorCode::not_found;
    if (err == ENOSPC || err == EDQUOT || err == EMFILE || err == ENFILE || err == ENOMEM)
        code = ErrorCode::exhausted;
    if (err == EEXIST || err == EISDIR || err == ENOTDIR || err == ENAMETOOLONG || err == EINVAL)
        code = ErrorCode::invalid;
    if (err == EACCES || err == EPERM || err == EROFS) code = ErrorCode::refused;
    return {code, fmt::format("{}: {}", what, std::generic_category().message(err))};
}

namespace {

Result<void> write_all(int fd, ByteView bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno_error(errno, "write " + path);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

class RealAppendFile final : public AppendFile {
  public:
    RealAppendFile(Fd fd, std::string path, const struct stat& facts)
        : fd_(std::move(fd)),
          path_(std::move(path)),
          size_(static_cast<std::uint64_t>(facts.st_size)),
          device_(facts.st_dev) {}
    Result<void> append(ByteView bytes) override {
        HD_TRY(write_all(fd_.get(), bytes, path_));
        size_ += bytes.size();
        // The disk begins now, and nobody waits: when recorders sync on their shared tick, all
        // their blocks are allocated and one commit of the file system serves all of them. Even the
        // last part of a page counts: one file that has something to allocate at the tick makes a
        // second commit (docs/decisions/0004). A hint: what fails is told by sync.
        (void)::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
        return {};
    }
    Result<void> sync_data() override {
        if (::fdatasync(fd_.get()) != 0) return errno_error(errno, "fdatasync " + path_);
        return {};
    }
    Result<void> sync_all() override {
        if (::fsync(fd_.get()) != 0) return errno_error(errno, "fsync " + path_);
        return {};
    }
    Result<bool> write_back() override {
        constexpr unsigned kAll =
            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
        if (::sync_file_range(fd_.get(), 0, 0, kAll) == 0) return true;
        // Not every kernel and every system call filter knows it.
        if (errno == ENOSYS || errno == EPERM) return false;
        return errno_error(errno, "write back " + path_);
    }
    std::optional<std::uint64_t> device() const override { return device_; }
    std::uint64_t size() const override { return size_; }
    void keep_room(std::uint64_t bytes) override {
        struct stat there {};  // Others may append too.
        if (::fstat(fd_.get(), &there) != 0) return;
        const auto end = static_cast<std::uint64_t>(there.st_size);
        if (end + bytes / 2 <= room_until_) return;
        if (::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, there.st_size, static_cast<off_t>(bytes)) ==
            0)
            room_until_ = end + bytes;
    }

  private:
    std::uint64_t room_until_ = 0;  // of the blocks that keep_room() took
    Fd fd_;
    std::string path_;
    std::uint64_t size_;
    const std::uint64_t device_;
};

Result<std::unique_ptr<AppendFile>> open_file(const std::string& path, int flags) {
    Fd fd{::open(path.c_str(), flags | O_CLOEXEC, 0660)};
    if (!fd) return errno_error(errno, "open " + path);
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return errno_error(errno, "stat " + path);
    std::unique_ptr<AppendFile> file = std::make_unique<RealAppendFile>(std::move(fd), path, st);
    return file;
}

class RealFileSystem final : public FileSystem {
  public:
    Result<std::unique_ptr<AppendFile>> create(const std::string& path) override {
        return open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
    }
    Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) override {
        return open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    }
    Result<Bytes> read(const std::string& path, std::uint64_t limit) override {
        HD_ASSIGN(const std::uint64_t bytes, size(path));
        if (bytes > limit)
            return Error{ErrorCode::invalid,
                         fmt::format("read {}: {} bytes, the limit is {}", path, bytes, limit)};
        return read_range(path, 0, limit);
    }
    Result<Bytes> read_range(const std::string& path, std::uint64_t offset,
                             std::uint64_t size) override {
        const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        if (!fd) return errno_error(errno, "open " + path);
        struct stat st {};
        if (::fstat(fd.get(), &st) != 0) return errno_error(errno, "stat " + path);
        const std::uint64_t total = static_cast<std::uint64_t>(st.st_size);
        // Files like those of /proc say 0; read them to the end within the limit.
        const std::uint64_t want = total == 0 ? std::min<std::uint64_t>(size, 65536)
                                              : std::min(size, total - std::min(offset, total));
        Bytes out(want);
        std::size_t have = 0;
        while (have < out.size()) {
            const ssize_t n = ::pread(fd.get(), out.data() + have, out.size() - have,
                                      static_cast<off_t>(offset + have));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return errno_error(errno, "read " + path);
            if (n == 0) break;
            have += static_cast<std::size_t>(n);
        }
        out.resize(have);
        return out;
    }
    Result<std::uint64_t> size(const std::string& path) override {
        struct stat st {};
        if (::stat(path.c_str(), &st) != 0) return errno_error(errno, "stat " + path);
        return static_cast<std::uint64_t>(st.st_size);
    }
    bool exists(const std::string& path) override {
        struct stat st {};
        return ::lstat(path.c_str(), &st) == 0;
    }
    Result<std::vector<FileEntry>> list(const std::string& folder) override {
        std::unique_ptr<DIR, int (*)(DIR*)> dir{::opendir(folder.c_str()), ::closedir};
        if (!dir) return errno_error(errno, "list " + folder);
        std::vector<FileEntry> out;
        while (const dirent* e = ::readdir(dir.get())) {
            const std::string name = e->d_name;
            if (name == "." || name == "..") continue;
            struct stat st {};
            if (::fstatat(::dirfd(dir.get()), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
            out.push_back({name, S_ISDIR(st.st_mode), static_cast<std::uint64_t>(st.st_size)});
        }
        std::sort(out.begin(), out.end(),
                  [](const FileEntry& a, const FileEntry& b) { return a.name < b.name; });
        return out;
    }
    Result<void> make_folders(const std::string& path, unsigned mode) override {
        if (path.empty() || path == "/" || exists(path)) return {};
        HD_TRY(make_folders(parent_folder(path), mode));
        if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
            return errno_error(errno, "make folder " + path);
        return sync_folder(parent_folder(path));
    }
    Result<void> rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0)
            return errno_error(errno, "rename " + from + " to " + to);
        return {};
    }
    Result<void> remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0) return errno_error(errno, "delete " + path);
        return {};
    }
    Result<void> remove_empty_folder(const std::string& path) override {
        if (::rmdir(path.c_str()) != 0) return errno_error(errno, "remove folder " + path);
        return {};
    }
    Result<void> remove_tree(const std::string& path) override {
        std::error_code ec;
        std::filesystem::remove_all(path, ec);
        if (ec) return errno_error(ec.value(), "delete " + path);
        return {};
    }
    Result<void> truncate(const std::string& path, std::uint64_t size) override {
        if (::truncate(path.c_str(), static_cast<off_t>(size)) != 0)
            return errno_error(errno, "truncate " + path);
        return {};
    }
    Result<void> sync_folder(const std::string& path) override {
        const Fd fd{::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (!fd) return errno_error(errno, "open folder " + path);
        if (::fsync(fd.get()) != 0) return errno_error(errno, "fsync folder " + path);
        return {};
    }
};

}  // namespace

FileSystem& real_file_system() {
    static RealFileSystem fs;
    return fs;
}

Result<void> write_file_atomic(const std::string& path, ByteView bytes, unsigned mode) {
    std::array<std::uint8_t, 6> salt{};
    random_bytes(salt);
    const std::string temporary = path + "." + to_hex(salt) + ".tmp";
    Fd fd{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)};
    if (!fd) return errno_error(errno, "create " + temporary);
    Result<void> done = write_all(fd.get(), bytes, temporary);
    if (done && ::fsync(fd.get()) != 0) done = errno_error(errno, "fsync " + temporary);
    if (done && ::rename(temporary.c_str(), path.c_str()) != 0)
        done = errno_error(errno, "rename " + temporary);
    if (!done) {
        ::unlink(temporary.c_str());
        return done;
    }
    return real_file_system().sync_folder(parent_folder(path));
}

std::string parent_folder(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return ".";
    return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string join(std::string_view folder, std::string_view name) {
    if (folder.empty()) return std::string(name);
    return std::string(folder) + (folder.ends_with('/') ? "" : "/") + std::string(name);
}

}  // namespace hd
