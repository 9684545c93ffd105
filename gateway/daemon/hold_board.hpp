// Clips that must not be deleted: those of live releases, and those in a stretch that the owner
// holds. Written by `rpc`, asked by `index`.
#pragma once

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "index/store/rows.hpp"

namespace hd::daemon {

struct HeldWindow {
    std::optional<CameraId> camera;  // none: every camera
    TimeSpan window;
};

class HoldBoard {
  public:
    // Paths relative to <data>/clips.
    void set_paths(std::set<std::string> paths) {
        const std::lock_guard lock(mutex_);
        paths_ = std::move(paths);
    }
    void set_windows(std::vector<HeldWindow> windows) {
        const std::lock_guard lock(mutex_);
        windows_ = std::move(windows);
    }
    bool held(const store::ClipRow& row) const {
        const std::lock_guard lock(mutex_);
        return paths_.contains(store::clip_path(row)) ||
               std::ranges::any_of(windows_, [&](const HeldWindow& hold) {
                   return (!hold.camera || *hold.camera == row.camera) &&
                          hold.window.overlaps(row.span());
               });
    }

  private:
    mutable std::mutex mutex_;  // A leaf.
    std::set<std::string> paths_;
    std::vector<HeldWindow> windows_;
};

}  // namespace hd::daemon
