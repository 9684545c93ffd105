// systemd's notification protocol: one datagram of KEY=value lines to the socket that the
// environment names (sd_notify(3)). Nothing happens when there is no such socket.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "index/base/files.hpp"
#include "index/base/time.hpp"

namespace hd::daemon {

class SdNotify {
  public:
    // Reads NOTIFY_SOCKET and WATCHDOG_USEC, and removes them from the environment so that
    // children do not speak in our name. Call before any thread is started.
    static SdNotify from_environment();

    // "READY=1", "STOPPING=1", "STATUS=..." Never blocks; a failure changes nothing for us.
    void send(std::string_view message);
    // How often to send "WATCHDOG=1": half of what the unit asks. Nothing: no watchdog.
    std::optional<Micros> watchdog_period() const { return watchdog_; }

  private:
    Fd socket_;
    std::string address_;
    std::optional<Micros> watchdog_;
};

}  // namespace hd::daemon
