// A camera's bytes over a connected socket: as they are, or inside TLS. Nothing here waits: who
// reads calls poll(). One thread.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "index/base/files.hpp"
#include "index/base/time.hpp"
#include "pipelines/ingest/frame.hpp"

namespace hd::ingest {

class ByteStream {
  public:
    virtual ~ByteStream() = default;

    // done: it did what there was to do. wait: ask again when poll() has found one of events().
    // lost: nothing comes any more, lost() says why.
    enum class Step { done, wait, lost };

    // Until it is done, nothing is received or sent.
    virtual Step open() = 0;
    struct Received {
        Step step = Step::wait;
        std::size_t size = 0;  // so many bytes are at the front of `space`
    };
    virtual Received receive(std::span<std::uint8_t> space) = 0;
    // Takes what it could send off the front of `output`; the rest must come again unchanged, with
    // more behind it if need be. wait: some of it is left.
    virtual Step send(std::string& output) = 0;
    // Says that nothing more is sent. The camera may still say something.
    virtual void finish() = 0;

    // What poll() has to look for so that open() or receive(), and with `to_send` send(), get on.
    virtual short events(bool to_send) const = 0;
    // True: receive() would give bytes that poll() does not see.
    virtual bool holds_bytes() const = 0;
    // Among what poll() found: is there something for receive()?
    virtual bool may_receive(short found) const = 0;

    // Cause `closed`: the connection ended, whatever it was good for until then.
    const Lost& lost() const { return lost_; }
    int socket() const { return socket_.get(); }
    // How long ago, at the time of the last receive(), the newest of its bytes came, if the kernel
    // says so (SO_TIMESTAMPNS); else 0.
    Micros age() const { return age_; }

  protected:
    explicit ByteStream(Fd connected) : socket_(std::move(connected)) {}
    // recv(), and notes the age of what it gets.
    ssize_t receive_stamped(std::span<std::uint8_t> space);
    Step end(journal::GapCause cause, std::string detail);

  private:
    const Fd socket_;
    Micros age_{0};
    Lost lost_;
};

// `connected` as a Dialer gives it.
std::unique_ptr<ByteStream> make_plain_stream(Fd connected);

}  // namespace hd::ingest
