#include "pipelines/ingest/encoder_desk.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hd::ingest {
namespace {

constexpr Micros kNeedLasts = std::chrono::hours(6);
constexpr Micros kReportPeriod = std::chrono::seconds(5);

std::string key_of(const link::RecorderSettings& s) {
    return fmt::format("{} {} {} {} {} {}", s.url, static_cast<int>(s.encode), s.max_width,
                       s.max_height, s.max_frames_per_s, s.max_kbit_per_s);
}

// Without what changes from moment to moment.
bool same_but_rates(link::EncoderReport a, const link::EncoderReport& b) {
    a.millihertz_in = b.millihertz_in;
    a.millihertz_out = b.millihertz_out;
    a.frames_left_out = b.frames_left_out;
    return a == b;
}

}  // namespace

void EncoderDesk::begin(const link::RecorderSettings& settings, BootTime now) {
    const std::lock_guard lock(mutex_);
    std::string key = key_of(settings);
    const bool stale = need_ && now - need_since_ > kNeedLasts;
    if (key == key_ && !stale) return;
    key_ = std::move(key);
    need_.reset();
    now_.needed = false;
    now_.width = now_.height = 0;
    if (settings.encode != link::EncodeMode::hub) return;
    need_ = "encode = \"hub\"";
    need_since_ = now;
    now_.needed = true;
}

void EncoderDesk::need(std::string why, BootTime now) {
    const std::lock_guard lock(mutex_);
    if (need_) return;
    need_ = std::move(why);
    need_since_ = now;
    now_.needed = true;
}

std::optional<std::string> EncoderDesk::needed() const {
    const std::lock_guard lock(mutex_);
    return need_;
}

void EncoderDesk::set_grant(link::EncoderGrant grant) {
    const std::lock_guard lock(mutex_);
    grant_ = std::move(grant);
}

EncoderDesk::Pick EncoderDesk::pick(BootTime now) {
    const std::lock_guard lock(mutex_);
    if (!asked_since_) asked_since_ = now;
    if (!grant_) {
        if (now - *asked_since_ < kPatience)
            return {{}, "waits for its share of the hub's encoders", true};
        grant_ = {{"x264enc", "openh264enc"}, "software, nobody named a hardware encoder"};
    }
    std::string passed_over;
    for (const std::string& element : grant_->elements) {
        const std::string* reason = cooldown_.reason(element, now);
        if (!reason) {
            now_.element = element;
            return {element, fmt::format("{}; {}{}", need_.value_or("the hub encodes"), grant_->why,
                                         passed_over)};
        }
        passed_over += fmt::format("; {}: {}", element, *reason);
    }
    return {{}, fmt::format("no encoder of the hub: {}{}", grant_->why, passed_over)};
}

bool EncoderDesk::allows(const std::string& element) const {
    const std::lock_guard lock(mutex_);
    return !grant_ || std::find(grant_->elements.begin(), grant_->elements.end(), element) !=
                          grant_->elements.end();
}

void EncoderDesk::failed(const std::string& element, const std::string& why, BootTime now) {
    const std::lock_guard lock(mutex_);
    cooldown_.failed(element, why, now);
    now_.failed = cooldown_.elements();
    now_.element.clear();
}

void EncoderDesk::measured(Measured m) {
    const std::lock_guard lock(mutex_);
    if (m.width > 0) now_.width = m.width, now_.height = m.height;
    now_.millihertz_in = m.millihertz_in;
    now_.millihertz_out = m.millihertz_out;
}

void EncoderDesk::left_out(std::uint64_t frames) {
    const std::lock_guard lock(mutex_);
    now_.frames_left_out += frames;
}

void EncoderDesk::ended() {
    const std::lock_guard lock(mutex_);
    now_.element.clear();
    now_.millihertz_in = now_.millihertz_out = 0;
}

std::optional<link::EncoderReport> EncoderDesk::report(BootTime now, bool again) {
    const std::lock_guard lock(mutex_);
    if (!ever_said_ && !now_.needed) return std::nullopt;
    const bool due = now_.needed && now >= next_report_;
    if (!again && !due && same_but_rates(now_, said_)) return std::nullopt;
    ever_said_ = true;
    next_report_ = now + kReportPeriod;
    said_ = now_;
    return now_;
}

}  // namespace hd::ingest
