#include "gateway/wire/socket_wait.hpp"

#include <cerrno>
#include <vector>

#include <poll.h>
#include <zmq.h>

#include "gateway/wire/zmq_handles.hpp"
#include "index/base/files.hpp"

namespace hd::wire {
namespace {

Result<int> descriptor(void* socket) {
    int fd = -1;
    std::size_t size = sizeof fd;
    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) != 0) return zmq_failure("get ZMQ_FD");
    return fd;
}

Result<bool> can_be_read(void* socket) {
    int events = 0;
    std::size_t size = sizeof events;
    if (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) != 0)
        return zmq_failure("get ZMQ_EVENTS");
    return (events & ZMQ_POLLIN) != 0;
}

}  // namespace

Result<bool> wait_any(std::span<Waited> sockets, int fd, int timeout_ms) {
    std::vector<pollfd> polled;
    polled.reserve(sockets.size() + 1);
    polled.push_back({fd, POLLIN, 0});
    for (Waited& waited : sockets) {
        waited.ready = false;
        if (!*waited.drained) {
            HD_ASSIGN(waited.ready, can_be_read(waited.socket));
            // Having looked and found nothing is as good as having received nothing.
            *waited.drained = !waited.ready;
        }
        if (waited.ready) timeout_ms = 0;
        HD_ASSIGN(const int socket_fd, descriptor(waited.socket));
        polled.push_back({socket_fd, POLLIN, 0});
    }
    if (::poll(polled.data(), polled.size(), timeout_ms) < 0) {
        if (errno == EINTR) return false;
        return errno_error(errno, "poll");
    }
    for (std::size_t i = 0; i < sockets.size(); ++i) {
        if (polled[i + 1].revents == 0) continue;
        sockets[i].ready = true;
        *sockets[i].drained = false;
    }
    return polled[0].revents != 0;
}

}  // namespace hd::wire
