// The index: which clips and gaps there are, by camera and time. RocksDB behind a wall; derived
// from clips and journals, so it may be deleted at any time (index/store/rebuild.hpp makes it
// again). The document is docs/formats/index.md.
//
// Threads: every const function may be called from any thread, also while one thread writes.
// Writers are serialised inside; by convention only the daemon's `index` thread writes. All
// functions may block on the disk. Errors: `corrupt` means that the store itself is damaged:
// damaged() stays true and the caller should start_over() and rebuild. `unavailable` and
// `exhausted` are the disk's; `invalid` is the caller's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "index/base/result.hpp"
#include "index/store/rows.hpp"

namespace hd::store {

struct StoreOptions {
    // Block cache, write buffers and table readers together: one number, config key
    // `index.memory_mb`.
    std::uint64_t memory_bytes = 48ull << 20;
    // Background flushes and compactions write at most this fast, so that a recorder's fsync
    // does not queue behind them.
    std::uint64_t background_bytes_per_s = 8ull << 20;
    // For tools/bench only: docs/decisions/0003-key-layout.md has the numbers behind the defaults.
    // Any setting reads what any other wrote.
    struct Tuning {
        bool merge_appends = true;  // append a clip to its hour; false: rewrite the hour
        bool compress = false;
        std::uint32_t block_bytes = 4096;
    } tuning;
};

// What open() found.
struct OpenReport {
    bool created = false;     // the index is empty: run a Rebuild
    std::string moved_aside;  // name of the folder that a damaged or foreign index was moved to
    std::string why;          // a phrase, if moved_aside is not empty
    bool rebuild_unfinished = false;  // a Rebuild was cut short: go on with it
};

constexpr std::uint32_t kMaxPageItems = 10'000;
constexpr std::uint64_t kMaxCoverageBuckets = 1'000'000;  // over all cameras of a query

struct WindowQuery {
    TimeSpan window;                // half-open; a clip is in it if their spans overlap
    std::vector<CameraId> cameras;  // empty: all
    std::uint32_t limit = 1000;     // clips plus gaps in a page, 1..kMaxPageItems
    bool with_gaps = false;
    bool with_open = false;  // clips that are still being written, as set_open_clip() told
    std::string cursor;      // next_cursor of the page before, with the same query; empty: first
};

struct WindowAnswer {
    std::vector<ClipRow> clips;  // ordered by (begin, camera)
    std::vector<GapRow> gaps;    // ordered by (begin, camera)
    // Empty: this was the last page. A cursor is a position, not a count: clips that are added or
    // deleted meanwhile neither repeat nor hide others.
    std::string next_cursor;
    // While a rebuild runs: the answer is complete from here on only.
    std::optional<WallTime> complete_from;
};

struct GapQuery {
    TimeSpan window;                      // half-open; a gap is in it if their spans overlap
    std::vector<CameraId> cameras;        // empty: all
    std::uint32_t limit = kMaxPageItems;  // 1..kMaxPageItems; not below the number of cameras
};
struct GapAnswer {
    std::vector<GapRow> gaps;  // ordered by (begin, camera)
    // There are more: all that begin before this are here. Ask again with a window from here on
    // and skip what begins before it (the gap of each camera that reaches in).
    std::optional<WallTime> until;
};

enum class Bucket : std::uint8_t { minute, quarter, hour, day };  // UTC
Micros bucket_length(Bucket bucket);

struct CoverageQuery {
    TimeSpan window;                // widened outwards to whole buckets
    std::vector<CameraId> cameras;  // empty: all
    Bucket bucket = Bucket::hour;
};
struct CameraCoverage {
    CameraId camera;
    std::vector<std::uint32_t> covered_ms;  // of each bucket: union of its finished clips
    std::vector<std::uint32_t> clips;       // that begin in the bucket
};
struct CoverageAnswer {
    TimeSpan window;  // as widened; bucket i begins at window.begin + i * length
    Bucket bucket = Bucket::hour;
    std::vector<CameraCoverage> cameras;
    std::optional<WallTime> complete_from;
};

enum class Durability {
    synced,    // on the disk when the call returns: before anything is announced
    buffered,  // with the next synced write or sync(); for rebuilds, which can be repeated
};

struct PutReport {
    std::uint64_t added = 0;      // rows that were not there
    std::uint64_t replaced = 0;   // the same clip with other facts
    std::uint64_t unchanged = 0;  // the same clip again: no write at all
    std::uint64_t pending = 0;    // of those, kept apart because their UTC is unknown
    std::vector<std::string>
        refused;  // path and rule of clips that cannot be true (end < begin...)
};

struct MemoryUse {
    std::uint64_t block_cache = 0;  // everything charged to the cache, write buffers included
    std::uint64_t write_buffers = 0;
    std::uint64_t table_readers = 0;
    std::uint64_t budget = 0;
};

class Store {
  public:
    // Opens or creates. A damaged index, or one of another schema version, is renamed to
    // "<folder>.bad-<now>" and a fresh one is created: an error here means that the disk or the
    // lock (another daemon) is at fault. `now` only names that folder.
    static Result<std::unique_ptr<Store>> open(const std::string& folder, StoreOptions options,
                                               WallTime now, OpenReport& report);
    ~Store();  // closes; rows written with Durability::buffered are flushed by sync() only
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // True after any read or write found the store's own bytes wrong.
    bool damaged() const;
    // True after a write failed, on a full disk too: every later write fails, and only another
    // process can open the index again (index/store/store_open.cpp says why).
    // Readers go on with what RocksDB can read.
    bool failed() const;
    // Moves the store aside like open() and goes on with an empty one, under the same object.
    // Blocks until running readers have finished.
    Result<OpenReport> start_over(WallTime now);
    Result<void> sync();

