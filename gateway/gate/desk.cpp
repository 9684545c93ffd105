#include "gateway/gate/desk.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/check.hpp"

namespace hd::gate {
namespace {

// One text for everything that is not a release for this requester.
constexpr std::string_view kNothing = R"({"released":false})";

Error invalid(std::string_view field, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("{}: {}", field, rule)};
}

// Errors that speak of public rules only; every other one must look like nothing.
bool is_public(const Error& error) {
    return error.code == ErrorCode::invalid || error.code == ErrorCode::refused ||
           error.code == ErrorCode::exhausted;
}

}  // namespace

BootTime next_tick(BootTime now) {
    const std::int64_t tick = kTick.count();
    return {(now.us / tick + 1) * tick};
}

Bytes pad_answer(ByteView answer) {
    HD_CHECK(answer.size() + 4 <= kPageBytes);
    ByteWriter out;
    out.long_string(answer);
    Bytes page = std::move(out).take();
    page.resize(kPageBytes, 0);
    return page;
}

bool Desk::busy(const std::string& user) const {
    const auto is_his = [&](const Question& q) { return q.user == user; };
    return std::any_of(waiting_.begin(), waiting_.end(), is_his) ||
           std::any_of(under_way_.begin(), under_way_.end(),
                       [&](const auto& entry) { return is_his(entry.second); }) ||
           std::any_of(outgoing_.begin(), outgoing_.end(),
                       [&](const Outgoing& o) { return o.user == user && !o.is_error; });
}

void Desk::refuse(const wire::Peer& peer, const std::string& user, std::string_view correlation,
                  const Error& error, BootTime now) {
    const auto unsent = std::count_if(outgoing_.begin(), outgoing_.end(), [&](const Outgoing& o) {
        return o.user == user && o.is_error;
    });
    if (static_cast<std::size_t>(unsent) >= kMaxErrorsOfUser) {
        ++counters_.dropped;
        return;
    }
    Question question;
    question.peer = peer;
    question.user = user;
    send(question, wire::encode_error(correlation, error), next_tick(now), true);
}

void Desk::send(const Question& question, wire::Frames frames, BootTime due, bool is_error) {
    ++(is_error ? counters_.errors : counters_.replies);
    outgoing_.push_back({due, is_error, question.user, {question.peer, std::move(frames)}});
}

Result<ToHub> Desk::translate(const wire::Request& request, const std::string& user,
                              Question& question) const {
    wire::JsonFields in(request.body);
    wire::JsonWriter out;
    out.begin_object().field("user", user);
    if (request.verb == "ask") {
        HD_TRY(in.finish());
        if (request.binary.empty() || request.binary.size() > 2)
            return invalid("frames", "ask needs the request note and at most a private body");
        const Bytes& note = request.binary[0];
        if (note.empty() || note.size() > kMaxNoteBytes)
            return invalid("note", fmt::format("must have 1 to {} bytes", kMaxNoteBytes));
        const Bytes body = request.binary.size() > 1 ? request.binary[1] : Bytes{};
        if (body.size() > kMaxPrivateBytes)
            return invalid("private", fmt::format("must have at most {} bytes", kMaxPrivateBytes));
        out.end_object();
        return ToHub{"gate.ask", {}, std::move(out).take(), {note, body}};
    }
    if (request.verb == "fetch") {
        const RequestId id = in.id<RequestId>("request");
        question.part = in.integer("part", {0, kMaxParts});
        HD_TRY(in.finish());
        if (!request.binary.empty()) return invalid("frames", "fetch has no binary frame");
        question.is_fetch = true;
        out.field("request", id).field("part", question.part).end_object();
        return ToHub{"gate.fetch", {}, std::move(out).take(), {}};
    }
    return invalid("verb", "must be ask or fetch");
}

