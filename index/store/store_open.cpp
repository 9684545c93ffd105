// Opening, moving aside, starting over, notes.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <rocksdb/write_batch.h>

#include "index/base/files.hpp"
#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {

constexpr std::string_view kSchema = "halfdoor-index 1";
constexpr std::string_view kSchemaNote = "schema";
constexpr std::string_view kCompleteFromNote = "complete_from";
constexpr std::string_view kRebuildNote = "rebuild";  // rebuild.cpp keeps its progress there

std::string note_key(std::string_view name) {
    return std::string(Key(Tag::note).view()) + std::string(name);
}

// The lock of another process, a full disk or a missing permission say nothing against the bytes.
bool blames_the_bytes(const rocksdb::Status& s) {
    if (s.IsNoSpace() || s.IsMemoryLimit() || s.IsBusy()) return false;
    const std::string text = s.ToString();
    for (const char* other :
         {"While lock file", "lock hold", "Permission denied", "Read-only", "Too many open files"})
        if (text.find(other) != std::string::npos) return false;
    return true;
}

// A damaged index is only evidence: the newest one is kept.
Result<std::string> move_aside(const std::string& folder, WallTime now) {
    FileSystem& fs = real_file_system();
    const std::string parent = parent_folder(folder);
    const std::string prefix = folder.substr(folder.find_last_of('/') + 1) + ".bad-";
    HD_ASSIGN(const auto entries, fs.list(parent));
    for (const FileEntry& e : entries)
        if (e.is_folder && e.name.starts_with(prefix)) HD_TRY(fs.remove_tree(join(parent, e.name)));
    const std::string aside = join(parent, prefix + to_date(now) + "-" + to_time_of_day(now));
    HD_TRY(fs.rename(folder, aside));
    HD_TRY(fs.sync_folder(parent));
    return aside;
}

std::string without_slash(std::string folder) {
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
    return folder.find('/') == std::string::npos ? "./" + folder : folder;
}

}  // namespace

// Debian's RocksDB is built with assertions, and one of them is that no write to a file failed
// before it is closed. Such a database is left as it is; the process ends soon.
Store::Impl::~Impl() {
    static std::array<std::atomic<rocksdb::DB*>, 16> left_behind{};  // known to the leak checker
    static std::atomic<unsigned> next{0};
    if (failed) left_behind[next++ % left_behind.size()] = db.release();
}

Result<void> Store::Impl::may_write() {
    if (failed)
        return Error{ErrorCode::unavailable,
                     "index: a write failed, it must be opened anew by another process"};
    return {};
}

Result<void> Store::Impl::sync_log(std::string_view what) {
    HD_TRY(may_write());
    if (const auto s = db->FlushWAL(/*sync=*/true); !s.ok()) return write_failed(s, what);
    return {};
}

Error Store::Impl::write_failed(const rocksdb::Status& status, std::string_view what) const {
    Error error = fail(status, what);
    // The file must not be touched again (another assertion), and fsync must not be asked twice:
    // what it failed to write once it forgets. Nor after a full disk: RocksDB says that it is well
    // again when there is space, and may write on behind the very record that failed.
    failed = true;
    tail.clear();
    return error;
}

rocksdb::Status Store::Impl::open_once() {
    setup = rocks_setup(options);
    rocksdb::DB* raw = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(setup.options, folder, &raw);
    db.reset(raw);
    return status;
}

Result<void> Store::Impl::load_ends(const CameraId& camera, CameraState& state) const {
    HD_ASSIGN(state.first, end_row(camera, state.first_hour, false));
    HD_ASSIGN(state.last, end_row(camera, state.first_hour, true));
    state.first_hour = state.first ? hour_of(state.first->begin) : 0;
    return {};
}

Result<void> Store::Impl::load_state(OpenReport& report) {
    rocksdb::PinnableSlice value;
    HD_ASSIGN(const bool known, get(note_key(kSchemaNote), value));
    if (!known) {
        // Only an empty database may be without; anything else is somebody else's.
        auto it = iterate({});
        it->SeekToFirst();
        if (it->Valid()) return Error{ErrorCode::corrupt, "index: it does not say its schema"};
        if (!it->status().ok()) return fail(it->status(), "read the first key");
        rocksdb::WriteOptions durable;
        durable.sync = true;
        if (auto s = db->Put(durable, note_key(kSchemaNote), slice(kSchema)); !s.ok())
            return fail(s, "write schema");
        report.created = true;
        return {};
    }
    if (text_of(value) != kSchema)
        return Error{ErrorCode::corrupt, "index: schema is \"" + value.ToString() + "\", not \"" +
                                             std::string(kSchema) + "\""};

    std::map<CameraId, CameraState> loaded;
    std::optional<Error> bad;
    HD_TRY(scan(std::string(1, static_cast<char>(Tag::camera)),
                std::string(1, static_cast<char>(Tag::camera) + 1), "read totals",
                [&](std::string_view key, ByteView bytes) {
                    const auto id = parse_camera_key(key, 0);
                    auto state = decode_camera_state(bytes);
                    if (!id || !state.ok()) {
                        bad = Error{ErrorCode::corrupt, "index: totals of a camera do not decode"};
                        return false;
                    }
                    loaded[id->camera] = *state;
                    return true;
                }));
    if (bad) return *bad;
    for (auto& [id, state] : loaded) HD_TRY(load_ends(id, state));
    std::map<BootId, Micros> offsets;
    HD_TRY(scan(std::string(1, static_cast<char>(Tag::boot)),
                std::string(1, static_cast<char>(Tag::boot) + 1), "read boots",
                [&](std::string_view key, ByteView bytes) {
                    BootId boot;
                    if (key.size() == 17 && bytes.size() == 8) {
                        std::memcpy(boot.bytes.data(), key.data() + 1, 16);
                        offsets[boot] = Micros(ByteReader(bytes).i64());
                    }
                    return true;
                }));
    HD_ASSIGN(const bool has_from, get(note_key(kCompleteFromNote), value));
    std::optional<WallTime> from;
    if (has_from && value.size() == 8) from = WallTime{ByteReader(bytes_of(value)).i64()};
    HD_ASSIGN(report.rebuild_unfinished, get(note_key(kRebuildNote), value));

    const std::lock_guard lock(state_mutex);
    cameras = std::move(loaded);
    boots = std::move(offsets);
    complete_from = from;
    return {};
}

