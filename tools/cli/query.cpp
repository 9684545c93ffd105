// status, cameras, clips: what the hub tells its owner and its dashboards.
#include <fmt/format.h>

#include "tools/cli/app.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/when.hpp"

namespace hd::cli {
namespace {

struct NoArgs {};

struct ClipsArgs {
    std::string from = "-1h", to = "now";
    std::vector<std::string> cameras;
    bool gaps = false;
};

std::uint64_t natural(const wire::Json& json, std::string_view key) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, json.int_or(key, 0)));
}

// RFC 3339 from the hub, shortened for people; anything else as it is.
std::string short_utc(const std::string& text) {
    const auto t = parse_rfc3339(text);
    return t ? short_time(*t) : text.empty() ? "-" : text;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

void show_status_head(Context& ctx, const wire::Json& s) {
    static const wire::Json kNone;
    const auto part = [&](std::string_view key) -> const wire::Json& {
        const wire::Json* found = s.find(key);
        return found != nullptr ? *found : kNone;
    };
    const std::string until = s.text_or("durable_until", "");
    const wire::Json &policy = part("policy"), &disk = part("disk"), &index = part("index");
    ctx.out.facts({
        {"hub", s.text_or("hub", "")},
        {"version", s.text_or("version", "")},
        {"time", s.text_or("time", ""), short_utc(s.text_or("time", ""))},
        {"started", s.text_or("started", ""), short_utc(s.text_or("started", ""))},
        {"clock", s.text_or("clock", "")},
        {"durable_until", until,
         until.empty()
             ? "no camera is recording"
             : fmt::format("{} ({} ms ago)", short_utc(until), s.int_or("durable_age_ms", 0))},
        {"policy", policy.int_or("number", 0),
         fmt::format("number {}, {} can open video, {} may ask", policy.int_or("number", 0),
                     policy.int_or("recipients", 0), policy.int_or("requesters", 0))},
        {"clips", natural(disk, "clips"),
         fmt::format("{} in {}", natural(disk, "clips"),
                     short_bytes(natural(disk, "stored_bytes")))},
        {"disk_free", natural(disk, "free_bytes"),
         fmt::format("{} of {} at {}", short_bytes(natural(disk, "free_bytes")),
                     short_bytes(natural(disk, "total_bytes")), disk.text_or("data_folder", ""))},
        {"index", index.text_or("state", ""),
         fmt::format("{}, {} rows", index.text_or("state", ""), natural(index, "rows"))},
    });
}

void show_status_lists(Context& ctx, const wire::Json& s) {
    ctx.out.say("");
    for (const wire::Json& c : s.array_or_empty("cameras"))
        ctx.out.row(
            {{"camera", c.text_or("name", "")},
             {"state", c.text_or("state", "")},
             {"since", c.text_or("since", ""), short_utc(c.text_or("since", ""))},
             {"codec", c.text_or("codec", "")},
             {"size", fmt::format("{}x{}", c.int_or("width", 0), c.int_or("height", 0))},
             {"encoder", c.text_or("encoder", "")},
             {"frames", natural(c, "frames")},
             {"dropped", natural(c, "dropped_frames")},
             {"clips", natural(c, "clips")},
             {"stored", natural(c, "stored_bytes"), short_bytes(natural(c, "stored_bytes"))},
             {"detail", c.text_or("detail", "")}});
    ctx.out.end_list("No camera is configured: add one to the config.");
    ctx.out.say("");
    for (const wire::Json& w : s.array_or_empty("walls"))
        ctx.out.row({{"wall", w.text_or("name", "")},
                     {"state", w.text_or("state", "")},
                     {"detail", w.text_or("detail", "")}});
    ctx.out.end_list("");
    for (const wire::Json& w : s.array_or_empty("warnings"))
        ctx.out.say(
            fmt::format("\nWarning ({}): {}", w.text_or("name", ""), w.text_or("text", "")));
}

Result<int> status(Context& ctx, NoArgs&) {
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "status"));
    if (ctx.out.format() == Format::json) {
        ctx.out.raw(reply.json + "\n");
        return kOk;
    }
    if (ctx.out.format() == Format::text) show_status_head(ctx, reply.body);
    show_status_lists(ctx, reply.body);
    return kOk;
}

Result<int> cameras(Context& ctx, NoArgs&) {
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "cameras"));
    for (const wire::Json& c : reply.body.array_or_empty("cameras"))
        ctx.out.row({{"camera", c.text_or("camera", "")},
                     {"name", c.text_or("name", "")},
                     {"state", c.text_or("state", "")},
                     {"enabled", c.bool_or("enabled", true)},
                     {"encode", c.text_or("encode", "")},
                     {"since", c.text_or("since", ""), short_utc(c.text_or("since", ""))}});
    ctx.out.end_list("No camera is configured: add a [[camera]] to the config.");
    return kOk;
}

std::string name_of(const std::vector<std::pair<std::string, std::string>>& names,
                    const std::string& id) {
    for (const auto& [camera, name] : names)
        if (camera == id) return name;
    return id;
}

Row clip_row(const wire::Json& c, const std::string& name) {
    const auto begin = parse_rfc3339(c.text_or("begin", ""));
    const auto end = parse_rfc3339(c.text_or("end", ""));
    const Micros length = begin && end ? *end - *begin : Micros(0);
    return {{"camera", c.text_or("camera", ""), name},
            {"begin", c.text_or("begin", ""), short_utc(c.text_or("begin", ""))},
            {"end", c.text_or("end", ""), short_utc(c.text_or("end", ""))},
            {"seconds", static_cast<double>(length.count()) / 1e6, short_duration(length)},
            {"bytes", natural(c, "bytes"), short_bytes(natural(c, "bytes"))},
            {"frames", natural(c, "frames")},
            {"state", c.text_or("state", "")},
            {"clip", c.text_or("clip", "")}};
}

