// Requests, replies and events as ZeroMQ frames, and back. The document is docs/protocol.md
// section 2. Pure: no socket, no clock. The fuzzer is tests/fuzz/fuzz_protocol.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/wire/json.hpp"
#include "index/base/bytes.hpp"
#include "index/base/result.hpp"

namespace hd::wire {

using Frames = std::vector<Bytes>;

constexpr std::string_view kProtocolTag = "HD1";
constexpr int kProtocolVersion = 1;
constexpr std::size_t kMaxVerbBytes = 32;
constexpr std::size_t kMaxCorrelationBytes = 64;
constexpr std::size_t kMaxCursorBytes = 128;
// The largest binary piece of one message (clip.read, headers, grant.put, fetch).
constexpr std::size_t kMaxChunkBytes = 1024 * 1024;

// Per endpoint; the numbers of docs/protocol.md section 3. A frame above max_frame_bytes ends the
// connection inside libzmq (it leaves room for what CURVE adds); the others are checked here and in
// the server.
struct MessageLimits {
    std::size_t max_frames = 8;
    std::size_t max_frame_bytes = 64 * 1024;
    std::size_t max_message_bytes = 128 * 1024;
    std::size_t max_json_bytes = 64 * 1024;
};
constexpr MessageLimits kOwnerLimits{.max_frames = 8,
                                     .max_frame_bytes = kMaxChunkBytes + 64 * 1024,
                                     .max_message_bytes = 4 * (kMaxChunkBytes + 64 * 1024),
                                     .max_json_bytes = 64 * 1024};
constexpr MessageLimits kDashboardLimits{.max_frames = 6,
                                         .max_frame_bytes = 64 * 1024,
                                         .max_message_bytes = 128 * 1024,
                                         .max_json_bytes = 64 * 1024};
constexpr MessageLimits kGateLimits{.max_frames = 8,
                                    .max_frame_bytes = kMaxChunkBytes + 64 * 1024,
                                    .max_message_bytes = 2 * (kMaxChunkBytes + 64 * 1024),
                                    .max_json_bytes = 64 * 1024};
constexpr MessageLimits kRequesterLimits{.max_frames = 8,
                                         .max_frame_bytes = 128 * 1024,
                                         .max_message_bytes = 256 * 1024,
                                         .max_json_bytes = 4 * 1024};
// What a client takes from a hub.
constexpr MessageLimits kReplyLimits{.max_frames = 16,
                                     .max_frame_bytes = 16 * 1024 * 1024,
                                     .max_message_bytes = 32 * 1024 * 1024,
                                     .max_json_bytes = 8 * 1024 * 1024};

struct Request {
    std::string verb;
    std::string correlation;  // any bytes
    Json body;                // always an object
    Frames binary;
};

// `correlation` is filled as soon as it is known, so that a failure can be answered under it.
// invalid: what =
// "<field>: <rule>"; fields of the framing are called "frames", "tag", "verb", "correlation",
// "json".
Result<Request> decode_request(const Frames& frames, const MessageLimits& limits,
                               std::string& correlation);
Frames encode_request(std::string_view verb, std::string_view correlation, std::string_view json,
                      Frames binary = {});

struct Reply {
    std::string correlation;
    std::optional<Error> error;  // none: the status was "ok"
    std::string error_field;     // of the error, may be empty
    Json body;                   // always an object; raw text in `json`
    std::string json;
    Frames binary;
};
Result<Reply> decode_reply(Frames frames, const MessageLimits& limits = kReplyLimits);
Frames encode_reply(std::string_view correlation, std::string_view json, Frames binary = {});
// Status and code are to_string(error.code). "<field>: <rule>" in error.what is taken apart if the
// part before the first ": " looks like a field name (a-z 0-9 _ . [ ]); otherwise field is empty
// and rule is the whole text.
Frames encode_error(std::string_view correlation, const Error& error);
std::string error_json(const Error& error);

struct Event {
    std::string topic;
    std::string run;
    std::int64_t number = 0;
    Json body;
    std::string json;
};
Result<Event> decode_event(const Frames& frames);

std::optional<ErrorCode> error_code_from(std::string_view status);

}  // namespace hd::wire
