// What is behind Store's wall. Included only by index/store/store*.cpp.
//
// Lock order: 1 db_mutex (shared by everybody; exclusive only in start_over), 2 write_mutex (held
// over a write, disk included: there is one writer by convention), 3 state_mutex (moments). The
// first two are held across I/O on purpose: the first keeps the database open under its readers,
// the second makes read-modify-write whole.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "index/store/keys.hpp"
#include "index/store/rocks.hpp"
#include "index/store/store.hpp"

namespace hd::store {

// All that is known about a camera without reading its rows.
struct CameraState {
    std::uint64_t clips = 0, bytes = 0;
    std::uint64_t pending_clips = 0, pending_bytes = 0;
    std::uint64_t garbage_clips = 0, garbage_bytes = 0;
    std::uint64_t elsewhere = 0;                 // rows whose hour is not the one of their name
    std::int64_t longest_us = 0;                 // of any clip ever: how far a query looks back
    std::optional<WallTime> newest_name;         // of finished clips
    Hour first_hour = 0;                         // no row is before: a seek passes no tombstones
    std::optional<std::uint32_t> derived_until;  // no coverage record is of a later day
    // Not on disk; read from the rows at open.
    std::optional<ClipRow> first, last;  // by begin
    std::uint64_t changes = 0;           // moves after each commit that changes rows
};
Bytes encode_camera_state(const CameraState& state);
Result<CameraState> decode_camera_state(ByteView value);

struct HourRows {
    std::vector<ClipRow> rows;      // in answer order
    std::vector<ClipRow> appended;  // of those, not in the database yet
    std::uint32_t chunks = 0;       // in the stored value
    bool rewrite = false;           // something but appends changed
};

// The rules of every query: invalid, with the field's name.
Result<void> check_window(TimeSpan window);
Result<void> check_limit(std::uint32_t limit);

using CameraHour = std::pair<CameraId, Hour>;

class Edit;

struct Store::Impl {
    // Constant after construction.
    std::string folder;
    StoreOptions options;

    mutable std::shared_mutex db_mutex;  // 1: guards db and setup as pointers
    RocksSetup setup;
    std::unique_ptr<rocksdb::DB> db;

    mutable std::mutex write_mutex;  // 2; coverage that a reader derived is kept by a write
    // The hour that was last written of each camera, decoded: the next clip is nearly always in it.
    mutable std::map<CameraId, std::pair<Hour, HourRows>> tail;  // by write_mutex
    // A write failed: nothing is written from then on.
    mutable std::atomic<bool> failed{false};

    mutable std::mutex state_mutex;                   // 3
    mutable std::map<CameraId, CameraState> cameras;  // by state_mutex
    std::map<BootId, Micros> boots;                   // by state_mutex
    std::vector<ClipRow> open_clips;                  // by state_mutex; a few per camera at most
    std::optional<WallTime> complete_from;            // by state_mutex

    mutable std::atomic<bool> damaged{false};

    Error fail(const rocksdb::Status& status, std::string_view what) const {
        Error e = from_rocks(status, what);
        if (e.code == ErrorCode::corrupt) damaged = true;
        return e;
    }
    template <typename T>
    Result<T> noted(Result<T> result) const {  // a value of ours that does not decode is damage
        if (!result.ok() && result.error().code == ErrorCode::corrupt) damaged = true;
        return result;
    }

    // store_open.cpp
    ~Impl();
    // Every write begins and, if it failed, ends so; under write_mutex.
    Result<void> may_write();
    Error write_failed(const rocksdb::Status& status, std::string_view what) const;
    Result<void> sync_log(std::string_view what);
    Result<void> open_or_replace(WallTime now, OpenReport& report);
    rocksdb::Status open_once();
    Result<void> load_state(OpenReport& report);
    Result<void> load_ends(const CameraId& camera, CameraState& state) const;

