#include "index/base/log.hpp"

#include <algorithm>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace hd::log {
namespace {

spdlog::logger& logger() {
    static const auto instance = [] {
        auto l = std::make_shared<spdlog::logger>(
            "halfdoor", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        l->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
        l->flush_on(spdlog::level::debug);
        return l;
    }();
    return *instance;
}

std::string& program() {
    static std::string name;
    return name;
}

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::debug:
            return spdlog::level::debug;
        case Level::info:
            return spdlog::level::info;
        case Level::warn:
            return spdlog::level::warn;
        case Level::error:
            return spdlog::level::err;
        case Level::off:
            return spdlog::level::off;
    }
    return spdlog::level::off;
}

}  // namespace

void set_level(Level level) { logger().set_level(to_spdlog(level)); }

bool set_level(std::string_view name) {
    for (const Level level : {Level::debug, Level::info, Level::warn, Level::error, Level::off}) {
        constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "off"};
        if (name == kNames[static_cast<int>(level)]) {
            set_level(level);
            return true;
        }
    }
    return false;
}

void set_program(std::string_view name) { program() = std::string(name) + " "; }
bool enabled(Level level) { return logger().should_log(to_spdlog(level)); }

void write(Level level, std::string_view event, std::string_view facts) {
    logger().log(to_spdlog(level), "{}{} {}", program(), event, facts);
}

std::string redact_url(std::string_view url) {
    const std::size_t scheme = url.find("://");
    if (scheme == std::string_view::npos) return "(not a URL)";
    const std::string_view rest = url.substr(scheme + 3);
    const std::size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
    std::string_view authority = rest.substr(0, authority_end);
    std::string_view path = rest.substr(authority_end);
    path = path.substr(0, path.find_first_of("?#"));
    // The last '@' of the authority ends the credentials: passwords may hold '@' unescaped.
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
        if (at > authority_end) {
            // An '@' behind the first '/', '?' or '#': perhaps a password that holds one of them.
            // Give nothing away.
            return std::string(url.substr(0, scheme + 3)) + "(hidden)";
        }
        authority = authority.substr(at + 1);
    }
    return std::string(url.substr(0, scheme + 3)) + std::string(authority) + std::string(path);
}

bool RateLimit::allow(std::int64_t now_us, std::uint64_t& suppressed) {
    if (now_us < next_us_) {
        ++held_;
        return false;
    }
    suppressed = held_;
    held_ = 0;
    next_us_ = now_us + period_us_;
    return true;
}

}  // namespace hd::log
