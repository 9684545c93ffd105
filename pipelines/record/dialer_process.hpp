// The recorder's second process: it has the network and connects to the camera, to nothing else,
// so that the one that reads the camera's bytes needs no network. It ends when the recorder does.
#pragma once

#include <memory>

#include <sys/types.h>

#include "pipelines/ingest/dial_socket.hpp"

namespace hd::record {

struct DialerProcess {
    pid_t pid = 0;
    std::shared_ptr<ingest::SocketDialer> dialer;  // none: the recorder connects by itself

    // It is not needed; returns when it has ended.
    void dismiss();
};

// Splits it off: before the recorder has threads, secrets or a camera's bytes. The dialer gives up
// everything else when it is told where to connect. Without one, if there cannot be any.
DialerProcess start_dialer(Clock& clock);

}  // namespace hd::record
