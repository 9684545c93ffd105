#include "gateway/daemon/clock_keeper.hpp"

namespace hd::daemon {

Result<ClockKeeper> ClockKeeper::open(FileSystem& fs, Clock& clock, const std::string& path) {
    HD_TRY(fs.make_folders(parent_folder(path), 0700));
    if (fs.exists(path)) HD_TRY(journal::repair_tail(fs, path, "clock"));
    HD_ASSIGN(auto writer, journal::Writer::open(fs, path, "clock"));
    ClockKeeper keeper(clock, std::move(writer));
    keeper.last_ = journal::ClockLog(fs, path).newest(clock.boot_id());
    HD_TRY(keeper.look());
    return keeper;
}

Result<std::optional<journal::ClockRecord>> ClockKeeper::look() {
    const auto change = journal::clock_change(last_, journal::read_clocks(*clock_));
    if (change) {
        HD_TRY(writer_.append(journal::encode(*change)));
        HD_TRY(writer_.sync());
        last_ = change;
    }
    return change;
}

journal::Stamp ClockKeeper::now() const {
    journal::Stamp now = journal::read_clocks(*clock_);
    // A step that the next look will write down is not in the log yet.
    if (last_ && std::chrono::abs(journal::offset_of(now) - journal::offset_of(last_->when)) <
                     journal::kClockStep)
        now.utc = WallTime{now.at.us + journal::offset_of(last_->when).count()};
    return now;
}

}  // namespace hd::daemon