void Desk::take_message(const wire::Incoming& in, BootTime now) {
    Question question;
    question.peer = in.peer;
    question.user = in.user;
    question.asked = now;
    const auto request =
        wire::decode_request(in.frames, wire::kRequesterLimits, question.correlation);
    if (!request) {
        refuse(in.peer, in.user, question.correlation, request.error(), now);
        return;
    }
    auto to_hub = translate(*request, in.user, question);
    if (!to_hub) {
        refuse(in.peer, in.user, question.correlation, to_hub.error(), now);
        return;
    }
    if (busy(in.user) || waiting_.size() >= kMaxWaiting) {
        refuse(in.peer, in.user, question.correlation,
               {ErrorCode::exhausted, "request: one question at a time; wait for its answer"}, now);
        return;
    }
    question.to_hub = std::move(*to_hub);
    ++counters_.questions;
    waiting_.push_back(std::move(question));
}

std::vector<ToHub> Desk::questions() {
    std::vector<ToHub> out;
    while (!waiting_.empty() && under_way_.size() < kMaxUnderWay) {
        Question question = std::move(waiting_.front());
        waiting_.pop_front();
        const std::string correlation = fmt::format("q{}", ++asked_);
        question.to_hub.correlation = correlation;
        out.push_back(std::move(question.to_hub));
        under_way_.emplace(correlation, std::move(question));
    }
    return out;
}

void Desk::answer_ask(const Question& question, const wire::Reply& reply, BootTime now) {
    if (reply.error && is_public(*reply.error)) {
        send(question, wire::encode_error(question.correlation, *reply.error), next_tick(now),
             true);
        return;
    }
    const bool answered = !reply.error && reply.binary.size() == 1 && !reply.binary[0].empty() &&
                          reply.binary[0].size() + 4 <= kPageBytes;
    if (!answered) {
        ++counters_.silences;
        return;
    }
    send(question, wire::encode_reply(question.correlation, "{}", {pad_answer(reply.binary[0])}),
         next_tick(now), false);
}

void Desk::answer_fetch(const Question& question, const wire::Reply& reply, BootTime now) {
    const std::int64_t parts = reply.body.int_or("parts", 0);
    const bool released = !reply.error && reply.body.bool_or("released", false) &&
                          reply.binary.size() == 1 && !reply.binary[0].empty() &&
                          reply.binary[0].size() <= wire::kMaxChunkBytes && question.part < parts &&
                          parts <= kMaxParts;
    if (!released) {
        send(question, wire::encode_reply(question.correlation, kNothing), next_tick(now), false);
        return;
    }
    wire::JsonWriter out;
    out.begin_object().field("released", true).field("parts", parts).end_object();
    // After part 0 the requester knows that there is a release; waiting would hide nothing more.
    send(question, wire::encode_reply(question.correlation, out.text(), {reply.binary[0]}),
         question.part > 0 ? now : next_tick(now), false);
}

void Desk::take_reply(const wire::Reply& reply, BootTime now) {
    const auto at = under_way_.find(reply.correlation);
    if (at == under_way_.end()) return;  // late, or of another life
    const Question question = std::move(at->second);
    under_way_.erase(at);
    if (question.is_fetch) {
        answer_fetch(question, reply, now);
    } else {
        answer_ask(question, reply, now);
    }
}

void Desk::expire(BootTime now) {
    for (auto at = under_way_.begin(); at != under_way_.end();) {
        if (now - at->second.asked < kGiveUp) {
            ++at;
            continue;
        }
        ++counters_.silences;
        at = under_way_.erase(at);
    }
    std::erase_if(waiting_, [&](const Question& q) { return now - q.asked >= kGiveUp; });
}

std::vector<ToRequester> Desk::due(BootTime now) {
    std::vector<ToRequester> out;
    for (Outgoing& o : outgoing_)
        if (o.due <= now) out.push_back(std::move(o.message));
    std::erase_if(outgoing_, [&](const Outgoing& o) { return o.due <= now; });
    return out;
}

BootTime Desk::next_due(BootTime otherwise) const {
    for (const Outgoing& o : outgoing_) otherwise = std::min(otherwise, o.due);
    return otherwise;
}

void Desk::forget_users_except(const std::vector<std::string>& users) {
    const auto gone = [&](const std::string& user) {
        return std::find(users.begin(), users.end(), user) == users.end();
    };
    std::erase_if(waiting_, [&](const Question& q) { return gone(q.user); });
    std::erase_if(under_way_, [&](const auto& entry) { return gone(entry.second.user); });
    std::erase_if(outgoing_, [&](const Outgoing& o) { return gone(o.user); });
}

}  // namespace hd::gate
