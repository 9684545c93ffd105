#include "pipelines/ingest/tls_stream.hpp"

#include <array>
#include <cerrno>

#include <fmt/format.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include "pipelines/ingest/tls_trust.hpp"

namespace hd::ingest {
namespace {

using journal::GapCause;

struct Reason {
    int code;  // ERR_GET_REASON
    const char* words;
};
constexpr std::array kReasons{
    Reason{SSL_R_WRONG_VERSION_NUMBER, "camera does not speak TLS on this port; try rtsp://"},
    Reason{SSL_R_HTTP_REQUEST, "camera does not speak TLS on this port; try rtsp://"},
    Reason{SSL_R_PACKET_LENGTH_TOO_LONG, "camera does not speak TLS on this port; try rtsp://"},
    Reason{SSL_R_UNSUPPORTED_PROTOCOL,
           "camera speaks no TLS 1.2 or newer; its firmware is too old"},
    Reason{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
           "camera speaks no TLS 1.2 or newer; its firmware is too old"},
    Reason{SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
           "camera's TLS can be tampered with (no secure renegotiation); its firmware is too old"},
    Reason{SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "camera and hub have no TLS cipher in common"},
    Reason{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED,
           "camera wants a certificate of the hub, which has none"},
};

class TlsStream final : public ByteStream {
  public:
    TlsStream(Fd connected, const std::string& setting, const std::string& host)
        : ByteStream(std::move(connected)), trust_(setting, host) {}

    Result<void> begin();

    Step open() override;
    Received receive(std::span<std::uint8_t> space) override;
    Step send(std::string& output) override;
    void finish() override;
    short events(bool to_send) const override;
    bool holds_bytes() const override { return holds_; }
    bool may_receive(short found) const override {
        return (found & (receive_events_ | POLLHUP | POLLERR)) != 0;
    }

  private:
    // OpenSSL's way to the socket: without SIGPIPE, and with the kernel's stamps.
    static int from_socket(BIO* bio, char* data, int size);
    static int to_socket(BIO* bio, const char* data, int size);
    static long control(BIO* bio, int command, long, void*);
    static const BIO_METHOD* way();

    // What an unsuccessful call waits for, or why there will be no other.
    Step after(int rc, short& waits);
    std::string words_of(unsigned long error) const;

