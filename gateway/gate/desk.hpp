// What the gate does with a requester's message: caps, ticks, padding, silence. The document is
// docs/protocol.md section 8.
//
// Pure: no socket, no clock of its own. The caller hands in what came and sends what is due.
// Nothing here knows what an owner did; it only makes all private outcomes look alike on the wire:
// same frames, same sizes, same moments.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "gateway/wire/message.hpp"
#include "gateway/wire/server.hpp"
#include "index/base/time.hpp"

namespace hd::gate {

constexpr Micros kTick = std::chrono::milliseconds(250);
constexpr Micros kGiveUp = std::chrono::seconds(30);  // a question that the hub does not answer
constexpr std::size_t kMaxUnderWay = 16;              // questions at the hub at one time
constexpr std::size_t kMaxWaiting = 64;               // more than one for each requester
constexpr std::size_t kMaxErrorsOfUser = 4;           // unsent errors; further messages are dropped
constexpr std::size_t kMaxNoteBytes = 16 * 1024;
constexpr std::size_t kMaxPrivateBytes = 64 * 1024;
constexpr std::size_t kPageBytes = 64 * 1024;  // every answer: u32 length, answer, zeros
constexpr std::int64_t kMaxParts = 1'000'000;

// A question for the hub.
struct ToHub {
    std::string verb;
    std::string correlation;
    std::string json;
    wire::Frames binary;
};
struct ToRequester {
    wire::Peer peer;
    wire::Frames frames;
};

struct DeskCounters {
    std::uint64_t questions = 0, replies = 0, errors = 0;
    std::uint64_t dropped = 0;  // messages of somebody who has enough unsent errors
    std::uint64_t silences = 0;
};

class Desk {
  public:
    void take_message(const wire::Incoming& in, BootTime now);
    void take_reply(const wire::Reply& reply, BootTime now);
    // Forgets questions older than kGiveUp.
    void expire(BootTime now);

    // What to ask the hub next; at most kMaxUnderWay are under way.
    std::vector<ToHub> questions();
    // What leaves now.
    std::vector<ToRequester> due(BootTime now);
    // When something will be due, or `otherwise` if that is earlier.
    BootTime next_due(BootTime otherwise) const;
    // The endpoint was closed or a key revoked: nobody waits any more.
    void forget_users_except(const std::vector<std::string>& users);

    const DeskCounters& counters() const { return counters_; }

  private:
    struct Question {
        wire::Peer peer;
        std::string user;
        std::string correlation;  // the requester's
        bool is_fetch = false;
        std::int64_t part = 0;
        BootTime asked;
        ToHub to_hub;
    };
    struct Outgoing {
        BootTime due;
        bool is_error = false;
        std::string user;
        ToRequester message;
    };

    Result<ToHub> translate(const wire::Request& request, const std::string& user,
                            Question& question) const;
    bool busy(const std::string& user) const;
    void refuse(const wire::Peer& peer, const std::string& user, std::string_view correlation,
                const Error& error, BootTime now);
    void send(const Question& question, wire::Frames frames, BootTime due, bool is_error);
    void answer_ask(const Question& question, const wire::Reply& reply, BootTime now);
    void answer_fetch(const Question& question, const wire::Reply& reply, BootTime now);

    std::deque<Question> waiting_;               // not yet asked
    std::map<std::string, Question> under_way_;  // by our correlation id
    std::deque<Outgoing> outgoing_;
    std::uint64_t asked_ = 0;
    DeskCounters counters_;
};

// The first tick after `now`.
BootTime next_tick(BootTime now);
// u32 length (little-endian), the answer, zeros: kPageBytes. `answer` has 1..kPageBytes - 4 bytes.
Bytes pad_answer(ByteView answer);

}  // namespace hd::gate
