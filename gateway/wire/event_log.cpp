#include "gateway/wire/event_log.hpp"

#include <algorithm>

#include "index/base/check.hpp"

namespace hd::wire {

EventLog::EventLog(std::string run, std::size_t kept) : run_(std::move(run)), kept_max_(kept) {
    HD_CHECK(kept_max_ > 0);
}

Frames EventLog::append(std::string_view topic, WallTime time, std::string_view fields) {
    HD_CHECK(fields.size() >= 2 && fields.front() == '{' && fields.back() == '}');
    JsonWriter head;
    head.begin_object().field("run", run_).field("n", ++last_).field("time", time).end_object();
    std::string json = std::move(head).take();
    if (fields.size() > 2) {
        json.back() = ',';
        json.append(fields.substr(1));
    }
    kept_.push_back({std::string(topic), json});
    if (kept_.size() > kept_max_) kept_.pop_front();
    const ByteView name = as_bytes(topic), body = as_bytes(json);
    return {Bytes(name.begin(), name.end()), Bytes(body.begin(), body.end())};
}

std::string EventLog::since(std::string_view run, std::int64_t n, std::size_t limit) const {
    const auto count = static_cast<std::int64_t>(kept_.size());
    const std::int64_t oldest = last_ - count + 1;
    // A number of another run says nothing about ours: everything that is kept is new to the asker.
    const std::int64_t after = run.empty() || run == run_ ? n : 0;
    JsonWriter out;
    out.begin_object().field("run", run_).field("oldest", oldest).field("last", last_);
    out.key("events").begin_array();
    std::int64_t next = after >= last_ ? last_ + 1 : std::max(after + 1, oldest);
    for (std::size_t sent = 0; sent < limit && next <= last_; ++sent, ++next) {
        const Kept& event = kept_[static_cast<std::size_t>(next - oldest)];
        std::string json;
        JsonWriter topic;
        topic.begin_object().field("topic", event.topic).end_object();
        json = std::move(topic).take();
        json.back() = ',';
        json.append(event.json, 1);
        out.raw(json);
    }
    out.end_array().end_object();
    return std::move(out).take();
}

}  // namespace hd::wire
