#include "pipelines/ingest/byte_stream.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <poll.h>
#include <sys/socket.h>

namespace hd::ingest {
namespace {

using journal::GapCause;

class PlainStream final : public ByteStream {
  public:
    explicit PlainStream(Fd connected) : ByteStream(std::move(connected)) {}

    Step open() override { return Step::done; }

    Received receive(std::span<std::uint8_t> space) override {
        const ssize_t n = receive_stamped(space);
        if (n > 0) return {Step::done, static_cast<std::size_t>(n)};
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return {};
        return {end(GapCause::closed,
                    n == 0 ? "camera closed the connection" : "camera reset the connection")};
    }

    Step send(std::string& output) override {
        while (!output.empty()) {
            const ssize_t n = ::send(socket(), output.data(), output.size(), MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && errno == EAGAIN) return Step::wait;
            if (n <= 0) return end(GapCause::closed, "camera closed the connection");
            output.erase(0, static_cast<std::size_t>(n));
        }
        return Step::done;
    }

    void finish() override { ::shutdown(socket(), SHUT_WR); }

    short events(bool to_send) const override { return to_send ? POLLIN | POLLOUT : POLLIN; }
    bool holds_bytes() const override { return false; }
    bool may_receive(short found) const override {
        return (found & (POLLIN | POLLHUP | POLLERR)) != 0;
    }
};

}  // namespace

ssize_t ByteStream::receive_stamped(std::span<std::uint8_t> space) {
    iovec into{space.data(), space.size()};
    alignas(cmsghdr) std::array<std::uint8_t, 64> notes;
    msghdr read{};
    read.msg_iov = &into;
    read.msg_iovlen = 1;
    read.msg_control = notes.data();
    read.msg_controllen = notes.size();
    const ssize_t n = ::recvmsg(socket_.get(), &read, 0);
    if (n <= 0) return n;
    age_ = Micros(0);
    for (cmsghdr* c = CMSG_FIRSTHDR(&read); c; c = CMSG_NXTHDR(&read, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
        timespec stamp{}, wall{};
        std::memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
        ::clock_gettime(CLOCK_REALTIME, &wall);
        age_ = Micros((wall.tv_sec - stamp.tv_sec) * 1'000'000 +
                      (wall.tv_nsec - stamp.tv_nsec) / 1000);
    }
    return n;
}

ByteStream::Step ByteStream::end(GapCause cause, std::string detail) {
    lost_ = {cause, std::move(detail)};
    return Step::lost;
}

std::unique_ptr<ByteStream> make_plain_stream(Fd connected) {
    return std::make_unique<PlainStream>(std::move(connected));
}

}  // namespace hd::ingest