Row gap_row(const wire::Json& g, const std::string& name) {
    const std::string end = g.text_or("end", "");
    return {{"camera", g.text_or("camera", ""), name},
            {"begin", g.text_or("begin", ""), short_utc(g.text_or("begin", ""))},
            {"end", text_or_null(end), end.empty() ? "goes on" : short_utc(end)},
            {"cause", g.text_or("cause", "")}};
}

// One JSON object a line has no headings: each says what it is.
void tag(Context& ctx, Row& row, const char* record) {
    if (ctx.out.format() == Format::json) row.insert(row.begin(), Cell{"record", record});
}

void write_cameras(wire::JsonWriter& json, const ClipsArgs& args) {
    if (args.cameras.empty()) return;
    json.key("cameras").begin_array();
    for (const auto& camera : args.cameras) json.value(camera);
    json.end_array();
}

// A hub gives so many gaps at once; what it kept back begins at `until`.
Result<void> more_gaps(wire::Client& hub, const ClipsArgs& args, TimeSpan window, std::string until,
                       const std::function<void(const wire::Json&)>& each) {
    while (!until.empty()) {
        HD_ASSIGN(const WallTime from, parse_rfc3339(until));
        if (from <= window.begin) return Error{ErrorCode::corrupt, "the hub repeats its gaps"};
        window.begin = from;
        wire::JsonWriter json;
        json.begin_object().field("from", window.begin).field("to", window.end);
        json.field("limit", 1).field("gaps", true);
        write_cameras(json, args);
        json.end_object();
        HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "clips", json.text()));
        for (const wire::Json& g : reply.body.array_or_empty("gaps")) {
            const auto begin = parse_rfc3339(g.text_or("begin", ""));
            if (begin && *begin >= from) each(g);
        }
        until = reply.body.text_or("gaps_until", "");
    }
    return {};
}

Result<int> clips(Context& ctx, ClipsArgs& args) {
    HD_ASSIGN(const TimeSpan window, ctx.window(args.from, args.to));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const auto names, camera_names(hub));
    const auto question = [&](wire::JsonWriter& json) {
        json.field("from", window.begin).field("to", window.end).field("limit", 1000);
        json.field("open", true);
        if (args.gaps) json.field("gaps", true);
        write_cameras(json, args);
    };
    std::vector<Row> gaps;
    const auto keep_gap = [&](const wire::Json& g) {
        gaps.push_back(gap_row(g, name_of(names, g.text_or("camera", ""))));
    };
    std::string gaps_until;
    std::string complete_from;
    HD_TRY(ask_pages(hub, "clips", question, [&](const wire::Reply& reply) -> Result<void> {
        for (const wire::Json& c : reply.body.array_or_empty("clips")) {
            Row row = clip_row(c, name_of(names, c.text_or("camera", "")));
            tag(ctx, row, "clip");
            ctx.out.row(std::move(row));
        }
        for (const wire::Json& g : reply.body.array_or_empty("gaps")) keep_gap(g);
        if (const auto until = reply.body.text_or("gaps_until", ""); !until.empty())
            gaps_until = until;
        complete_from = reply.body.text_or("complete_from", "");
        return {};
    }));
    ctx.out.end_list("No clip overlaps this window.");
    if (args.gaps) {
        HD_TRY(more_gaps(hub, args, window, gaps_until, keep_gap));
        ctx.out.say("");
        for (Row& row : gaps) {
            tag(ctx, row, "gap");
            ctx.out.row(std::move(row));
        }
        ctx.out.end_list("No gap in this window.");
    }
    if (const auto from = parse_rfc3339(complete_from); from && *from > window.begin)
        ctx.warn(fmt::format("The index is being rebuilt: clips before {} may be missing here.",
                             short_time(*from)));
    return kOk;
}

}  // namespace

void add_query_verbs(Frame& frame) {
    auto none = std::make_shared<NoArgs>();
    CLI::App* sub = frame.verb("The hub", {"status", "How the hub and its cameras are",
                                           "  halfdoor status --json | jq .durable_age_ms\n"});
    frame.on(sub, none, status);
    sub = frame.verb("The hub", {"cameras", "List the cameras", "  halfdoor cameras --tsv\n"});
    frame.on(sub, none, cameras);

    auto args = std::make_shared<ClipsArgs>();
    sub = frame.verb("The hub",
                     {"clips", "List clips (and gaps) of a window", std::string(kWhenHelp) + R"(
A clip is listed if it overlaps [from, to). Clips that are being written are listed as open.

  halfdoor clips --from -2h --gaps
  halfdoor clips --from "yesterday 22:00" --to 06:00 --camera door --json
)"});
    sub->add_option("--from", args->from, "Begin (default -1h)");
    sub->add_option("--to", args->to, "End, not included (default now)");
    sub->add_option("--camera", args->cameras, "Id or name; may be repeated (default all)");
    sub->add_flag("--gaps", args->gaps, "Also the stretches without video, with their causes");
    frame.on(sub, args, clips);
    add_watch_verb(frame);
}

}  // namespace hd::cli
