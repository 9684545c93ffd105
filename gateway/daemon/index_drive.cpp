// The part of IndexWorker that says: what it sees of the drive under it.
#include "gateway/daemon/event_fields.hpp"
#include "gateway/daemon/index_worker.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {

constexpr Micros kDrivePeriod = 1s;

std::string words_of(DriveWatch::Sight sight, const std::string& folder) {
    using Sight = DriveWatch::Sight;
    switch (sight) {
        case Sight::well:
            return "";
        case Sight::away:
            return folder +
                   " is not the folder that this hub began with: its drive is not mounted there. "
                   "Nothing is recorded until it is; then all goes on by itself.";
        case Sight::foreign:
            return folder +
                   " belongs to another hub now. Nothing is recorded: mount this hub's drive "
                   "there.";
        case Sight::failing:
            return "The drive of " + folder +
                   " takes no files. When it does again, the index is opened anew by itself; until "
                   "then answers lack what was recorded last.";
        case Sight::resting:
        case Sight::back:
            return "The drive of " + folder +
                   " is back: halfdoord starts itself anew to open the index; recorders go on.";
    }
    return "";
}

}  // namespace

void IndexWorker::look_at_drive() {
    const BootTime now = wiring_.clock.boot();
    if (now < next_drive_look_) return;
    next_drive_look_ = now + kDrivePeriod;
    const DriveWatch::Sight sight = wiring_.drive.look(now, store_->failed());
    if (sight == drive_sight_) return;
    drive_sight_ = sight;
    const WallTime wall = wiring_.clock.wall();
    if (sight == DriveWatch::Sight::well) {
        log::info("drive.well", "folder={}", places_.data_folder);
        if (wiring_.board.clear("drive"))
            wiring_.events.publish("health", wall, health_fields("drive", "ok", ""));
        return;
    }
    const std::string text = words_of(sight, places_.data_folder);
    log::error("drive.lost", "folder={} sight={} index_failed={}", places_.data_folder,
               to_string(sight), store_->failed());
    wiring_.board.raise("drive", "error", text);
    wiring_.events.publish("health", wall, health_fields("drive", "error", text));
}

}  // namespace hd::daemon
