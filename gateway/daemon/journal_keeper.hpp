// The daemon's hand in one camera's journal: the camera was configured, renamed, disabled, and the
// gaps while no recorder ran. Everything else in that file is written by the recorder.
//
// From the first Configured on, the journal has an open gap or a recorder that records. Whoever
// finds that video has ended writes GapBegan unless a gap is open; the recorder writes GapEnded
// when its first frame is durable, or this keeper does if the recorder died between the two. A
// GapBegan while a gap is open gives it another cause from there on. Before each decision the
// keeper reads what was appended since it last looked, so a lost notice or an earlier daemon cannot
// make it write twice.
//
// Not thread-safe: the `super` thread owns it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/daemon/last_video.hpp"
#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::daemon {

// A record of a gap that was written, for the index and the dashboards.
struct GapMark {
    bool open = false;
    journal::Stamp when;
    journal::GapCause cause = journal::GapCause::closed;
    std::string detail;
};

class JournalKeeper {
  public:
    // `path` is <data>/journal/<camera id>.log; created if missing. `fs` must outlive this.
    static Result<JournalKeeper> open(FileSystem& fs, std::string path, CameraId camera);

    // Writes Configured if the journal does not say so already, and that there is no video yet.
    // Durable on return.
    Result<void> configured(const journal::Stamp& now, const std::string& name);
    // Writes Disabled, and that this is why there is no video. Nothing if it is disabled already.
    Result<void> disabled(const journal::Stamp& now);
    // No recorder runs. `newest`: the video that the files hold. Opens a gap where it ends; if the
    // open gap began before that video, the gap is ended at its begin first.
    Result<void> video_ended(const std::optional<VideoSpan>& newest, journal::GapCause cause,
                             const std::string& detail);

    // What the journal said when it was last looked at.
    bool gap_open() const { return open_.has_value(); }
    bool is_disabled() const { return disabled_; }
    const JournalWord& word() const { return word_; }
    // What was written here since the last call.
    std::vector<GapMark> take_marks() { return std::exchange(marks_, {}); }
    // Reads what was appended by others. unavailable or corrupt: nothing changed here.
    Result<void> catch_up();

  private:
    struct Open {
        journal::Stamp first;  // where video ended
        journal::Stamp since;  // of the present cause
        journal::GapCause cause = journal::GapCause::closed;
    };
    JournalKeeper(FileSystem& fs, std::string path, CameraId camera, journal::Writer writer)
        : fs_(&fs), path_(std::move(path)), camera_(camera), writer_(std::move(writer)) {}
    void take(const journal::CameraRecord& record);
    void take_gap(const journal::GapBegan& gap);
    void take_video_of(RunId run);
    bool is_after(const journal::Stamp& a, const journal::Stamp& b) const;
    Result<void> write(const journal::CameraRecord& record);
    Result<void> change_cause(const journal::Stamp& now, journal::GapCause cause,
                              const std::string& detail);
    Result<void> begin_gap(const journal::Stamp& when, journal::GapCause cause,
                           const std::string& detail);

    FileSystem* fs_;  // Must outlive this.
    std::string path_;
    CameraId camera_;
    journal::Writer writer_;
    std::uint64_t read_until_ = 0;
    std::string name_;
    bool disabled_ = false;
    std::optional<Open> open_;
    JournalWord word_;
    std::vector<GapMark> marks_;
};

}  // namespace hd::daemon
