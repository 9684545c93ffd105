// watch: live events until Ctrl-C, with what was missed in between.
#include <algorithm>
#include <csignal>

#include <fmt/format.h>

#include "tools/cli/app.hpp"
#include "tools/cli/hub.hpp"

namespace hd::cli {
namespace {

struct WatchArgs {
    std::vector<std::string> topics;
    std::int64_t count = 0;
    int seconds = 0;
    std::string events;
};

volatile std::sig_atomic_t stop_asked = 0;

extern "C" void on_interrupt(int) { stop_asked = 1; }

// The facts of an event for a person: everything but what every event has.
std::string fact_text(const wire::Json& body) {
    std::string out;
    const auto* members = body.as_object();
    if (members == nullptr) return out;
    for (const auto& [key, value] : *members) {
        if (key == "run" || key == "n" || key == "time" || key == "topic") continue;
        wire::JsonWriter json;
        wire::write_json(json, value);
        std::string text = value.as_text() != nullptr ? *value.as_text() : json.text();
        out += fmt::format("{}{}={}", out.empty() ? "" : " ", key,
                           text.find(' ') != std::string::npos ? json.text() : text);
    }
    return out;
}

void show(Context& ctx, const std::string& topic, const wire::Json& body, const std::string& raw) {
    if (ctx.out.format() == Format::json) {
        // The topic travels in a frame of its own; a line of JSON needs it inside.
        ctx.out.raw(fmt::format("{{\"topic\":\"{}\",{}\n", topic, raw.substr(1)));
    } else {
        const auto time = parse_rfc3339(body.text_or("time", ""));
        ctx.out.raw(
            fmt::format("{}\t{}\t{}\n", time ? short_time(*time) : "-", topic, fact_text(body)));
    }
    ctx.out.flush();
}

bool wanted(const WatchArgs& args, const std::string& topic) {
    return args.topics.empty() ||
           std::any_of(args.topics.begin(), args.topics.end(),
                       [&](const auto& prefix) { return topic.starts_with(prefix); });
}

// An event as `events.since` gives it: its topic is inside.
void show_kept(Context& ctx, const std::string& topic, const wire::Json& event) {
    if (ctx.out.format() != Format::json) return show(ctx, topic, event, {});
    wire::JsonWriter text;
    wire::write_json(text, event);
    ctx.out.raw(text.text() + "\n");
    ctx.out.flush();
}

// Events that a slow reader lost are still in the hub's memory for a while.
std::int64_t show_missed(Context& ctx, const WatchArgs& args, const std::string& run,
                         std::int64_t after, std::int64_t before) {
    std::int64_t shown = 0;
    auto hub = connect_hub(ctx, Endpoint::owner);
    if (!hub) return 0;
    wire::JsonWriter json;
    json.begin_object().field("run", run).field("n", after);
    json.field("limit", std::min<std::int64_t>(before - after - 1, 1000)).end_object();
    const auto reply = ask_hub(*hub, "events.since", json.text());
    if (!reply) return 0;
    for (const wire::Json& e : reply->body.array_or_empty("events")) {
        const std::string topic = e.text_or("topic", "");
        if (e.int_or("n", 0) >= before) break;
        if (!wanted(args, topic)) continue;
        show_kept(ctx, topic, e);
        ++shown;
    }
    return shown;
}

Result<int> follow(Context& ctx, WatchArgs& args, wire::Subscriber& events) {
    const BootTime end = ctx.clock.boot() + std::chrono::seconds(args.seconds);
    std::int64_t shown = 0, last = 0;
    std::string run;
    while (stop_asked == 0 && (args.count == 0 || shown < args.count)) {
        if (args.seconds > 0 && ctx.clock.boot() >= end) break;
        HD_ASSIGN(const auto event, events.next(std::chrono::milliseconds(200)));
        if (!event) continue;
        if (event->run != run) {
            if (!run.empty()) ctx.note("The hub was restarted: events are numbered anew.");
            run = event->run;
        } else if (event->number > last + 1 && args.topics.empty()) {
            shown += show_missed(ctx, args, run, last, event->number);
        }
        last = event->number;
        show(ctx, event->topic, event->body, event->json);
        ++shown;
    }
    // --count not reached in --seconds: for a script that waits for something, that is a "no".
    return args.count > 0 && shown < args.count && stop_asked == 0 ? kNo : kOk;
}

// From far away the owner has the owner endpoint only: the same events, asked for twice a second.
Result<int> follow_by_asking(Context& ctx, WatchArgs& args) {
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const wire::Reply hello, ask_hub(hub, "hello"));
    const wire::Json* events = hello.body.find("events");
    std::string run = events != nullptr ? events->text_or("run", "") : "";
    std::int64_t last = events != nullptr ? events->int_or("last", 0) : 0, shown = 0;
    const BootTime end = ctx.clock.boot() + std::chrono::seconds(args.seconds);
    while (stop_asked == 0 && (args.count == 0 || shown < args.count)) {
        if (args.seconds > 0 && ctx.clock.boot() >= end) break;
        wire::JsonWriter json;
        json.begin_object().field("run", run).field("n", last).field("limit", 100).end_object();
        HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "events.since", json.text()));
        if (reply.body.text_or("run", "") != run) {
            ctx.note("The hub was restarted: events are numbered anew.");
            run = reply.body.text_or("run", "");
            last = 0;
            continue;
        }
        const auto& found = reply.body.array_or_empty("events");
        for (const wire::Json& event : found) {
            last = event.int_or("n", last);
            const std::string topic = event.text_or("topic", "");
            if (!wanted(args, topic) || (args.count > 0 && shown == args.count)) continue;
            show_kept(ctx, topic, event);
            ++shown;
        }
        if (found.empty()) ctx.clock.sleep_until(ctx.clock.boot() + std::chrono::milliseconds(500));
    }
    return args.count > 0 && shown < args.count && stop_asked == 0 ? kNo : kOk;
}

