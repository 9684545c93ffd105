// How far the check of rows against files is. Written by `index`, read by `rpc`.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace hd::daemon {

struct CheckProblem {
    std::string kind, clip, text;
};
struct CheckState {
    std::string state = "idle";  // idle, running, done
    std::uint64_t checked = 0, total = 0;
    std::vector<CheckProblem> problems;
};
constexpr std::size_t kMaxCheckProblems = 200;  // docs/protocol.md

class CheckBoard {
  public:
    void set(CheckState state) {
        const std::lock_guard lock(mutex_);
        state_ = std::move(state);
    }
    CheckState get() const {
        const std::lock_guard lock(mutex_);
        return state_;
    }
    // False if one runs already.
    bool begin() {
        const std::lock_guard lock(mutex_);
        if (state_.state == "running") return false;
        state_ = {.state = "running"};
        return true;
    }

  private:
    mutable std::mutex mutex_;  // A leaf.
    CheckState state_;
};

}  // namespace hd::daemon
