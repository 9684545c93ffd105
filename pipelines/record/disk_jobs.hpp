// What the recorder's thread hands to the thread `disk`, and what comes back. Values only.
#pragma once

#include <string>
#include <variant>

#include "index/clip/clip_format.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::record {

struct BeginClip {
    clip::ClipHeader header;
};
struct WritePiece {
    clip::PieceIdentity identity;
    Bytes age_file;  // sealed: nothing plain ever enters this queue
};
struct EndClip {
    clip::EndReason reason = clip::EndReason::target;
    std::string detail;
};
struct WriteJournal {  // RunBegan, RunEnded
    journal::CameraRecord record;
};
// Video ended, as was seen at `seen`. The gap begins where the last clip ended, and ends by itself
// with the first frame that is durable again (gap_book.hpp).
struct OpenGap {
    journal::Stamp seen;
    journal::GapCause cause = journal::GapCause::closed;
    std::string detail;
};
using DiskJob = std::variant<BeginClip, WritePiece, EndClip, WriteJournal, OpenGap>;

struct ClipBegun {
    std::string path;
    clip::ClipHeader header;
};
struct PieceSynced {  // the newest piece; those before it are durable too
    std::string path;
    clip::PieceIdentity identity;
    std::uint64_t file_size = 0;
    std::uint32_t frames = 0;  // of the clip so far
};
struct ClipEnded {
    std::string path;
    clip::ClipSummary summary;
};
struct GapStands {
    bool open = false;
    journal::Stamp when;
    journal::GapCause cause = journal::GapCause::closed;
    std::string detail;
};
// What an error of the disk is for who misses the video.
inline journal::GapCause cause_of(const Error& error) {
    return error.code == ErrorCode::exhausted ? journal::GapCause::disk_full
                                              : journal::GapCause::disk_error;
}
// The clip's file cannot go on: begin another. What was synced is safe.
struct DiskFailed {
    ClipId clip;
    Error error;
};
using DiskEvent = std::variant<ClipBegun, PieceSynced, ClipEnded, GapStands, DiskFailed>;

// Where jobs go. False: refused (the queue is closed).
class DiskSink {
  public:
    virtual ~DiskSink() = default;
    virtual bool offer(DiskJob job) = 0;
};

}  // namespace hd::record