    TlsTrust trust_;
    SslPtr tls_;
    bool open_ = false;
    bool over_ = false;    // OpenSSL wants no more calls
    bool at_end_ = false;  // the socket's end was read
    bool holds_ = false;
    short receive_events_ = POLLIN;  // Either may need either: a new key is asked for and sent.
    short send_events_ = POLLOUT;
};

int TlsStream::from_socket(BIO* bio, char* data, int size) {
    auto& self = *static_cast<TlsStream*>(::BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const ssize_t n = self.receive_stamped(
        {reinterpret_cast<std::uint8_t*>(data), static_cast<std::size_t>(size)});
    if (n == 0) self.at_end_ = true;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
    return static_cast<int>(n);
}

int TlsStream::to_socket(BIO* bio, const char* data, int size) {
    auto& self = *static_cast<TlsStream*>(::BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const ssize_t n = ::send(self.socket(), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
    return static_cast<int>(n);
}

long TlsStream::control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return static_cast<TlsStream*>(::BIO_get_data(bio))->at_end_;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* TlsStream::way() {
    static const BioMethodPtr made = [] {
        BioMethodPtr out(::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "camera"));
        if (!out) return out;
        ::BIO_meth_set_read(out.get(), from_socket);
        ::BIO_meth_set_write(out.get(), to_socket);
        ::BIO_meth_set_ctrl(out.get(), control);
        return out;
    }();
    return made.get();
}

Result<void> TlsStream::begin() {
    HD_ASSIGN(tls_, trust_.begin());
    BIO* bio = way() ? ::BIO_new(way()) : nullptr;
    if (!bio) return Error{ErrorCode::exhausted, "OpenSSL made no connection"};
    ::BIO_set_data(bio, this);
    ::BIO_set_init(bio, 1);
    ::SSL_set_bio(tls_.get(), bio, bio);  // owns it
    return {};
}

ByteStream::Step TlsStream::open() {
    ::ERR_clear_error();
    const int rc = ::SSL_do_handshake(tls_.get());
    if (rc != 1) return after(rc, receive_events_);
    open_ = true;
    receive_events_ = POLLIN;
    return Step::done;
}

ByteStream::Received TlsStream::receive(std::span<std::uint8_t> space) {
    Received out;
    receive_events_ = POLLIN;
    holds_ = false;
    // A record is 16 KiB at most. What came of the next ones is taken too, as far as it is there.
    while (out.size < space.size() && (out.size == 0 || ::SSL_has_pending(tls_.get()) == 1)) {
        ::ERR_clear_error();
        std::size_t n = 0;
        const int rc =
            ::SSL_read_ex(tls_.get(), space.data() + out.size, space.size() - out.size, &n);
        if (rc != 1) {
            out.step = after(rc, receive_events_);
            // What came before the end is given first; the end is found again.
            if (out.size > 0 && out.step == Step::lost) holds_ = true;
            if (out.size > 0) out.step = Step::done;
            return out;
        }
        out.size += n;
    }
    out.step = Step::done;
    holds_ = ::SSL_has_pending(tls_.get()) == 1;
    return out;
}

ByteStream::Step TlsStream::send(std::string& output) {
    send_events_ = POLLOUT;
    while (!output.empty()) {
        ::ERR_clear_error();
        std::size_t n = 0;
        const int rc = ::SSL_write_ex(tls_.get(), output.data(), output.size(), &n);
        if (rc != 1) return after(rc, send_events_);
        output.erase(0, n);
    }
    return Step::done;
}

void TlsStream::finish() {
    ::ERR_clear_error();
    if (!over_) ::SSL_shutdown(tls_.get());
    ::shutdown(socket(), SHUT_WR);
}

short TlsStream::events(bool to_send) const {
    return static_cast<short>(receive_events_ | (to_send && open_ ? send_events_ : 0));
}

ByteStream::Step TlsStream::after(int rc, short& waits) {
    const int error_number = errno;
    if (over_) return Step::lost;  // lost() is from the call that found it.
    const int kind = ::SSL_get_error(tls_.get(), rc);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        waits = kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        return Step::wait;
    }
    over_ = true;
    if (!trust_.refusal().empty()) return end(GapCause::refused, trust_.refusal());
    const unsigned long error = ::ERR_get_error();
    const bool ended = kind == SSL_ERROR_ZERO_RETURN || at_end_;
    if (ended && !open_)
        return end(GapCause::closed,
                   "camera hung up in the TLS handshake; does it speak TLS on this port?");
    if (kind == SSL_ERROR_ZERO_RETURN) return end(GapCause::closed, "camera closed the connection");
    if (ended) return end(GapCause::closed, "camera closed the connection without TLS's last word");
    if (kind == SSL_ERROR_SYSCALL)
        return end(GapCause::closed, errno_error(error_number, "connection to the camera").what);
    return end(open_ ? GapCause::closed : GapCause::refused, words_of(error));
}

std::string TlsStream::words_of(unsigned long error) const {
    for (const Reason& r : kReasons)
        if (r.code == ERR_GET_REASON(error)) return r.words;
    // OpenSSL's own fixed phrase.
    const char* phrase = ::ERR_reason_error_string(error);
    return fmt::format("TLS with the camera failed: {}", phrase ? phrase : "no reason known");
}

}  // namespace

Result<std::unique_ptr<ByteStream>> make_tls_stream(Fd connected, const std::string& trust,
                                                    const std::string& host) {
    auto out = std::make_unique<TlsStream>(std::move(connected), trust, host);
    HD_TRY(out->begin());
    return std::unique_ptr<ByteStream>(std::move(out));
}

}  // namespace hd::ingest
