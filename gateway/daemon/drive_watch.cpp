#include "gateway/daemon/drive_watch.hpp"

#include <algorithm>
#include <array>

#include <sys/stat.h>

#include "gateway/daemon/ballast.hpp"
#include "gateway/ledger/hub_folder.hpp"

namespace hd::daemon {

using namespace std::chrono_literals;

namespace {

constexpr Micros kFirstWait = 5s;
constexpr Micros kLongestWait = 1min;
constexpr Micros kLongLife = 10min;

std::optional<HubId> hub_in(FileSystem& fs, const std::string& data_folder) {
    auto hub = ledger::read_hub_id(fs, join(data_folder, "hub"));
    return hub ? std::optional(*hub) : std::nullopt;
}

}  // namespace

Micros restart_wait(unsigned restarts) {
    if (restarts == 0) return 0s;
    return std::min(kLongestWait, kFirstWait * (1 << std::min(restarts - 1, 10U)));
}

unsigned next_restarts(unsigned restarts, Micros lived) {
    return lived >= kLongLife ? 1 : restarts + 1;
}

std::string_view to_string(DriveWatch::Sight sight) {
    constexpr std::array<std::string_view, 6> kWords{"well",    "away",    "foreign",
                                                     "failing", "resting", "back"};
    return kWords.at(static_cast<std::size_t>(sight));
}

DriveWatch::DriveWatch(FileSystem& fs, std::string data_folder, BootTime now, unsigned restarts)
    : fs_(&fs),
      data_folder_(std::move(data_folder)),
      opened_(now),
      restarts_(restarts),
      first_(folder()),
      hub_(hub_in(fs, data_folder_)) {}

std::optional<DriveWatch::Folder> DriveWatch::folder() const {
    struct stat facts {};
    if (::stat(data_folder_.c_str(), &facts) != 0) return std::nullopt;
    return Folder{facts.st_dev, facts.st_ino};
}

bool DriveWatch::takes_files() const {
    // With less the next start could not open the index.
    if (const auto free = free_bytes_of(data_folder_); !free || *free < kLeastFreeBytes)
        return false;
    const std::string probe = join(data_folder_, "halfdoord.probe");
    const bool taken = write_file_atomic(probe, Bytes(512), 0600).ok();
    return fs_->remove(probe).ok() && taken;
}

DriveWatch::Sight DriveWatch::look(BootTime now, bool index_failed) {
    if (moved()) {
        const auto hub = hub_in(*fs_, data_folder_);
        if (!hub) return Sight::away;
        // A hub that was started before its drive was there had none, and takes the first one.
        if (hub_ && hub != hub_) return Sight::foreign;
    } else if (!index_failed) {
        return Sight::well;
    }
    if (!takes_files()) return Sight::failing;
    if (now - opened_ < restart_wait(restarts_)) return Sight::resting;
    wanted_ = true;
    return Sight::back;
}

}  // namespace hd::daemon
