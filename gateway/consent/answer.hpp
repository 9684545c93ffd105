// The answer: a hub-signed receipt and a page of metadata, always of one size. What is on the page
// depends on the level that the owner chose. Every private reason for "nothing" (class A: opted
// out, outside the cell, no footage, deleted, level silent, internal error) gives the very same
// bytes. docs/formats/request.md.
#pragma once

#include <string>
#include <vector>

#include "gateway/consent/request.hpp"

namespace hd::consent {

constexpr std::string_view kAnswerFormat = "halfdoor-answer/v1";
// The requester endpoint sends u32 length || answer in 65,536 bytes (docs/protocol.md).
constexpr std::size_t kAnswerBytes = 65'532;
// Two and a half cameras for twelve hours; a longer list is cut and says so.
constexpr std::size_t kMaxAnswerClips = 1'900;
constexpr std::int64_t kCoverageBucketS = 900;

// A stretch of video of one clip. Give every clip that overlaps the window; what may be told is
// decided here.
struct ClipSpan {
    CameraId camera;
    ClipId clip;
    TimeSpan span;
};

// What an answer says, without the padding.
struct AnswerClip {
    std::string label;  // 8 characters, random-looking, different for every request
    TimeSpan span;      // cut to the window, whole seconds outward
    bool operator==(const AnswerClip&) const = default;
};
struct Answer {
    HubId hub;
    Digest request{};
    WallTime received;           // cut to whole seconds
    WallTime coverage_from;      // of the first bucket; UTC quarter of an hour
    std::vector<bool> coverage;  // empty: nothing told
    std::vector<AnswerClip> clips;
    bool cut = false;  // there were more clips than fit
    bool operator==(const Answer&) const = default;
};

struct AnswerInput {
    const Policy& policy;
    const PolicyRequester* who;  // nullptr: no longer in the policy, answered like silence
    const Request& request;
    Digest request_hash{};
    WallTime received;
    // Empty also after an internal error: the requester must not be able to tell.
    std::span<const ClipSpan> clips;
    ByteView hub_secret;  // labels are keyed by it, so they mean nothing elsewhere
};
// Decides purely and in full, whatever the level. Deterministic: same input, same answer.
Answer decide_answer(const AnswerInput& input);

// Exactly kAnswerBytes. Deterministic (Ed25519).
std::string sign_answer(const Answer& answer, const ledger::NoteSigner& hub);
// One signature, by the hub of the card; canonical; right size.
Result<Answer> parse_answer(std::string_view bytes, const ledger::NoteKey& hub);

}  // namespace hd::consent
