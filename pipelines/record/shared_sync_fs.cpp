#include "pipelines/record/shared_sync_fs.hpp"

namespace hd::record {
namespace {

class SharedSyncFile final : public AppendFile {
  public:
    SharedSyncFile(std::unique_ptr<AppendFile> file, SyncLink& link)
        : file_(std::move(file)), link_(link) {}

    Result<void> append(ByteView bytes) override { return file_->append(bytes); }
    Result<void> sync_data() override {
        const auto device = file_->device();
        // The first sync of a file is its own: its name needs one anyway, and no error from before
        // the daemon looked can hide behind a shared one.
        if (synced_itself_ && device && link_.ready()) {
            // An error of this file's data is told here, to the one whom it concerns.
            HD_ASSIGN(const bool with_device, file_->write_back());
            if (with_device && link_.ask(*device)) return {};
        }
        HD_TRY(file_->sync_data());
        synced_itself_ = true;
        return {};
    }
    Result<void> sync_all() override { return file_->sync_all(); }
    Result<bool> write_back() override { return file_->write_back(); }
    std::optional<std::uint64_t> device() const override { return file_->device(); }
    std::uint64_t size() const override { return file_->size(); }
    void keep_room(std::uint64_t bytes) override { file_->keep_room(bytes); }

  private:
    std::unique_ptr<AppendFile> file_;
    SyncLink& link_;
    bool synced_itself_ = false;
};

}  // namespace

Result<std::unique_ptr<AppendFile>> SharedSyncFileSystem::create(const std::string& path) {
    HD_ASSIGN(auto file, fs_.create(path));
    return std::unique_ptr<AppendFile>(std::make_unique<SharedSyncFile>(std::move(file), link_));
}

}  // namespace hd::record
