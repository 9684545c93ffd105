// clock.log as a rule that every program of a hub shares: UTC = BOOTTIME + the offset of the newest
// record of this boot. One offset for all, so that what one program ends and another begins meets
// to the microsecond. The document is docs/formats/journal.md.
#pragma once

#include <optional>
#include <string>

#include "index/base/clock.hpp"
#include "index/base/files.hpp"
#include "index/journal/camera_journal.hpp"

namespace hd::journal {

// Linux slews CLOCK_BOOTTIME together with UTC, so their difference moves by steps alone; whatever
// is less than this is noise of the two readings, or a step too small to cut a clip for.
constexpr Micros kClockStep = std::chrono::milliseconds(100);

inline Micros offset_of(const Stamp& s) { return Micros(s.utc.us - s.at.us); }

// Both clocks as they are read now, without any log.
Stamp read_clocks(Clock& clock);

// What clock.log has to say next, if anything. `last` is its newest record. Without a step the
// offset stays what it was, to the microsecond. Pure.
std::optional<ClockRecord> clock_change(const std::optional<ClockRecord>& last, const Stamp& now);

// The newest record of one boot. Each look reads only what was appended since the one before.
class ClockLog {
  public:
    // `fs` must outlive this. The file need not exist.
    ClockLog(FileSystem& fs, std::string path) : fs_(&fs), path_(std::move(path)) {}
    // Nothing: no record of this boot, or the file cannot be read.
    std::optional<ClockRecord> newest(const BootId& boot);

  private:
    FileSystem* fs_;
    std::string path_;
    std::uint64_t read_until_ = 0;
    std::optional<ClockRecord> newest_;
};

}  // namespace hd::journal
