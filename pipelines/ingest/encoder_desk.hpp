// What one recorder knows about encoding on the hub, from one session to the next: whether its
// camera needs it and why, what the daemon granted, what failed. Shared by the recorder's thread
// and the sources'. Thread-safe; its lock is a leaf.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "pipelines/link/encoder_cooldown.hpp"
#include "pipelines/link/notice.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::ingest {

class EncoderDesk {
  public:
    // A session begins with these settings. Another URL, mode or limit: the need is found out anew;
    // so it is after six hours, because cameras are turned back as well.
    void begin(const link::RecorderSettings& settings, BootTime now);

    // The hub has to encode: `why` is a phrase for status, log and clips.
    void need(std::string why, BootTime now);
    std::optional<std::string> needed() const;

    void set_grant(link::EncoderGrant grant);

    struct Pick {
        std::string element;   // empty: none, and `why` says why
        std::string why;       // a phrase
        bool waiting = false;  // no grant yet: one may come in a moment
    };
    // After kPatience without a grant (a hub that probes hanging drivers needs as long): software.
    Pick pick(BootTime now);
    bool allows(const std::string& element) const;

    void failed(const std::string& element, const std::string& why, BootTime now);

    struct Measured {
        std::uint32_t width = 0, height = 0;
        std::uint32_t millihertz_in = 0, millihertz_out = 0;
    };
    void measured(Measured m);
    void left_out(std::uint64_t frames);
    void ended();  // the element in use is no longer in use

    // What the daemon has to hear: when it changed, and every 5 s while the hub encodes. `again`:
    // in any case (a new connection).
    std::optional<link::EncoderReport> report(BootTime now, bool again);

    static constexpr Micros kPatience = std::chrono::seconds(30);

  private:
    mutable std::mutex mutex_;  // Guards all that follows.
    std::string key_;           // of the settings that the need was found with
    std::optional<std::string> need_;
    BootTime need_since_{};
    std::optional<link::EncoderGrant> grant_;
    std::optional<BootTime> asked_since_;
    link::EncoderCooldown cooldown_;
    link::EncoderReport now_, said_;
    BootTime next_report_{};
    bool ever_said_ = false;
};

}  // namespace hd::ingest