// --connect names the owner's socket; events have one of their own beside it.
std::string events_address(const std::string& connect, const std::string& events) {
    const std::string_view owner = "owner.sock";
    if (events.empty() && connect.starts_with("ipc://") && connect.ends_with(owner))
        return connect.substr(0, connect.size() - owner.size()) + "events.sock";
    return events;
}

Result<int> follow_socket(Context& ctx, WatchArgs& args) {
    const std::string connect = ctx.opt.connect;
    ctx.opt.connect = events_address(connect, args.events);
    auto settings = hub_settings(ctx, Endpoint::events);
    ctx.opt.connect = connect;
    if (!settings) return settings.error();
    HD_ASSIGN(wire::Subscriber events, wire::Subscriber::open(std::move(*settings), args.topics));
    return follow(ctx, args, events);
}

Result<int> watch(Context& ctx, WatchArgs& args) {
    stop_asked = 0;
    const auto old_int = std::signal(SIGINT, on_interrupt);
    const auto old_term = std::signal(SIGTERM, on_interrupt);
    const bool far = ctx.opt.connect.starts_with("tcp://") && args.events.empty();
    auto done = far ? follow_by_asking(ctx, args) : follow_socket(ctx, args);
    std::signal(SIGINT, old_int);
    std::signal(SIGTERM, old_term);
    return done;
}

}  // namespace

void add_watch_verb(Frame& frame) {
    auto args = std::make_shared<WatchArgs>();
    CLI::App* sub = frame.verb(
        "The hub", {"watch", "Follow live events until Ctrl-C",
                    R"(Topics: clip.opened clip.closed clip.deleted camera.state gap request health.

  halfdoor watch
  halfdoor watch --topic clip.closed --count 3 --json
  halfdoor watch --topic request --count 1 --seconds 60 || echo "nobody asked"
)"});
    sub->add_option("--topic", args->topics, "Only topics that begin so; may be repeated");
    sub->add_option("--count", args->count, "End after so many events")->check(CLI::PositiveNumber);
    sub->add_option("--seconds", args->seconds,
                    "End after so many seconds (exit 1 if --count was not reached)")
        ->check(CLI::PositiveNumber);
    sub->add_option("--events", args->events,
                    "Address of the events endpoint (default events.sock beside owner.sock)");
    frame.on(sub, args, watch);
}

}  // namespace hd::cli
