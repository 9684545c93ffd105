// The same program again, with the same arguments and environment, under the same pid: systemd sees
// no end, and recorders keep their parent. Only the count of such starts is added.
#pragma once

#include <string>
#include <vector>

#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::daemon {

class StartAnew {
  public:
    // Copies the environment: call before anything is taken out of it. Paths among the arguments
    // are absolute: the present folder may be on the drive that went.
    explicit StartAnew(std::vector<std::string> arguments);

    // How often in a row this program was started by itself; 0: by somebody else.
    unsigned restarts() const { return restarts_; }

    // Call with every thread of ours ended. Gives only a failure: otherwise there is no return.
    Error start(unsigned restarts) const;

  private:
    std::vector<std::string> arguments_;
    std::vector<std::string> environment_;  // without the count
    unsigned restarts_ = 0;
};

// Children that ended while nobody watched them, before there are others.
void reap_forgotten_children();
// The number of the signal that came and was read; 0: the time is over.
int wait_for_signal(int signal_fd, Micros longest);

}  // namespace hd::daemon
