// The file system under a recorder that shares its syncs: files that are created (clips) become
// durable with everybody's at once if halfdoord says so, else by their own fdatasync as ever.
// Everything else is the file system beneath.
#pragma once

#include "index/base/files.hpp"
#include "pipelines/record/sync_link.hpp"

namespace hd::record {

class SharedSyncFileSystem final : public FileSystem {
  public:
    // Both must outlive this. create() and the files that it gives belong to one thread.
    SharedSyncFileSystem(FileSystem& beneath, SyncLink& link) : fs_(beneath), link_(link) {}

    Result<std::unique_ptr<AppendFile>> create(const std::string& path) override;
    Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) override {
        return fs_.open_append(path);
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
    Result<void> remove_empty_folder(const std::string& path) override {
        return fs_.remove_empty_folder(path);
    }
    Result<void> remove_tree(const std::string& path) override { return fs_.remove_tree(path); }
    Result<void> truncate(const std::string& path, std::uint64_t size) override {
        return fs_.truncate(path, size);
    }
    Result<void> sync_folder(const std::string& path) override { return fs_.sync_folder(path); }

  private:
    FileSystem& fs_;
    SyncLink& link_;
};

}  // namespace hd::record
