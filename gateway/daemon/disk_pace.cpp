#include "gateway/daemon/disk_pace.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace hd::daemon {

std::optional<std::string> DiskPace::look(const std::vector<CameraPace>& cameras, BootTime now) {
    std::map<CameraId, Seen> seen;
    std::string drops, behind;
    Micros oldest{0};
    for (const CameraPace& c : cameras) {
        const auto before = seen_.find(c.camera);
        Seen& s = seen[c.camera];
        if (before != seen_.end()) s = before->second;
        // What a recorder had dropped before it was met is no news, nor is another recorder's
        // count.
        if (before != seen_.end() && c.dropped_frames > s.dropped_frames) s.dropped_at = now;
        s.dropped_frames = c.dropped_frames;
        if (s.dropped_at && now - *s.dropped_at < kDroppedLately)
            drops += (drops.empty() ? "" : ", ") + c.name;
        // A camera that was away between two looks has nothing durable any more.
        const bool began_anew = std::exchange(s.has_durable, c.durable.has_value()) && !c.durable;
        if (!c.recording || began_anew) s.recording_since.reset();
        if (!c.recording) continue;
        if (!s.recording_since) s.recording_since = now;
        const Micros age = now - std::max(c.durable.value_or(BootTime{}), *s.recording_since);
        if (age <= std::max(kSlowDisk, c.usual)) continue;
        behind += (behind.empty() ? "" : ", ") + c.name;
        oldest = std::max(oldest, age);
    }
    seen_ = std::move(seen);
    if (!drops.empty())
        return fmt::format(
            "Frames of {} are dropped: the disk, or this machine, is too slow. Each such stretch "
            "is a gap with the cause overload. A faster disk, or fewer and smaller streams.",
            drops);
    if (!behind.empty())
        return fmt::format(
            "The disk is slow: nothing of {} became durable for {} s. Frames wait in memory, up to "
            "buffer_mb for each camera; beyond that they are dropped.",
            behind, oldest.count() / 1'000'000);
    return std::nullopt;
}

}  // namespace hd::daemon
