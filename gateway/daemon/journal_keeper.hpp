// The daemon's hand in one camera's journal: the camera was configured, renamed, disabled, and the
// gaps while no recorder ran. Everything else in that file is written by the recorder.
//
// One rule makes each gap stand once: whoever finds that video has ended writes GapBegan unless the
// journal already has an open gap; only the recorder writes GapEnded, at its first frame. Before
// each decision the keeper reads what was appended since it last looked, so a lost notice or an
// earlier daemon cannot make it write twice.
//
// Not thread-safe: the `super` thread owns it.
#pragma once

#include <optional>
#include <string>

#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::daemon {

class JournalKeeper {
  public:
    // `path` is <data>/journal/<camera id>.log; created if missing. `fs` must outlive this.
    static Result<JournalKeeper> open(FileSystem& fs, std::string path, CameraId camera);

    // Writes Configured if the journal does not say so already. Durable on return.
    Result<void> configured(const journal::Stamp& when, const std::string& name);
    // Writes Disabled, and opens a gap with that cause. Nothing if it is disabled already.
    Result<void> disabled(const journal::Stamp& when);
    // Opens a gap unless one is open. Durable on return.
    Result<void> gap_began(const journal::Stamp& when, journal::GapCause cause, std::string detail);

    // What the journal said when it was last looked at.
    bool gap_open() const { return gap_open_; }
    std::optional<journal::Stamp> last_stamp() const { return last_stamp_; }
    // Reads what was appended by others. unavailable or corrupt: nothing changed here.
    Result<void> catch_up();

  private:
    JournalKeeper(FileSystem& fs, std::string path, CameraId camera, journal::Writer writer)
        : fs_(&fs), path_(std::move(path)), camera_(camera), writer_(std::move(writer)) {}
    void take(const journal::CameraRecord& record);
    Result<void> write(const journal::CameraRecord& record);

    FileSystem* fs_;  // Must outlive this.
    std::string path_;
    CameraId camera_;
    journal::Writer writer_;
    std::uint64_t read_until_ = 0;
    std::string name_;
    bool disabled_ = false;
    bool gap_open_ = false;
    std::optional<journal::Stamp> last_stamp_;
};

}  // namespace hd::daemon
