// What a verb gets and gives. Every verb runs on the thread `rpc` and must be quick: at most a page
// of rows, a chunk of a file, one synced append.
#pragma once

#include <string>

#include "gateway/wire/message.hpp"
#include "gateway/wire/server.hpp"

namespace hd::daemon {

struct VerbReply {
    std::string json = "{}";
    wire::Frames binary;
};
using VerbResult = Result<VerbReply>;

// Text as a binary frame.
inline Bytes frame_of(std::string_view text) {
    const ByteView bytes = as_bytes(text);
    return {bytes.begin(), bytes.end()};
}

// invalid if the request has another number of binary frames.

inline Result<void> want_frames(const wire::Request& request, std::size_t count) {
    if (request.binary.size() == count) return {};
    return Error{ErrorCode::invalid,
                 "frames: this verb takes " + std::to_string(count) + " binary frames"};
}

}  // namespace hd::daemon