    // Reads; the caller holds db_mutex shared. Missing: false or nothing.
    Result<bool> get(std::string_view key, rocksdb::PinnableSlice& value,
                     const rocksdb::Snapshot* snapshot = nullptr) const;
    Result<void> read_hour(const CameraId& camera, Hour hour, std::vector<ClipRow>& out,
                           const rocksdb::Snapshot* snapshot = nullptr) const;
    // Rows of hours [first, last] in ascending order of hours; stops when `visit` gives false.
    Result<void> scan_hours(const CameraId& camera, Hour first, Hour last,
                            const rocksdb::Snapshot* snapshot,
                            const std::function<bool(std::vector<ClipRow>& rows)>& visit) const;
    Result<std::optional<ClipRow>> end_row(const CameraId& camera, Hour from, bool last) const;
    Result<std::optional<ClipRow>> latest_end_before(const CameraId& camera, Hour hour,
                                                     std::int64_t longest_us) const;
    Result<std::optional<ClipRow>> find_row(const clip::ClipName& name,
                                            const CameraState& state) const;
    std::unique_ptr<rocksdb::Iterator> iterate(const rocksdb::ReadOptions& read) const {
        return std::unique_ptr<rocksdb::Iterator>(db->NewIterator(read));
    }
    // Visits keys in [from, to); stops when `visit` gives false.
    Result<void> scan(std::string_view from, std::string_view to, std::string_view what,
                      const std::function<bool(std::string_view key, ByteView value)>& visit) const;

    // store_gaps.cpp. Writers hold write_mutex.
    std::optional<WallTime> resolve(const journal::Stamp& stamp) const;
    Result<std::optional<StoredGap>> gap_at(rocksdb::Iterator& it, const CameraId& camera) const;
    Result<void> seek_reaching(rocksdb::Iterator& it, const CameraId& camera, WallTime at) const;
    Result<std::optional<GapRow>> open_row(const CameraId& camera) const;
    Result<bool> write_gap(GapRow gap, Edit& edit);
    // store_gap_records.cpp. Those whose begin or end has no UTC; of one camera, or of all.
    Result<std::vector<GapRecord>> waiting_gaps(const CameraId* camera) const;
    std::optional<WallTime> end_by_others(const std::vector<GapRecord>& all, WallTime begin) const;
    Result<bool> put_gap_record(const GapRecord& gap);
    Result<bool> end_dark_gaps(const CameraId& camera);
    Result<void> place_pending_gaps();
    // store_gaps.cpp. Those in the window that begin at or after `from` or reach there; ascending
    // by begin.
    Result<void> scan_gaps(const CameraId& camera, TimeSpan window, WallTime from,
                           const rocksdb::Snapshot* snapshot,
                           const std::function<bool(const GapRow&)>& visit) const;

    // store_coverage.cpp
    Result<void> cover_by_days(const CameraId& camera, const CameraState& state, TimeSpan window,
                               Bucket bucket, CameraCoverage& out) const;
    Result<void> keep_days(const CameraId& camera, std::uint64_t changes,
                           const std::vector<std::pair<std::uint32_t, DayCoverage>>& days) const;

    std::optional<CameraState> state_of(const CameraId& camera) const;
    std::vector<std::pair<CameraId, CameraState>> states_of(
        const std::vector<CameraId>& wanted) const;  // sorted; all if `wanted` is empty
};

// A write in the making: everything it touches is copied first, and published only once it is on
// disk. Lives under write_mutex.
class Edit {
  public:
    explicit Edit(Store::Impl& impl) : impl_(impl) {}

    CameraState& camera(const CameraId& id);
    Result<HourRows*> hour(const CameraId& camera, Hour hour);
    Result<std::optional<ClipRow>> find(const clip::ClipName& name);
    // A row that is not there yet / one that is. Totals, coverage and the `elsewhere` key follow.
    Result<void> add(const ClipRow& row);
    Result<void> remove(const ClipRow& row);
    rocksdb::WriteBatch& batch() { return batch_; }
    void set_boot(const BootId& boot, Micros offset) { boots_[boot] = offset; }
    bool empty() const { return cameras_.empty() && batch_.Count() == 0; }

    Result<void> commit(Durability durability, std::string_view what);

  private:
    void forget_coverage(const ClipRow& row, CameraState& state);
    void write_hours();
    Result<void> find_ends();

    Store::Impl& impl_;
    rocksdb::WriteBatch batch_;
    std::map<CameraId, CameraState> cameras_;
    std::map<CameraHour, HourRows> hours_;
    std::map<BootId, Micros> boots_;
    std::set<CameraId> ends_unknown_;
};

}  // namespace hd::store