    // -- writing ---------------------------------------------------------------------------------

    // Finished clips, in any order, again or new: a clip is the same if camera, name_time and run
    // are. All or none of them are written. Takes a matching open clip out of the open set.
    Result<PutReport> put_clips(std::span<const clip::ClipSummary> clips, Durability durability);
    Result<PutReport> put_clip(const clip::ClipSummary& clip) {
        return put_clips({&clip, 1}, Durability::synced);
    }

    // A clip that is being written (in memory only; a later call with the same name replaces it).
    void set_open_clip(const ClipRow& row);
    void drop_open_clip(const clip::ClipName& name);
    std::vector<ClipRow> open_clips() const;

    // Two-step deletion: mark (row leaves every answer, synced) -> unlink file, fsync folder ->
    // forget. A name without a row is skipped; returns how many were marked. sweep_garbage() in
    // rebuild.hpp does the second half.
    Result<std::uint64_t> mark_garbage(std::span<const clip::ClipName> clips);
    Result<void> forget(std::span<const clip::ClipName> clips);
    struct Garbage {
        clip::ClipName name;
        std::uint64_t size_bytes = 0;
    };
    Result<std::vector<Garbage>> garbage(std::uint32_t limit) const;

    // Opens a gap, or closes the one with the same camera and begin (same call, with `end`). In the
    // order of the journal: a gap that is still open ends where one begins that is told after it.
    // Gaps may overlap where the clock was set back. Synced. The same again changes nothing.
    Result<void> put_gap(const GapRecord& gap) { return put_gaps({&gap, 1}, Durability::synced); }
    Result<void> put_gaps(std::span<const GapRecord> gaps, Durability durability);
    // Ends the camera's open gap, if there is one.
    Result<void> close_gap(const CameraId& camera, const journal::Stamp& end);
    Result<std::optional<GapRow>> open_gap(const CameraId& camera) const;
    // Forgets all gaps of a camera, so that its journal can be read again from the start.
    Result<void> drop_gaps(const CameraId& camera);
    // Where in UTC a journal's stamp lies; nothing while the offset of its boot is unknown.
    std::optional<WallTime> utc_of(const journal::Stamp& stamp) const;

    // The offset of a boot is known now: UTC = BOOTTIME + wall_minus_boot. Clips and gaps of that
    // boot that were pending enter the time index. Only the first offset of a boot counts (the
    // first synchronised record in clock.log; a rebuild decides the same). Returns how many
    // clips were re-stamped.
    Result<std::uint64_t> set_boot_offset(const BootId& boot, Micros wall_minus_boot);
    Result<std::optional<Micros>> boot_offset(const BootId& boot) const;

    // -- reading ---------------------------------------------------------------------------------

    Result<WindowAnswer> window(const WindowQuery& query) const;
    // Gaps alone: reads no clip, so a year costs what it answers.
    Result<GapAnswer> gaps(const GapQuery& query) const;
    // The clip that contains `at`, else the one whose nearer edge is closest (the earlier of two).
    // not_found if the camera has none.
    Result<ClipRow> nearest(const CameraId& camera, WallTime at) const;
    Result<ClipRow> first(const CameraId& camera) const;  // not_found if none
    Result<ClipRow> last(const CameraId& camera) const;   // by begin; not_found if none
    // By name; also finds re-stamped clips. not_found for pending ones and garbage.
    Result<ClipRow> find(const clip::ClipName& name) const;
    // The row that put_clip() would make of this; nothing if it would wait for its boot's offset.
    std::optional<ClipRow> row_of(const clip::ClipSummary& clip) const;
    Result<std::vector<PendingClip>> pending(std::uint32_t limit) const;
    Result<CoverageAnswer> coverage(const CoverageQuery& query) const;

    std::vector<CameraId> cameras() const;              // that have rows, sorted
    CameraTotals totals(const CameraId& camera) const;  // zeros if unknown
    std::vector<CameraTotals> all_totals() const;       // sorted by camera
    std::optional<WallTime> complete_from() const;      // while a rebuild runs

    // -- for rebuild, check and status --------------------------------------------------------

    // Greatest name_time of a committed finished clip: reconcile looks at what is newer.
    std::optional<WallTime> newest_name(const CameraId& camera) const;
    // Small values by name, kept beside the rows (rebuild progress, journal offsets).
    Result<std::string> note(const std::string& name) const;  // empty if missing
    Result<void> set_note(const std::string& name, std::string_view value, Durability durability);
    void set_complete_from(std::optional<WallTime> from);  // persisted with the next note
    MemoryUse memory() const;
    // A flush or compaction runs or is due.
    bool background_work() const;
    // Derives coverage of finished days that was never asked for, at most `days` of them; returns
    // how many were done. For idle moments of the index thread.
    Result<std::uint32_t> derive_coverage(std::uint32_t days);

    struct Impl;
    explicit Store(std::unique_ptr<Impl> impl);  // open() is the way to make one

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace hd::store
