#include "tests/support/memory_fs.hpp"

#include <algorithm>

namespace hd::test {
namespace {

Error missing(const std::string& path) { return {ErrorCode::not_found, path + ": no such file"}; }

class MemoryFile final : public AppendFile {
  public:
    MemoryFile(MemoryFileSystem& fs, MemoryFileSystem::NodePtr node, std::string path)
        : fs_(fs), node_(std::move(node)), path_(std::move(path)) {}
    Result<void> append(ByteView bytes) override { return fs_.append_to(node_, bytes, path_); }
    Result<void> sync_data() override { return sync("fdatasync "); }
    Result<void> sync_all() override { return sync("fsync "); }
    Result<bool> write_back() override {
        HD_TRY(fs_.count_operation("write back " + path_));
        return true;
    }
    std::optional<std::uint64_t> device() const override { return fs_.device(); }
    std::uint64_t size() const override { return node_->now.size(); }

  private:
    Result<void> sync(const std::string& what) {
        if (auto counted = fs_.count_operation(what + path_); !counted) {
            node_->fail_sync();
            return counted;
        }
        if (node_->dead) return Error{ErrorCode::unavailable, path_ + ": its machine is gone"};
        node_->sync();
        return {};
    }
    MemoryFileSystem& fs_;
    MemoryFileSystem::NodePtr node_;
    std::string path_;
};

// The files in a folder and below it: [first, last).
template <typename Files>
auto below(Files& files, const std::string& folder) {
    const std::string prefix = folder == "." ? "" : folder + "/";
    const auto first = files.lower_bound(prefix);
    auto last = first;
    while (last != files.end() && last->first.starts_with(prefix)) ++last;
    return std::pair(first, last);
}

// What a power cut leaves of one file.
Bytes left_of(const MemoryFileSystem::Node& node, Cut cut) {
    if (cut == Cut::lose_all) return node.durable;
    if (cut == Cut::keep_all || node.now.size() <= node.durable.size()) return node.now;
    Bytes out = node.now;
    const auto synced = static_cast<std::ptrdiff_t>(node.durable.size());
    if (cut == Cut::keep_half)
        out.resize(node.durable.size() + (out.size() - node.durable.size()) / 2);
    else
        std::fill(out.begin() + synced, out.end(), std::uint8_t{0});
    return out;
}

}  // namespace

void MemoryFileSystem::Node::fail_sync() {
    if (now.size() <= durable.size()) return;
    if (dropped.second <= dropped.first) dropped.first = durable.size();
    dropped.second = now.size();
}

void MemoryFileSystem::Node::sync() {
    durable = now;
    if (dropped.first < dropped.second)
        std::fill(durable.begin() + static_cast<std::ptrdiff_t>(dropped.first),
                  durable.begin() + static_cast<std::ptrdiff_t>(dropped.second), std::uint8_t{0});
}

void MemoryFileSystem::fail_at(std::uint64_t operation, Error error, std::uint64_t count) {
    fail_at_ = operation;
    fail_count_ = count;
    failure_ = std::move(error);
}

bool MemoryFileSystem::fails(std::uint64_t operation) const {
    return fail_at_ && operation >= *fail_at_ && operation - *fail_at_ < fail_count_;
}

Result<void> MemoryFileSystem::count_operation(const std::string& what) {
    const std::uint64_t n = operations_++;
    if (power_off_at_ && n >= *power_off_at_)
        return Error{ErrorCode::unavailable, what + ": the power is off"};
    if (fails(n)) return failure_.in(what);
    return {};
}

std::uint64_t MemoryFileSystem::used() const {
    std::uint64_t bytes = 0;
    for (const auto& [path, node] : files_) bytes += node->now.size();
    return bytes;
}

Result<void> MemoryFileSystem::append_to(const NodePtr& node, ByteView bytes,
                                         const std::string& path) {
    const std::uint64_t n = operations_;
    const auto put_bytes = [&](std::size_t count) {
        node->now.insert(node->now.end(), bytes.begin(),
                         bytes.begin() + static_cast<std::ptrdiff_t>(count));
    };
    if (node->dead) return Error{ErrorCode::unavailable, path + ": its machine is gone"};
    if (auto counted = count_operation("append " + path); !counted) {
        // What fails may have got half way.
        if ((power_off_at_ && n == *power_off_at_) || fails(n)) put_bytes(bytes.size() / 2);
        return counted;
    }
    if (capacity_) {
        const std::uint64_t room = *capacity_ - std::min(*capacity_, used());
        if (bytes.size() > room) {
            put_bytes(room);
            return Error{ErrorCode::exhausted, "append " + path + ": no space left"};
        }
    }
    put_bytes(bytes.size());
    return {};
}

void MemoryFileSystem::power_cut(Cut cut) {
    const std::map<std::string, NodePtr> names = cut == Cut::lose_all ? durable_names_ : files_;
    std::map<std::string, NodePtr> after;
    for (const auto& [path, node] : names) {
        auto fresh = std::make_shared<Node>();
        fresh->now = fresh->durable = left_of(*node, cut);
        after[path] = fresh;
    }
    for (const auto& [path, node] : files_) node->dead = true;
    files_ = durable_names_ = std::move(after);
    power_off_at_.reset();
    fail_at_.reset();
}

void MemoryFileSystem::sync_everything() {
    for (const auto& [path, node] : files_) node->sync();
    durable_names_ = files_;
}

void MemoryFileSystem::put(const std::string& path, Bytes bytes) {
    auto node = std::make_shared<Node>();
    node->now = node->durable = std::move(bytes);
    files_[path] = durable_names_[path] = node;
    for (std::string f = parent_folder(path); f != "." && f != "/"; f = parent_folder(f))
        folders_.insert(f);
}

void MemoryFileSystem::flip_bit(const std::string& path, std::uint64_t byte) {
    Node& node = *files_.at(path);
    node.now.at(byte) ^= 1;
    if (byte < node.durable.size()) node.durable[byte] ^= 1;
}

std::vector<std::string> MemoryFileSystem::paths() const {
    std::vector<std::string> out;
    for (const auto& [path, node] : files_) out.push_back(path);
    return out;
}

Result<MemoryFileSystem::NodePtr> MemoryFileSystem::find(const std::string& path) const {
    const auto found = files_.find(path);
    if (found == files_.end()) return missing(path);
    return found->second;
}

Result<std::unique_ptr<AppendFile>> MemoryFileSystem::create(const std::string& path) {
    HD_TRY(count_operation("create " + path));
    if (files_.contains(path)) return Error{ErrorCode::invalid, path + ": exists"};
    if (const std::string folder = parent_folder(path); folder != "." && !folders_.contains(folder))
        return missing(folder);
    files_[path] = std::make_shared<Node>();
    std::unique_ptr<AppendFile> file = std::make_unique<MemoryFile>(*this, files_[path], path);
    return file;
}

Result<std::unique_ptr<AppendFile>> MemoryFileSystem::open_append(const std::string& path) {
    if (!files_.contains(path)) return create(path);
    HD_TRY(count_operation("open " + path));
    std::unique_ptr<AppendFile> file = std::make_unique<MemoryFile>(*this, files_[path], path);
    return file;
}

Result<Bytes> MemoryFileSystem::read(const std::string& path, std::uint64_t limit) {
    HD_ASSIGN(const NodePtr node, find(path));
    if (node->now.size() > limit) return Error{ErrorCode::invalid, path + ": over the limit"};
    return node->now;
}

Result<Bytes> MemoryFileSystem::read_range(const std::string& path, std::uint64_t offset,
                                           std::uint64_t size) {
    HD_ASSIGN(const NodePtr node, find(path));
    const ByteView all(node->now);
    const ByteView from = all.subspan(std::min<std::uint64_t>(offset, all.size()));
    const ByteView out = from.first(std::min<std::uint64_t>(size, from.size()));
    return Bytes(out.begin(), out.end());
}

Result<std::uint64_t> MemoryFileSystem::size(const std::string& path) {
    HD_ASSIGN(const NodePtr node, find(path));
    return std::uint64_t{node->now.size()};
}

bool MemoryFileSystem::exists(const std::string& path) {
    return files_.contains(path) || folders_.contains(path);
}

Result<std::vector<FileEntry>> MemoryFileSystem::list(const std::string& folder) {
    if (!folders_.contains(folder)) return missing(folder);
    std::vector<FileEntry> out;
    for (const std::string& f : folders_)
        if (parent_folder(f) == folder) out.push_back({f.substr(folder.size() + 1), true, 0});
    for (auto [file, last] = below(files_, folder); file != last; ++file)
        if (parent_folder(file->first) == folder)
            out.push_back({file->first.substr(folder.size() + 1), false, file->second->now.size()});
    std::sort(out.begin(), out.end(),
              [](const FileEntry& a, const FileEntry& b) { return a.name < b.name; });
    return out;
}

Result<void> MemoryFileSystem::make_folders(const std::string& path, unsigned) {
    HD_TRY(count_operation("make folder " + path));
    for (std::string f = path; f != "." && f != "/"; f = parent_folder(f)) folders_.insert(f);
    return {};
}

Result<void> MemoryFileSystem::rename(const std::string& from, const std::string& to) {
    HD_TRY(count_operation("rename " + from));
    HD_ASSIGN(const NodePtr node, find(from));
    files_.erase(from);
    files_[to] = node;
    return {};
}

Result<void> MemoryFileSystem::remove(const std::string& path) {
    HD_TRY(count_operation("delete " + path));
    return files_.erase(path) > 0 ? Result<void>() : Result<void>(missing(path));
}

Result<void> MemoryFileSystem::remove_tree(const std::string& path) {
    HD_TRY(count_operation("delete " + path));
    const auto below = [&](const std::string& p) { return p == path || p.starts_with(path + "/"); };
    std::erase_if(files_, [&](const auto& file) { return below(file.first); });
    std::erase_if(folders_, below);
    return {};
}

Result<void> MemoryFileSystem::truncate(const std::string& path, std::uint64_t size) {
    HD_TRY(count_operation("truncate " + path));
    HD_ASSIGN(const NodePtr node, find(path));
    node->now.resize(size);
    node->dropped.second = std::min<std::size_t>(node->dropped.second, size);
    return {};
}

Result<void> MemoryFileSystem::sync_folder(const std::string& path) {
    HD_TRY(count_operation("fsync folder " + path));
    for (auto [name, last] = below(durable_names_, path); name != last;)
        name = parent_folder(name->first) == path ? durable_names_.erase(name) : std::next(name);
    for (auto [name, last] = below(files_, path); name != last; ++name)
        if (parent_folder(name->first) == path)
            durable_names_.insert_or_assign(name->first, name->second);
    return {};
}

}  // namespace hd::test
