// Messages of peers: frames, envelopes, verbs' fields, header packs, the gate's desk.
//
// Input: frames, each u8 length (255: 64 KiB of the byte that follows) and its bytes.
// Invariants checked:
//  - nothing crashes, whatever the frames;
//  - what decode_request accepts is within the limits and comes back the same from encode_request;
//  - an error reply can always be made and read, and keeps its code;
//  - what the desk sends is a readable reply, at most one per message, never a release;
//  - a header pack that is accepted comes back the same from its writer.
#include <cstdlib>

#include "gateway/gate/desk.hpp"
#include "gateway/wire/fields.hpp"
#include "gateway/wire/header_pack.hpp"
#include "gateway/wire/message.hpp"

using namespace hd;
using namespace hd::wire;

namespace {

void must(bool holds) {
    if (!holds) std::abort();
}

Frames frames_of(ByteView in) {
    Frames out;
    std::size_t at = 0;
    while (at < in.size() && out.size() < 64) {
        const std::size_t length = in[at++];
        if (length == 255 && at < in.size()) {
            out.emplace_back(65536, in[at++]);
            continue;
        }
        const std::size_t take = std::min(length, in.size() - at);
        out.emplace_back(in.begin() + static_cast<std::ptrdiff_t>(at),
                         in.begin() + static_cast<std::ptrdiff_t>(at + take));
        at += take;
    }
    return out;
}

void check_request(const Frames& frames) {
    std::string correlation;
    const auto request = decode_request(frames, kDashboardLimits, correlation);
    if (!request) {
        const auto reply = decode_reply(encode_error(correlation, request.error()));
        must(reply.ok() && reply->error && reply->error->code == ErrorCode::invalid);
        must(reply->correlation == correlation);
        return;
    }
    must(frames.size() >= 4 && frames.size() <= kDashboardLimits.max_frames);
    must(encode_request(request->verb, request->correlation, as_text(frames[3]), request->binary) ==
         frames);
    JsonFields in(request->body);
    const TimeSpan window = read_window(in);
    read_cursor(in);
    in.integer_or("limit", 500, {1, 5000});
    in.texts_or_empty("cameras", 64, 128);
    in.boolean_or("gaps", false);
    if (in.finish()) must(!window.empty() && window.length() <= kMaxQueryWindow);
}

void check_desk(const Frames& frames) {
    gate::Desk desk;
    Incoming in;
    in.user = std::string(32, 'a');
    in.peer.routing_id = {0, 1};
    in.frames = frames;
    desk.take_message(in, BootTime{1});
    const auto questions = desk.questions();
    must(questions.size() <= 1);
    for (const gate::ToHub& q : questions) {
        must(parse_json(q.json).ok());
        must(q.verb == "gate.ask" || q.verb == "gate.fetch");
    }
    const auto left = desk.due(BootTime{1'000'000});
    must(left.size() + questions.size() == 1);
    for (const gate::ToRequester& out : left) {
        const auto reply = decode_reply(out.frames);
        must(reply.ok() && reply->error && reply->binary.empty());
    }
}

void check_pack(ByteView bytes) {
    const auto clips = decode_header_pack(bytes);
    if (!clips) return;
    HeaderPackWriter again;
    for (const PackedClip& clip : *clips) {
        again.clip(clip.path, clip.header);
        for (const PackedPiece& p : clip.pieces)
            again.piece(p.identity, p.age_size, p.age_sha256, p.age_header);
    }
    must(equal(std::move(again).take(), bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in(data, size);
    const Frames frames = frames_of(in);
    check_request(frames);
    check_desk(frames);
    if (const auto reply = decode_reply(frames)) must(reply->body.as_object() != nullptr);
    if (const auto event = decode_event(frames)) must(event->body.as_object() != nullptr);
    check_pack(in);
    return 0;
}
