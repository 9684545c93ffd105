// The only door to the disk. Code that must survive a power cut takes a FileSystem&, so that tests
// can cut the power, fill the disk or make a write fail at any step. Paths are UTF-8.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/bytes.hpp"
#include "index/base/result.hpp"

namespace hd {

// Owns a file descriptor.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() { reset(); }
    Fd(Fd&& o) noexcept : fd_(o.release()) {}
    Fd& operator=(Fd&& o) noexcept {
        if (this != &o) {
            reset();
            fd_ = o.release();
        }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset();

  private:
    int fd_ = -1;
};

// errno in words, with the error code that leads to the right action (ENOSPC -> exhausted, ...).
Error errno_error(int err, std::string_view what);

// A file that only grows. Not thread-safe; append and sync may be on different threads only if the
// caller orders them.
class AppendFile {
  public:
    virtual ~AppendFile() = default;
    // All bytes or an error; after an error the file may hold a part of them (a torn tail).
    virtual Result<void> append(ByteView bytes) = 0;
    // fdatasync. After a failure the data may be gone although a later call succeeds: do not retry,
    // start a new file (https://lwn.net/Articles/752063/).
    virtual Result<void> sync_data() = 0;
    virtual Result<void> sync_all() = 0;  // fsync
    // The first half of sync_data(), for whoever has the second half done for the whole file
    // system (syncfs): all that was appended is with the device, and may be in its cache only.
    // False: this file cannot say. An error is one of sync_data().
    virtual Result<bool> write_back() { return false; }
    // The device number of its file system (stat); nothing: it is on none.
    virtual std::optional<std::uint64_t> device() const { return std::nullopt; }
    virtual std::uint64_t size() const = 0;
    // Keeps room on the disk for so many bytes behind the end, so that they can be appended when it
    // is full. The file's size stays. A hint: not every file system can, and a full one cannot.
    virtual void keep_room(std::uint64_t bytes) { static_cast<void>(bytes); }
};

struct FileEntry {
    std::string name;  // without the folder
    bool is_folder = false;
    std::uint64_t size = 0;
};

class FileSystem {
  public:
    virtual ~FileSystem() = default;
    // Fails with `invalid` if the name exists.
    virtual Result<std::unique_ptr<AppendFile>> create(const std::string& path) = 0;
    // Creates if missing; writes go to the end even with several writers (O_APPEND).
    virtual Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) = 0;
    virtual Result<Bytes> read(const std::string& path, std::uint64_t limit) = 0;
    // Up to `size` bytes from `offset`; fewer at the end of the file.
    virtual Result<Bytes> read_range(const std::string& path, std::uint64_t offset,
                                     std::uint64_t size) = 0;
    virtual Result<std::uint64_t> size(const std::string& path) = 0;  // not_found if missing
    virtual bool exists(const std::string& path) = 0;
    virtual Result<std::vector<FileEntry>> list(const std::string& folder) = 0;  // sorted by name
    virtual Result<void> make_folders(const std::string& path, unsigned mode) = 0;
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    virtual Result<void> remove(const std::string& path) = 0;  // not_found if missing
    // rmdir: never takes anything with it. A file system that cannot do this says so.
    virtual Result<void> remove_empty_folder(const std::string& path) {
        return Error{ErrorCode::unavailable, "remove folder " + path + ": not supported"};
    }
    virtual Result<void> remove_tree(const std::string& path) = 0;
    virtual Result<void> truncate(const std::string& path, std::uint64_t size) = 0;
    virtual Result<void> sync_folder(const std::string& path) = 0;
};

FileSystem& real_file_system();

// Writes `path` so that after a crash it holds either the old or the new bytes, never a mix:
// temporary file, fsync, rename, fsync of the folder. `mode` e.g. 0600 for keys.
Result<void> write_file_atomic(const std::string& path, ByteView bytes, unsigned mode);

std::string parent_folder(std::string_view path);
std::string join(std::string_view folder, std::string_view name);

}  // namespace hd
