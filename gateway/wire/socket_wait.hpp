// Waits for several ZeroMQ sockets with one system call. zmq_poll asks each of them, before and
// after it sleeps: 13 calls of poll and getpid beside a query, where this makes 7
// (docs/decisions/0021-index-speed.md). Private to gateway/wire.
//
// libzmq's descriptor tells only of what came since somebody last called the socket (any call takes
// in what has come, a send too). So a wait trusts the descriptor of a socket that is `drained`, and
// looks at every other one first.
#pragma once

#include <span>

#include "index/base/result.hpp"

namespace hd::wire {

struct Waited {
    void* socket = nullptr;
    // Of the socket's owner: true only if the last call on the socket was a receive that found
    // nothing. A wait makes it false when it finds something.
    bool* drained = nullptr;
    bool ready = false;  // after a wait: worth reading; there may still be nothing
};

// Waits at most `timeout_ms` for one of the sockets or for `fd`. True: `fd` can be read. A signal
// ends the wait too.
Result<bool> wait_any(std::span<Waited> sockets, int fd, int timeout_ms);

}  // namespace hd::wire