// The caller holds db_mutex exclusively, or nobody else knows this object yet.
Result<void> Store::Impl::open_or_replace(WallTime now, OpenReport& report) {
    FileSystem& fs = real_file_system();
    HD_TRY(fs.make_folders(folder, 0700));
    HD_ASSIGN(const auto entries, fs.list(folder));
    const bool headless = !entries.empty() && !fs.exists(join(folder, "CURRENT"));
    if (headless) report.why = "it holds files but no CURRENT";
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (report.why.empty() || attempt > 0) {
            const rocksdb::Status status = open_once();
            if (status.ok()) {
                const Result<void> loaded = load_state(report);
                if (loaded.ok()) return {};
                if (loaded.error().code != ErrorCode::corrupt || attempt > 0) return loaded;
                report.why = loaded.error().what;
            } else {
                if (!blames_the_bytes(status) || attempt > 0)
                    return Error{status.IsNoSpace() ? ErrorCode::exhausted : ErrorCode::unavailable,
                                 "index: open " + folder + ": " + status.ToString()};
                report.why = status.ToString();
            }
        }
        db.reset();
        HD_ASSIGN(report.moved_aside, move_aside(folder, now));
        HD_TRY(fs.make_folders(folder, 0700));
    }
    return Error{ErrorCode::unavailable, "index: could not be created in " + folder};
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& folder, StoreOptions options,
                                           WallTime now, OpenReport& report) {
    report = {};
    auto impl = std::make_unique<Impl>();
    impl->folder = without_slash(folder);
    impl->options = options;
    HD_TRY(impl->open_or_replace(now, report));
    impl->damaged = false;
    return std::make_unique<Store>(std::move(impl));
}

bool Store::damaged() const { return impl_->damaged; }
bool Store::failed() const { return impl_->failed; }

Result<OpenReport> Store::start_over(WallTime now) {
    const std::unique_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    HD_TRY(impl_->may_write());
    OpenReport report;
    report.why = "asked to start over";
    impl_->db.reset();
    impl_->tail.clear();
    {
        const std::lock_guard lock(impl_->state_mutex);
        impl_->cameras.clear();
        impl_->boots.clear();
        impl_->complete_from.reset();
    }
    HD_TRY(impl_->open_or_replace(now, report));
    impl_->damaged = false;
    return report;
}

Result<void> Store::sync() {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    return impl_->sync_log("sync");
}

Result<std::string> Store::note(const std::string& name) const {
    const std::shared_lock db_lock(impl_->db_mutex);
    rocksdb::PinnableSlice value;
    HD_ASSIGN(const bool found, impl_->get(note_key(name), value));
    return found ? value.ToString() : std::string();
}

Result<void> Store::set_note(const std::string& name, std::string_view value,
                             Durability durability) {
    if (name.empty() || name == kSchemaNote || name == kCompleteFromNote)
        return Error{ErrorCode::invalid, "note name: must not be empty or reserved"};
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    Edit edit(*impl_);
    if (value.empty())
        edit.batch().Delete(note_key(name));
    else
        edit.batch().Put(note_key(name), slice(value));
    if (const auto from = complete_from()) {
        ByteWriter bytes;
        bytes.i64(from->us);
        edit.batch().Put(note_key(kCompleteFromNote), slice(bytes.view()));
    } else {
        edit.batch().Delete(note_key(kCompleteFromNote));
    }
    return edit.commit(durability, "write note");
}

void Store::set_complete_from(std::optional<WallTime> from) {
    const std::lock_guard lock(impl_->state_mutex);
    impl_->complete_from = from;
}

std::optional<WallTime> Store::complete_from() const {
    const std::lock_guard lock(impl_->state_mutex);
    return impl_->complete_from;
}

MemoryUse Store::memory() const {
    const std::shared_lock db_lock(impl_->db_mutex);
    MemoryUse use;
    use.block_cache = impl_->setup.cache->GetUsage();
    use.write_buffers = impl_->setup.options.write_buffer_manager->memory_usage();
    std::uint64_t readers = 0;
    if (impl_->db->GetIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &readers))
        use.table_readers = readers;
    use.budget = impl_->options.memory_bytes;
    return use;
}

bool Store::background_work() const {
    const std::shared_lock db_lock(impl_->db_mutex);
    using Properties = rocksdb::DB::Properties;
    for (const std::string& name :
         {Properties::kMemTableFlushPending, Properties::kCompactionPending,
          Properties::kNumRunningFlushes, Properties::kNumRunningCompactions}) {
        std::uint64_t number = 0;
        if (impl_->db->GetIntProperty(name, &number) && number > 0) return true;
    }
    return false;
}

}  // namespace hd::store
