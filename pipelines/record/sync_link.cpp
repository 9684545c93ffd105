#include "pipelines/record/sync_link.hpp"

#include <algorithm>

#include <poll.h>

namespace hd::record {

SyncLink::SyncLink(Clock& clock, std::string socket_path, Connect connect)
    : clock_(clock), path_(std::move(socket_path)), connect_(std::move(connect)) {}

bool SyncLink::ready() {
    if (clock_.boot() < rest_until_) return false;
    if (!channel_) {
        if (auto channel = connect_(path_)) channel_ = std::move(*channel);
        return false;
    }
    static_cast<void>(hear());  // Answers that came too late, or the end of the connection.
    return channel_.has_value();
}

bool SyncLink::ask(std::uint64_t device) {
    if (!channel_) return false;
    ++number_;
    const BootTime until = clock_.boot() + kSyncPatience;
    if (channel_->send(link::SyncAsk{number_, device}) != link::LinkChannel::Sent::yes) {
        channel_.reset();
        return false;
    }
    for (;;) {
        if (const auto answer = hear()) return *answer;
        if (!channel_) return false;
        const Micros left = until - clock_.boot();
        if (left <= Micros(0)) {
            rest_until_ = clock_.boot() + kSyncRest;
            return false;
        }
        pollfd wait{.fd = channel_->fd(), .events = POLLIN, .revents = 0};
        static_cast<void>(::poll(&wait, 1, static_cast<int>(left.count() / 1000) + 1));
    }
}

// The answer to the newest ask, if it is there.
std::optional<bool> SyncLink::hear() {
    while (channel_) {
        auto message = channel_->receive();
        if (!message) {
            channel_.reset();
        } else if (!*message) {
            return std::nullopt;
        } else if (const auto* answer = std::get_if<link::SyncAnswer>(&**message);
                   answer != nullptr && answer->number == number_) {
            return answer->synced;
        }
    }
    return std::nullopt;
}

}  // namespace hd::record
