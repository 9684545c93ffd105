// The lean reader's way to its camera: a connection, TLS in it, and ports for UDP.
#include <array>

#include <poll.h>

#include "pipelines/ingest/lean_reader.hpp"
#include "pipelines/ingest/tls_stream.hpp"

namespace hd::ingest {

using journal::GapCause;

bool LeanReader::connect_camera() {
    auto connected = dialer_->dial(deadline_, wake_.get());
    if (connected) return open_stream(std::move(*connected)) && reserve_ports();
    give_up_network(connected.error());
    return false;
}

void LeanReader::give_up_network(Error error) {
    if (asked_to_stop()) return;
    const bool gone = error.code == ErrorCode::exhausted;
    lose(GapCause::unreachable, std::move(error.what),
         gone ? Remedy::new_process : Remedy::new_source);
}

// False: it is over.
bool LeanReader::reserve_ports() {
    if (settings_.transport != link::RtspTransport::udp) return true;
    datagrams_.emplace(settings_.camera, clock_);
    const bool sound = settings_.audio == link::AudioMode::keep;
    auto begun = datagrams_->begin(*dialer_, client_, sound, wake_.get());
    if (!begun) give_up_network(begun.error());
    return begun.ok();
}

// False: it is over.
bool LeanReader::join_ports() {
    if (!datagrams_) return true;
    auto joined = datagrams_->join(*dialer_, client_, wake_.get());
    if (!joined) give_up_network(joined.error());
    return joined.ok();
}

bool LeanReader::open_stream(Fd connected) {
    if (url_.tls) {
        auto made = make_tls_stream(std::move(connected), settings_.tls, url_.host);
        if (!made) {
            lose(GapCause::refused, made.error().what);
            return false;
        }
        stream_ = std::move(*made);
    } else {
        stream_ = make_plain_stream(std::move(connected));
    }
    while (!asked_to_stop()) {
        const ByteStream::Step step = stream_->open();
        if (step == ByteStream::Step::done) return true;
        if (step == ByteStream::Step::lost) {
            lose_connection();
            break;
        }
        std::array<pollfd, 2> fds{pollfd{stream_->socket(), stream_->events(false), 0},
                                  pollfd{wake_.get(), POLLIN, 0}};
        ::poll(fds.data(), 2, patience_ms());
        if (clock_.boot() > deadline_)
            lose(GapCause::unreachable,
                 "camera did not finish the TLS handshake in time; does it speak TLS on this "
                 "port?");
    }
    return false;
}

}  // namespace hd::ingest
