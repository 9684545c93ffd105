// Days of one camera's life in milliseconds: the real recorder, the daemon's own hands in clock.log
// and the camera's journal, a camera that does as it is told, a file system in memory and a clock
// that is moved. One thread, no sleep, no chance but that of a seed. The log is off, unless
// HALFDOOR_LOG names a level; HALFDOOR_TILES prints what untiled() looks at.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/daemon/clock_keeper.hpp"
#include "gateway/daemon/journal_keeper.hpp"
#include "pipelines/record/recorder.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/memory_fs.hpp"
#include "tests/support/temp_folder.hpp"

namespace hd::test {

// What the camera does from now on.
enum class Mood { well, off, refuses, encoder_fails, silent, hangs };

// A stretch of a camera's time line: a clip, or a gap of its journal.
struct Tile {
    journal::Stamp begin;
    std::optional<journal::Stamp> end;       // none: a gap that is open
    std::optional<journal::GapCause> cause;  // none: a clip
};

class CameraDays {
  public:
    explicit CameraDays(ClockQuality quality = ClockQuality::synchronised,
                        WallTime wall = {1'795'183'200'000'000});
    ~CameraDays();

    // -- the camera --
    void set_mood(Mood mood);
    void hang_up();      // the camera closes the connection
    void lose_dialer();  // the connection is lost, and what would make the next one is gone
    bool begins_with_key = true;  // each session
    Micros frame_step = std::chrono::seconds(1);
    int key_every = 10;
    std::optional<ingest::CameraClock> camera_clock;
    std::uint64_t unusable = 0;           // pictures of this session without parameter sets
    unsigned connects = 0;                // attempts since the start
    std::uint64_t frames = 0;             // sent since the start
    std::optional<BootTime> first_frame;  // sent since it is well again

    // -- time --
    // Lives on in turns of `turn`: frames come, the recorder and the daemon do what is due.
    void live(Micros time, Micros turn = std::chrono::seconds(1));
    FakeClock clock;
    MemoryFileSystem fs;

    // -- processes --
    void daemon_starts();  // with the recorder that lives, or one that it starts
    void daemon_dies() {
        channel_.reset(), listener_.reset(), clock_keeper_.reset(), keeper_.reset();
    }
    void daemon_speaks(const link::Message& message);
    void daemon_is_of_another_release();
    void recorder_dies();  // kill -9
    // It gets no turn, while pictures go on coming: a machine, or a disk, that is too slow.
    void recorder_sleeps(bool on) { sleeps_ = on; }
    bool recorder_lives() const { return recorder_ != nullptr; }
    void enable(bool on);
    // Everything dies; a power cut if `cut` says so, else the same boot goes on.
    void crash(std::optional<Cut> cut, ClockQuality next = ClockQuality::synchronised);
    // Orderly: the recorder ends and the daemon notes it.
    void stop();
    std::optional<record::Ended> ended;  // how the last recorder ended by itself
    std::vector<link::Message> heard;    // from recorders, Progress left out
    link::RecorderSettings settings;

    // -- what is left --
    std::string data() const { return "/data"; }
    std::vector<clip::ClipSummary> clips();  // finished ones, in the order of boots and BOOTTIME
    std::vector<journal::CameraRecord> journal();
    std::vector<journal::ClockRecord> clock_log();
    std::vector<Tile> tiles();
    // Nothing if clips and gaps tile the time from Configured on, exactly, on both clocks; else the
    // first place where they do not.
    std::string untiled();

  private:
    class Camera;
    void talk();
    void feed();
    void look();
    void start_recorder();
    Result<void> note_end(const std::string& detail);
    std::optional<daemon::VideoSpan> newest() const;

    TempFolder folder_;
    std::unique_ptr<record::Recorder> recorder_;
    std::optional<link::LinkListener> listener_;
    std::optional<link::LinkChannel> channel_;
    std::optional<daemon::ClockKeeper> clock_keeper_;
    std::optional<daemon::JournalKeeper> keeper_;
    bool told_ = false, enabled_ = true, sleeps_ = false;
    Mood mood_ = Mood::well;
    Camera* camera_ = nullptr;  // the session that is open
    BootTime next_frame_{};
    int until_key_ = 0;
    std::vector<BootId> boots_;
};

}  // namespace hd::test
