// What a recorder and its dialer say to each other, one packet each, over a socket pair that no
// other program sees. Neither trusts the other: a camera's bytes may have taken over the recorder,
// an answer of a name server the dialer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "index/base/bytes.hpp"
#include "index/base/walls.hpp"
#include "pipelines/ingest/dialer.hpp"

namespace hd::ingest {

constexpr std::size_t kMaxDialMessage = 512;
constexpr std::uint32_t kMaxDialPatienceMs = 60'000;

// The recorder's. The first one aims, once and before the first byte of a camera; all that can be
// said afterwards is "connect there", "never mind" and, if it was aimed so, "reserve a pair of UDP
// ports" and "connect that pair to these ports there".
struct Aim {
    DialTarget target;  // host: 1 to 253 printable characters; port: 1 to 65535
    bool operator==(const Aim&) const = default;
};
struct Dial {
    std::uint32_t number = 0;
    std::uint32_t patience_ms = 0;  // at most kMaxDialPatienceMs
    bool operator==(const Dial&) const = default;
};
struct NeverMind {
    bool operator==(const NeverMind&) const = default;
};
struct Reserve {
    std::uint32_t number = 0;
    bool operator==(const Reserve&) const = default;
};
struct Join {
    std::uint32_t number = 0;
    std::uint16_t port = 0;  // the reserved pair's
    CameraPorts camera;
    bool operator==(const Join&) const = default;
};
using DialRequest = std::variant<Aim, Dial, NeverMind, Reserve, Join>;

// The dialer's: one Aimed for the Aim, one Dialled for each Dial and Join, one Reserved for each
// Reserve.
struct Aimed {
    WallState walls = WallState::missing;  // the weakest of the dialer's own
    std::string words;
    bool operator==(const Aimed&) const = default;
};
struct Dialled {
    std::uint32_t number = 0;
    bool connected = false;  // the socket, or both, come with the packet
    std::string words;       // why not
    bool operator==(const Dialled&) const = default;
};
struct Reserved {
    std::uint32_t number = 0;
    std::uint16_t port = 0;  // 0: none
    std::string words;       // why not
    bool operator==(const Reserved&) const = default;
};
using DialReply = std::variant<Aimed, Dialled, Reserved>;

Bytes encode(const DialRequest& request);
Bytes encode(const DialReply& reply);
// Nothing: not such a packet. Words are printable and short then.
std::optional<DialRequest> decode_dial_request(ByteView packet);
std::optional<DialReply> decode_dial_reply(ByteView packet);

}  // namespace hd::ingest
