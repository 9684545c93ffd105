// Carries out disk jobs: the clip file and the camera's journal. Passive, one thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "index/base/clock.hpp"
#include "index/base/files.hpp"
#include "index/base/log.hpp"
#include "index/clip/clip_writer.hpp"
#include "index/journal/journal.hpp"
#include "pipelines/record/disk_jobs.hpp"
#include "pipelines/record/gap_book.hpp"

namespace hd::record {

// When the sync is due for what is unsynced at `now` and begins at `oldest`: all recorders of a hub
// sync at one instant of each period, 300 ms behind the tick that their pieces close on (the first
// frame of the next piece has to arrive, which takes the jitter buffer's 200 ms and a frame), so
// that one commit of the file system serves all. A piece that a key frame closed within the period
// can wait for that instant: what it follows was synced there. What the tick closed and came too
// late for it (few frames a second, an encoder, a busy machine) may not wait for a whole period:
// there is a second instant for that, which is shared too.
constexpr Micros kFirstSyncPhase = std::chrono::milliseconds(300);
constexpr Micros kSecondSyncPhase = std::chrono::milliseconds(600);
BootTime next_sync(BootTime now, BootTime oldest, Micros period);

class ClipDisk {
  public:
    // `fs` and `clock` must outlive this. Creates folders and journal as they are needed.
    ClipDisk(FileSystem& fs, Clock& clock, const std::string& data_folder, CameraId camera);

    void apply(DiskJob&& job);
    // fdatasync of the open clip. Nothing if nothing is unsynced.
    void sync();
    bool unsynced() const { return newest_.has_value(); }
    // Where the oldest unsynced piece begins; only while there is one.
    BootTime oldest_unsynced() const { return oldest_; }

    // What happened since the last call.
    std::vector<DiskEvent> take_events();
    // The longest sync so far, in ms.
    std::uint32_t sync_ms_max() const { return sync_ms_max_; }

  private:
    // A clip of this process that the disk did not let it end in order.
    struct Broken {
        std::string path;  // a ".part", or finished under a name that may not last
        // What is behind it in a ".part" is torn, or a failed sync may have dropped it: to be cut.
        std::optional<std::uint64_t> whole_bytes;
        // From when to when, while it is not known to be durable.
        std::optional<std::pair<journal::Stamp, journal::Stamp>> video;
        int tries = 0;
    };

    void take(BeginClip& job);
    void take(WritePiece& job);
    void take(EndClip& job);
    void take(const WriteJournal& job);
    void take(OpenGap& job);
    void fail(ClipId clip, const Error& error);
    void break_off(const Error& error);
    void no_video(const OpenGap& why);
    void drop_writer();
    Result<void> cut_back(Broken& broken);
    Result<void> settle_broken();
    void finish_broken();
    void meet_last_clip(const clip::ClipHeader& header);
    void video_stands();
    bool end_clip(clip::EndReason reason, const std::string& detail);
    void take_gap_events();

    FileSystem* fs_;
    Clock* clock_;
    const std::string clips_folder_;
    const CameraId camera_;
    std::optional<clip::ClipWriter> writer_;
    std::optional<clip::ClipHeader> header_;  // of the newest clip that was begun or tried
    std::vector<Broken> broken_;
    std::uint32_t frames_ = 0;
    std::optional<clip::PieceIdentity> newest_;  // appended and not synced
    BootTime oldest_{};                          // the begin of the first of those
    GapBook gaps_;
    journal::GapCause disk_cause_ = journal::GapCause::disk_error;  // of the last failure
    std::optional<journal::Stamp> edge_;  // where the last clip's video ends
    bool stands_ = false;                 // the open clip has a durable frame, and no gap is open
    std::uint32_t sync_ms_max_ = 0;
    std::vector<DiskEvent> events_;
    log::RateLimit fail_log_{60'000'000};
};

}  // namespace hd::record
