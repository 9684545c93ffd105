// Makes the index agree with the disk: rebuild, reconcile at start, check, sweep. All walk in
// bounded steps, so that the index thread can serve notices in between; one bad file or record is
// reported and skipped, never fatal. Nothing here deletes a clip file except sweep_garbage().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/store/store.hpp"

namespace hd::store {

struct DataFolders {
    std::string clips;    // <data>/clips
    std::string journal;  // <data>/journal
};

enum class FindingKind : std::uint8_t {
    row_without_file,
    file_without_row,
    size_differs,     // row and file
    facts_differ,     // row and the summary in the file
    unreadable_file,  // summary or pieces do not check
    wrong_name,       // the file's own facts do not match its path: renamed, or of another camera
    strange_file,     // not one of ours
    hash_differs,
    journal_damage,
    unfinished,   // a ".part" that no row can describe yet
    gaps_differ,  // the store's gaps of a camera and its journal's
    other_hub,    // a clip that says another hub recorded it
};
std::string_view to_string(FindingKind kind);

struct Finding {
    FindingKind kind = FindingKind::strange_file;
    std::string path;  // relative to <data>/clips (journal_damage: to <data>/journal)
    std::string what;
    bool repaired = false;
};

// Runs job(0) to job(count - 1), several at once if it can, and returns when all have ended. This
// room starts no threads: whoever has some lends them (gateway/daemon/read_crew.hpp).
using RunJobs = std::function<void(std::size_t count, const std::function<void(std::size_t)>& job)>;
void run_in_turn(std::size_t count, const std::function<void(std::size_t)>& job);

struct WalkProgress {
    bool done = false;
    std::uint64_t files_seen = 0;
    std::uint64_t clips_put = 0;  // rows added or replaced
    std::uint64_t days_left = 0;  // camera-days still to walk
    std::uint64_t days_total = 0;
    std::uint64_t findings_total = 0;
    std::optional<WallTime> complete_from;
};

// Findings kept in memory; more are only counted.
constexpr std::size_t kMaxFindings = 10'000;

// Fills an empty (or half-rebuilt) store from clock.log, journals and clips, newest day first. The
// hub may record, put rows and answer meanwhile. Progress is kept in the store: a new Rebuild over
// the same store goes on where the last one was cut short.
class Rebuild {
  public:
    Rebuild(Store& store, FileSystem& fs, DataFolders folders,
            RunJobs run = run_in_turn);  // borrowed: must outlive this
    ~Rebuild();
    // Forgets earlier progress and walks everything (`halfdoor reindex` on a living store): also
    // drops gaps and rows that no journal and no file knows.
    Result<void> restart();
    // Reads at most about `max_files` files, commits what it found. Call until done.
    Result<WalkProgress> step(std::uint32_t max_files = 500);
    const std::vector<Finding>& findings() const;
    // ".part" files met, relative to <data>/clips: recover those whose recorder is not alive.
    const std::vector<std::string>& unfinished() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// For a full disk while a rebuild has not reached the oldest clips: reads them from the disk, by
// the time in their names, and puts them, until `clips` of them may die (`held` says no). Returns
// the time up to which no clip on the disk is without its row.
Result<WallTime> put_oldest(Store& store, FileSystem& fs, const DataFolders& folders,
                            std::uint32_t clips, const std::function<bool(const ClipRow&)>& held);

struct ReconcileReport {
    std::uint64_t clips_put = 0;
    std::uint64_t garbage_removed = 0;
    std::vector<std::string> unfinished;  // ".part" files, relative to <data>/clips
    std::vector<Finding> findings;
};

// Quick, at start, before recorders are told anything: sweeps garbage, reads clock.log and the new
// part of each journal, and looks at day folders that are not older than the newest committed clip
// (less a day). Finished clips without a row get one, synced.
Result<ReconcileReport> reconcile(Store& store, FileSystem& fs, const DataFolders& folders);

// Puts what a camera's journal says of gaps since the last look into the store. Quick; whoever
// hears of a gap calls it, because the journal knows the order of things and a notice does not.
Result<void> follow_journal(Store& store, FileSystem& fs, const DataFolders& folders,
                            const CameraId& camera);

// Unlinks marked clips, syncs their folders, forgets them; removes folders of days long over that
// became empty.
// At most `limit` files. Returns how many were removed. A file that is already gone counts.
Result<std::uint64_t> sweep_garbage(Store& store, FileSystem& fs, const DataFolders& folders,
                                    std::uint32_t limit);

enum class CheckLevel : std::uint8_t { presence, size, hash };

struct CheckOptions {
    CheckLevel level = CheckLevel::presence;
    // Adds missing rows, drops rows without a file, rewrites rows and gaps that differ.
    bool repair = false;
    // With `repair`: a misnamed file gets the name that it says it has; one without a whole footer
    // is finished at its last whole piece. No whole piece is ever lost, no file overwritten.
    bool mend_files = false;
    // Beyond `presence`: whose clips these are, compared with each header (a second read). Never
    // repaired: it may be the same house's video from before its hub was set up again.
    std::optional<HubId> hub;
};

// Compares rows and files both ways, camera-day by camera-day. Files newer than the walk's begin
// that have no row yet are not findings (they are being indexed right now).
class Check {
  public:
    Check(Store& store, FileSystem& fs, DataFolders folders, CheckOptions options,
          RunJobs run = run_in_turn);
    ~Check();
    // At level `hash` each file is read whole: fewer at a time keep the caller quick.
    Result<WalkProgress> step(std::uint32_t max_files = 500);
    const std::vector<Finding>& findings() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// (boot, UTC minus BOOTTIME) of each boot: its first synchronised record in clock.log.
struct BootOffset {
    BootId boot;
    Micros wall_minus_boot{0};
};
Result<std::vector<BootOffset>> boot_offsets(FileSystem& fs, const std::string& clock_log);

}  // namespace hd::store
