// A disk that answers no sync while it is told to stall; writes go into the page cache as ever.
// Everything else is the file system beneath.
#pragma once

#include <condition_variable>
#include <mutex>

#include "index/base/files.hpp"

namespace hd::test {

class StallingFileSystem final : public FileSystem {
  public:
    explicit StallingFileSystem(FileSystem& beneath) : fs_(beneath) {}  // must outlive this

    // Any thread.
    void stall() { set(true); }
    void go_on() { set(false); }
    // True as soon as a sync waits for the disk; false after `patience` without one.
    bool wait_for_victim(Micros patience) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [this] { return waiting_ > 0; });
    }
    void wait_for_disk() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !stalled_; });
        --waiting_;
    }

    Result<std::unique_ptr<AppendFile>> create(const std::string& path) override {
        HD_ASSIGN(auto file, fs_.create(path));
        return wrap(std::move(file));
    }
    Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) override {
        HD_ASSIGN(auto file, fs_.open_append(path));
        return wrap(std::move(file));
    }
    Result<Bytes> read(const std::string& path, std::uint64_t limit) override {
        return fs_.read(path, limit);
    }
    Result<Bytes> read_range(const std::string& path, std::uint64_t offset,
                             std::uint64_t size) override {
        return fs_.read_range(path, offset, size);
    }
    Result<std::uint64_t> size(const std::string& path) override { return fs_.size(path); }
    bool exists(const std::string& path) override { return fs_.exists(path); }
    Result<std::vector<FileEntry>> list(const std::string& folder) override {
        return fs_.list(folder);
    }
    Result<void> make_folders(const std::string& path, unsigned mode) override {
        return fs_.make_folders(path, mode);
    }
    Result<void> rename(const std::string& from, const std::string& to) override {
        return fs_.rename(from, to);
    }
    Result<void> remove(const std::string& path) override { return fs_.remove(path); }
    Result<void> remove_tree(const std::string& path) override { return fs_.remove_tree(path); }
    Result<void> truncate(const std::string& path, std::uint64_t size) override {
        return fs_.truncate(path, size);
    }
    Result<void> sync_folder(const std::string& path) override {
        wait_for_disk();
        return fs_.sync_folder(path);
    }

  private:
    class File final : public AppendFile {
      public:
        File(StallingFileSystem& disk, std::unique_ptr<AppendFile> file)
            : disk_(disk), file_(std::move(file)) {}
        Result<void> append(ByteView bytes) override { return file_->append(bytes); }
        Result<void> sync_data() override {
            disk_.wait_for_disk();
            return file_->sync_data();
        }
        Result<void> sync_all() override {
            disk_.wait_for_disk();
            return file_->sync_all();
        }
        std::uint64_t size() const override { return file_->size(); }

      private:
        StallingFileSystem& disk_;
        std::unique_ptr<AppendFile> file_;
    };

    std::unique_ptr<AppendFile> wrap(std::unique_ptr<AppendFile> file) {
        return std::make_unique<File>(*this, std::move(file));
    }
    void set(bool stalled) {
        const std::lock_guard lock(mutex_);
        stalled_ = stalled;
        changed_.notify_all();
    }

    FileSystem& fs_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stalled_ = false;
    int waiting_ = 0;
};

}  // namespace hd::test
