// The list of system calls that a program goes on with (seccomp, by libseccomp). What attacks live
// on (starting programs, looking into other processes, kernel modules, name spaces) kills the
// process; everything else that is not on the list fails as on an older kernel (ENOSYS).
#pragma once

#include "index/base/walls.hpp"

namespace hd {

struct SyscallRights {
    bool internet = true;  // make and connect its own sockets; else only use what it is given
    bool udp = false;      // datagram sockets: the resolver of host names, RTP over UDP
    bool listen = false;   // take connections
    bool devices = false;  // ioctl of video and graphics drivers: hardware encoders
};

// For all threads. Programs cannot be started afterwards; threads can.
Wall restrict_system_calls(const SyscallRights& rights);

// This process and what it starts can become user `uid` and no other: for a program that needs
// CAP_SETUID to start others as that user.
Wall restrict_user_changes(unsigned uid);

}  // namespace hd
