#include "gateway/wire/message.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace hd::wire {
namespace {

Error bad(std::string_view field, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("{}: {}", field, rule)};
}

Bytes to_frame(std::string_view text) {
    const ByteView view = as_bytes(text);
    return {view.begin(), view.end()};
}

bool is_verb(std::string_view verb) {
    if (verb.empty() || verb.size() > kMaxVerbBytes) return false;
    return std::all_of(verb.begin(), verb.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || c == '.' || c == '_'; });
}

bool is_field_name(std::string_view name) {
    if (name.empty() || name.size() > 64) return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.' || c == '[' || c == ']';
    });
}

Result<void> check_sizes(const Frames& frames, const MessageLimits& limits) {
    if (frames.size() > limits.max_frames)
        return bad("frames",
                   fmt::format("{} frames, the limit is {}", frames.size(), limits.max_frames));
    std::size_t total = 0;
    for (const Bytes& frame : frames) {
        if (frame.size() > limits.max_frame_bytes)
            return bad("frames", fmt::format("a frame of {} bytes, the limit is {}", frame.size(),
                                             limits.max_frame_bytes));
        total += frame.size();
    }
    if (total > limits.max_message_bytes)
        return bad("frames", fmt::format("{} bytes in all, the limit is {}", total,
                                         limits.max_message_bytes));
    return {};
}

Result<Json> parse_object(std::string_view text, const JsonLimits& limits) {
    HD_ASSIGN(Json body, parse_json(text, limits));
    if (body.as_object() == nullptr) return bad("json", "must be an object");
    return body;
}

Frames tail(const Frames& frames, std::size_t from) {
    return {frames.begin() + static_cast<std::ptrdiff_t>(from), frames.end()};
}

constexpr std::array kCodes{ErrorCode::not_found, ErrorCode::corrupt, ErrorCode::unavailable,
                            ErrorCode::exhausted, ErrorCode::invalid, ErrorCode::refused};

}  // namespace

Result<Request> decode_request(const Frames& frames, const MessageLimits& limits,
                               std::string& correlation) {
    correlation.clear();
    HD_TRY(check_sizes(frames, limits));
    if (frames.empty() || as_text(frames[0]) != kProtocolTag)
        return bad("tag", "the first frame must be HD1");
    if (frames.size() < 4) return bad("frames", "must be HD1, verb, correlation id, JSON");
    if (frames[2].empty() || frames[2].size() > kMaxCorrelationBytes)
        return bad("correlation", fmt::format("must have 1 to {} bytes", kMaxCorrelationBytes));
    correlation = as_text(frames[2]);
    if (!is_verb(as_text(frames[1])))
        return bad("verb", fmt::format("must be 1 to {} of a-z . _", kMaxVerbBytes));
    HD_ASSIGN(Json body, parse_object(as_text(frames[3]), {.max_bytes = limits.max_json_bytes}));
    return Request{.verb = std::string(as_text(frames[1])),
                   .correlation = correlation,
                   .body = std::move(body),
                   .binary = tail(frames, 4)};
}

Frames encode_request(std::string_view verb, std::string_view correlation, std::string_view json,
                      Frames binary) {
    Frames out{to_frame(kProtocolTag), to_frame(verb), to_frame(correlation), to_frame(json)};
    for (Bytes& frame : binary) out.push_back(std::move(frame));
    return out;
}

Result<Reply> decode_reply(Frames frames, const MessageLimits& limits) {
    HD_TRY(check_sizes(frames, limits));
    if (frames.size() < 4 || as_text(frames[0]) != kProtocolTag)
        return bad("frames", "a reply must be HD1, correlation id, status, JSON");
    if (frames[1].size() > kMaxCorrelationBytes)
        return bad("correlation", fmt::format("must have at most {} bytes", kMaxCorrelationBytes));
    Reply reply;
    reply.correlation = as_text(frames[1]);
    reply.json = as_text(frames[3]);
    JsonLimits json_limits = kReplyJsonLimits;
    json_limits.max_bytes = limits.max_json_bytes;
    HD_ASSIGN(reply.body, parse_object(reply.json, json_limits));
    reply.binary = tail(frames, 4);
    const std::string_view status = as_text(frames[2]);
    if (status == "ok") return reply;
    const auto code = error_code_from(status);
    if (!code) return bad("status", "is not a word of this protocol");
    const Json* error = reply.body.find("error");
    const std::string field = error != nullptr ? error->text_or("field", "") : "";
    const std::string rule = error != nullptr ? error->text_or("rule", "") : "";
    reply.error = Error{*code, field.empty() ? rule : field + ": " + rule};
    reply.error_field = field;
    return reply;
}

Frames encode_reply(std::string_view correlation, std::string_view json, Frames binary) {
    Frames out{to_frame(kProtocolTag), to_frame(correlation), to_frame("ok"), to_frame(json)};
    for (Bytes& frame : binary) out.push_back(std::move(frame));
    return out;
}

std::string error_json(const Error& error) {
    std::string_view rule = error.what;
    std::string_view field;
    if (const std::size_t colon = rule.find(": "); colon != std::string_view::npos) {
        if (is_field_name(rule.substr(0, colon))) {
            field = rule.substr(0, colon);
            rule.remove_prefix(colon + 2);
        }
    }
    JsonWriter out;
    out.begin_object().key("error").begin_object();
    out.field("code", to_string(error.code)).field("field", field).field("rule", rule);
    out.end_object().end_object();
    return std::move(out).take();
}

Frames encode_error(std::string_view correlation, const Error& error) {
    return {to_frame(kProtocolTag), to_frame(correlation), to_frame(to_string(error.code)),
            to_frame(error_json(error))};
}

Result<Event> decode_event(const Frames& frames) {
    if (frames.size() != 2) return Error{ErrorCode::corrupt, "event: must be topic and JSON"};
    Event event;
    event.topic = as_text(frames[0]);
    event.json = as_text(frames[1]);
    auto body = parse_object(event.json, kReplyJsonLimits);
    if (!body) return Error{ErrorCode::corrupt, "event: " + body.error().what};
    event.body = std::move(*body);
    event.run = event.body.text_or("run", "");
    event.number = event.body.int_or("n", 0);
    return event;
}

std::optional<ErrorCode> error_code_from(std::string_view status) {
    for (const ErrorCode code : kCodes)
        if (to_string(code) == status) return code;
    return std::nullopt;
}

}  // namespace hd::wire
