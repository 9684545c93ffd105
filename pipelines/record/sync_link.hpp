// The recorder's end of sync.sock: asks halfdoord to make durable, with one syncfs for all
// recorders, what this one has written. docs/formats/link.md and decision 0004. One thread uses it,
// `disk`.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "index/base/clock.hpp"
#include "pipelines/link/link_socket.hpp"

namespace hd::record {

// A round takes 30 ms of gathering and the sync itself. What takes longer than this is no help:
// with an own sync behind it the newest durable frame would be more than 1.5 s old.
constexpr Micros kSyncPatience = std::chrono::milliseconds(250);
// A daemon that did not answer is not waited for again so soon.
constexpr Micros kSyncRest = std::chrono::seconds(10);

class SyncLink {
  public:
    using Connect = std::function<Result<link::LinkChannel>(const std::string&)>;
    // `clock` must outlive this.
    SyncLink(Clock& clock, std::string socket_path, Connect connect);

    // May ask() be called? Connects if it can, and then says no once more: what was written before
    // a daemon knew of us is ours to sync, whatever error it may have met then.
    bool ready();
    // True: all files of that file system are durable as they were when this was called. False:
    // refused, no answer in time, or nobody there; sync it yourself. Blocks at most kSyncPatience.
    bool ask(std::uint64_t device);

  private:
    std::optional<bool> hear();

    Clock& clock_;
    const std::string path_;
    const Connect connect_;
    std::optional<link::LinkChannel> channel_;
    std::uint64_t number_ = 0;  // of the newest ask; an answer to an older one says nothing
    BootTime rest_until_{};
};

}  // namespace hd::record
