// The SOCK_SEQPACKET socket between recorders and the daemon: <runtime>/link.sock, one message a
// packet. The daemon listens, recorders connect and reconnect. Sending never blocks: a notice that
// does not fit into the kernel's buffer is dropped and counted, because everything in it can be
// read from clips and journals too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "index/base/files.hpp"
#include "index/base/result.hpp"
#include "pipelines/link/notice.hpp"

namespace hd::link {

// sockaddr_un holds 108 bytes, the closing zero included. `invalid` names the path and the limit.
Result<void> check_socket_path(const std::string& path);

// Who is at the other end, by the kernel's word (SO_PEERCRED), as it was at connect().
struct Peer {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
};

// One connection. Owns its descriptor, which is non-blocking and close-on-exec. Not thread-safe:
// one thread uses it. Wait for it with poll(fd(), POLLIN).
class LinkChannel {
  public:
    explicit LinkChannel(Fd fd) : fd_(std::move(fd)) {}

    // Connects without waiting. not_found or unavailable: no daemon there now, try again later;
    // invalid: the path is too long; refused: the socket's mode does not let us in.
    static Result<LinkChannel> connect(const std::string& path);
    // The same from the socket's folder, which becomes the present one: with a file name of up to
    // 12 bytes the address is shorter than that of any host, and a recorder that may connect to no
    // host is let through.
    static Result<LinkChannel> connect_from_folder(const std::string& path);

    enum class Sent {
        yes,
        dropped,  // the buffer is full: counted in dropped(), the connection goes on
        closed,   // the other end is gone: drop this object and connect again
    };
    // Never blocks, never raises SIGPIPE. The encoded bytes are wiped: settings hold a password.
    Sent send(const Message& message);

    // The next packet, or nothing if none waits. unavailable: the other end closed. corrupt: a
    // packet that does not decode; the channel can go on, but a daemon had better drop it.
    // invalid: another protocol version (the text names both).
    Result<std::optional<Message>> receive();

    Result<Peer> peer() const;
    int fd() const { return fd_.get(); }
    std::uint64_t dropped() const { return dropped_; }

  private:
    Fd fd_;
    std::uint64_t dropped_ = 0;
};

// The daemon's end. Replaces a stale socket file, makes it mode 0660 (its folder is 0700 unless
// the recorders run as another user of one group), and removes it on destruction.
class LinkListener {
  public:
    struct Options {
        std::string path;
        // Users that may connect. Empty: only our own user (and root).
        std::vector<uid_t> allowed_users;
        int backlog = 64;  // as many recorders may come back at once after a daemon restart
    };
    static Result<LinkListener> bind(Options options);
    ~LinkListener();
    LinkListener(LinkListener&&) noexcept = default;
    LinkListener& operator=(LinkListener&&) noexcept = default;

    // Nothing if nobody waits. refused: somebody of another user was turned away (its connection
    // is closed; go on accepting).
    Result<std::optional<LinkChannel>> accept();
    int fd() const { return fd_.get(); }

  private:
    LinkListener(Fd fd, Options options) : fd_(std::move(fd)), options_(std::move(options)) {}
    Fd fd_;
    Options options_;
};

}  // namespace hd::link
