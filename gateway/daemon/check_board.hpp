// How far the check of rows against files is. Written by `index`, read by `rpc`.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace hd::daemon {

struct CheckProblem {
    std::string kind, clip, text;
    bool repaired = false;
};
struct CheckState {
    std::string state = "idle";  // idle, running, done
    std::string level = "size";  // presence, size, hash
    bool repair = false;
    std::uint64_t checked = 0, total = 0;  // files; the total is what the index expects
    std::uint64_t problems_total = 0;
    std::vector<CheckProblem> problems;  // the first of them
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
    bool begin(const std::string& level, bool repair) {
        const std::lock_guard lock(mutex_);
        if (state_.state == "running") return false;
        state_ = {.state = "running", .level = level, .repair = repair};
        return true;
    }

  private:
    mutable std::mutex mutex_;  // A leaf.
    CheckState state_;
};

}  // namespace hd::daemon
