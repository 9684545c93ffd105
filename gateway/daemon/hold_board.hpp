// Clips that must not be deleted: those of live releases. Written by `rpc`, asked by `index`.
#pragma once

#include <mutex>
#include <set>
#include <string>

namespace hd::daemon {

class HoldBoard {
  public:
    // Paths relative to <data>/clips.
    void set(std::set<std::string> paths) {
        const std::lock_guard lock(mutex_);
        paths_ = std::move(paths);
    }
    bool held(const std::string& path) const {
        const std::lock_guard lock(mutex_);
        return paths_.contains(path);
    }

  private:
    mutable std::mutex mutex_;  // A leaf.
    std::set<std::string> paths_;
};

}  // namespace hd::daemon
