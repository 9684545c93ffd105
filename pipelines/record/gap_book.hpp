// The gaps in one camera's journal, as its recorder keeps them: opened when video ends, closed when
// the first frame after it is durable. Both edges are those of the clips beside the gap, to the
// microsecond, because they are copied and not computed again. Passive, only the thread `disk`.
//
// What the disk refuses is kept, in order, and written before anything else.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"
#include "pipelines/record/disk_jobs.hpp"

namespace hd::record {

class GapBook {
  public:
    // `fs` must outlive this. The journal need not exist.
    GapBook(FileSystem& fs, std::string journal_path) : fs_(&fs), path_(std::move(journal_path)) {}

    // Any other record of the camera: written and synced, or lost with an error.
    Result<void> write(const journal::CameraRecord& record);

    // Video ended at `edge`; nobody knew before `seen`. If a gap is open already it goes on, under
    // a new cause from `seen` on where that says more: what the camera does instead of what the hub
    // did, another trouble of the camera when it is seen for the second time in a row (from the
    // first on, a few times in a gap), or after a minute of the cause before.
    void open(const std::optional<journal::Stamp>& edge, const journal::Stamp& seen,
              journal::GapCause cause, const std::string& detail);
    // Video is back and durable. Nothing if no gap is open.
    void close(const journal::Stamp& at);
    // A clip was finished late, in the stretch that the open gap took for empty (what follows it
    // has `cause`), or shorter than was thought.
    void settle_late(const journal::Stamp& begin, const journal::Stamp& end,
                     journal::GapCause cause);

    bool is_open();
    // Everything that was kept is on the disk. Ask before a new clip begins, so that no crash can
    // leave video on both sides of a stretch that nothing explains.
    Result<void> flush();

    std::vector<GapStands> take_events() { return std::exchange(events_, {}); }

  private:
    struct Open {
        journal::Stamp first;  // where video ended
        journal::Stamp since;  // of the present cause
        journal::GapCause cause = journal::GapCause::closed;
        unsigned soon = 0;  // causes written within a minute of the one before
    };
    // Another cause than the open gap's, seen once.
    struct Suspect {
        journal::Stamp seen;
        journal::GapCause cause;
        std::string detail;
    };
    void put(const journal::CameraRecord& record);
    void put_open(const journal::Stamp& when, journal::GapCause cause, const std::string& detail);
    void apply(const journal::CameraRecord& record);
    Result<void> need_folder();
    Result<void> read_others();

    FileSystem* fs_;
    const std::string path_;
    std::optional<journal::Writer> writer_;
    std::uint64_t read_until_ = 0;
    bool made_ = false;  // the journal's folder was there
    std::optional<Open> open_;
    std::optional<Suspect> suspect_;
    std::deque<journal::CameraRecord> kept_;  // at most a few: one gap, its causes
    std::vector<GapStands> events_;
};

}  // namespace hd::record
