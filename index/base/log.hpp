// Log lines: one event, past tense, a stable name, then facts.
//   log::warn("stream.lost", "camera={} after_s={} cause={}", id, seconds, cause);
// They go to standard error (journald keeps them). Never pass a password, key or URL with
// credentials: `redact_url` is for URLs. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace hd::log {

enum class Level { debug, info, warn, error, off };

void set_level(Level level);
bool set_level(std::string_view name);  // "debug" "info" "warn" "error" "off"; false: no such level
void set_program(std::string_view name);  // put before each line, e.g. "recorder front-door"
bool enabled(Level level);
void write(Level level, std::string_view event, std::string_view facts);

template <typename... Args>
void debug(std::string_view event, fmt::format_string<Args...> f, Args&&... args) {
    if (enabled(Level::debug))
        write(Level::debug, event, fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
void info(std::string_view event, fmt::format_string<Args...> f, Args&&... args) {
    if (enabled(Level::info))
        write(Level::info, event, fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
void warn(std::string_view event, fmt::format_string<Args...> f, Args&&... args) {
    if (enabled(Level::warn))
        write(Level::warn, event, fmt::format(f, std::forward<Args>(args)...));
}
template <typename... Args>
void error(std::string_view event, fmt::format_string<Args...> f, Args&&... args) {
    if (enabled(Level::error))
        write(Level::error, event, fmt::format(f, std::forward<Args>(args)...));
}

// rtsp://user:pass@host/path?token=x -> rtsp://host/path: credentials and query are cut out.
std::string redact_url(std::string_view url);

// Lets one line through per period for each instance and says how many were held back.
class RateLimit {
  public:
    explicit RateLimit(std::int64_t period_us) : period_us_(period_us) {}
    // True: log now, and `suppressed` lines were swallowed since the last one.
    bool allow(std::int64_t now_us, std::uint64_t& suppressed);

  private:
    std::int64_t period_us_;
    std::int64_t next_us_ = INT64_MIN;
    std::uint64_t held_ = 0;
};

}  // namespace hd::log
