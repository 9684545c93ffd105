// How long an encoder that failed while it encoded is left alone. Recorder and daemon keep one
// each: the recorder's ends with its process, and a driver that hangs ends the process. Pure.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "index/base/time.hpp"

namespace hd::link {

class EncoderCooldown {
  public:
    // Ten minutes, doubling with each failure up to a day: a device that is busy for a moment comes
    // back, a broken one costs a gap a day.
    void failed(const std::string& element, std::string why, BootTime now) {
        Failure& f = failures_[element];
        f.until = now + std::min(kFirst * (1 << std::min(f.times, 8u)), kLongest);
        f.why = std::move(why);
        ++f.times;
    }
    // Why it must not be used now; null: it may.
    const std::string* reason(const std::string& element, BootTime now) const {
        const auto found = failures_.find(element);
        return found != failures_.end() && now < found->second.until ? &found->second.why : nullptr;
    }
    bool empty() const { return failures_.empty(); }
    std::vector<std::string> elements() const {
        std::vector<std::string> out;
        for (const auto& [element, failure] : failures_) out.push_back(element);
        return out;
    }

  private:
    static constexpr Micros kFirst = std::chrono::minutes(10), kLongest = std::chrono::hours(24);
    struct Failure {
        BootTime until{};
        std::string why;
        unsigned times = 0;
    };
    std::map<std::string, Failure> failures_;
};

}  // namespace hd::link
