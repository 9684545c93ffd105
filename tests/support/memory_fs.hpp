// A file system in memory that can fail: at any operation, when full, and by a power cut, after
// which only what was synced is sure to be there. A sync that fails drops what it was for, as
// Linux does: it can be read until the power fails, and no later sync makes it durable. Not
// thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "index/base/files.hpp"

namespace hd::test {

// What a power cut leaves of bytes and names that were not synced.
enum class Cut {
    lose_all,    // only what was synced: files end at their last sync, names are the synced ones
    keep_all,    // everything happened to reach the disk
    keep_half,   // names yes; half of each unsynced tail: a torn write
    zero_tails,  // names and sizes yes, unsynced bytes are zeros: what ext4 may leave
};

class MemoryFileSystem final : public FileSystem {
  public:
    // Every call that changes something is an operation, numbered from 0.
    std::uint64_t operations() const { return operations_; }
    // That operation and those behind it, `count` in all, fail with `error`; an append writes half
    // of its bytes first.
    void fail_at(std::uint64_t operation, Error error, std::uint64_t count = 1);
    // From that operation on everything fails, as for a program that dies with its machine.
    void cut_power_at(std::uint64_t operation) { power_off_at_ = operation; }
    // Appends beyond so many bytes in all files together write what fits, then fail: exhausted.
    void set_capacity(std::optional<std::uint64_t> bytes) { capacity_ = bytes; }
    // Files say that they are on this device, so that a sync of all of them can be asked for.
    void set_device(std::uint64_t device) { device_ = device; }
    std::optional<std::uint64_t> device() const { return device_; }
    // syncfs: all bytes and names that are there are durable.
    void sync_everything();
    // Of that file; a power cut that takes all it can leaves so many.
    std::size_t durable_bytes(const std::string& path) const {
        const auto found = durable_names_.find(path);
        return found == durable_names_.end() ? 0 : found->second->durable.size();
    }
    // The machine starts again. Handles that were open are dead.
    void power_cut(Cut cut);

    // Puts a file there, durable, without counting as an operation.
    void put(const std::string& path, Bytes bytes);
    // Changes one byte of a file.
    void flip_bit(const std::string& path, std::uint64_t byte);
    std::vector<std::string> paths() const;  // of all files, sorted

    Result<std::unique_ptr<AppendFile>> create(const std::string& path) override;
    Result<std::unique_ptr<AppendFile>> open_append(const std::string& path) override;
    Result<Bytes> read(const std::string& path, std::uint64_t limit) override;
    Result<Bytes> read_range(const std::string& path, std::uint64_t offset,
                             std::uint64_t size) override;
    Result<std::uint64_t> size(const std::string& path) override;
    bool exists(const std::string& path) override;
    Result<std::vector<FileEntry>> list(const std::string& folder) override;
    Result<void> make_folders(const std::string& path, unsigned mode) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> remove_tree(const std::string& path) override;
    Result<void> truncate(const std::string& path, std::uint64_t size) override;
    Result<void> sync_folder(const std::string& path) override;

    struct Node {
        Bytes now;
        Bytes durable;
        // [first, second) was dropped by a sync that failed; only cutting it off ends that.
        std::pair<std::size_t, std::size_t> dropped{0, 0};
        bool dead = false;  // its handles belong to a machine that is gone
        void fail_sync();
        void sync();
    };
    using NodePtr = std::shared_ptr<Node>;
    // For the file handles of this file system.
    Result<void> count_operation(const std::string& what);
    Result<void> append_to(const NodePtr& node, ByteView bytes, const std::string& path);

  private:
    Result<NodePtr> find(const std::string& path) const;
    std::uint64_t used() const;

    std::map<std::string, NodePtr> files_;
    std::map<std::string, NodePtr> durable_names_;
    std::set<std::string> folders_;
    std::uint64_t operations_ = 0;
    bool fails(std::uint64_t operation) const;

    std::optional<std::uint64_t> device_;
    std::optional<std::uint64_t> fail_at_, power_off_at_, capacity_;
    std::uint64_t fail_count_ = 0;
    Error failure_;
};

}  // namespace hd::test
