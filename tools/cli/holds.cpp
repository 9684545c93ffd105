// hold, holds, unhold: stretches of video that no retention rule may delete.
#include <fmt/format.h>

#include "index/journal/hold_journal.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/when.hpp"

namespace hd::cli {
namespace {

struct HoldArgs {
    std::string from, to, until, why;
    std::vector<std::string> cameras;
    bool all_cameras = false, forever = false;
};

struct NoArgs {};

struct UnholdArgs {
    std::string hold;
};

using Names = std::vector<std::pair<std::string, std::string>>;

// A name of a camera, or the id of one that the hub may no longer know.
Result<std::string> camera_id(const Names& names, const std::string& word) {
    for (const auto& [id, name] : names)
        if (name == word) return id;
    if (auto id = parse_id<CameraId>(word, "--camera"); id) return word;
    return Error{ErrorCode::invalid,
                 "--camera: " + word + " is neither a camera's name nor an id; halfdoor cameras"};
}

Row hold_row(const wire::Json& h, const Names& names) {
    const auto time = [&](const char* key, const char* missing) {
        const std::string text = h.text_or(key, "");
        const auto t = parse_rfc3339(text);
        return Cell{key, text, t ? short_time(*t) : std::string(missing)};
    };
    std::string camera = h.text_or("camera", "");
    for (const auto& [id, name] : names)
        if (id == camera) camera = name;
    return {{"hold", h.text_or("hold", "")},
            {"camera", camera, camera.empty() ? "all" : camera},
            time("from", "-"),
            time("to", "-"),
            time("until", "for ever"),
            {"why", h.text_or("why", "")}};
}

Result<void> check_words(const HoldArgs& args) {
    if (args.cameras.empty() != args.all_cameras)
        return Error{ErrorCode::invalid, "say --camera NAME or --all-cameras, one of them"};
    if (args.until.empty() != args.forever)
        return Error{ErrorCode::invalid, "say --until TIME or --forever, one of them"};
    return {};
}

Result<int> hold(Context& ctx, HoldArgs& args) {
    HD_TRY(check_words(args));
    HD_ASSIGN(const TimeSpan window, ctx.window(args.from, args.to));
    std::optional<WallTime> until;
    if (!args.forever) {
        HD_ASSIGN(until, ctx.when(args.until, "--until"));
    }
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const Names names, camera_names(hub));
    std::vector<std::string> ids;
    for (const std::string& word : args.cameras) {
        HD_ASSIGN(std::string id, camera_id(names, word));
        ids.push_back(std::move(id));
    }
    if (args.all_cameras) ids.emplace_back();
    for (const std::string& id : ids) {
        wire::JsonWriter json;
        json.begin_object().field("from", window.begin).field("to", window.end);
        if (!id.empty()) json.field("camera", id);
        if (until) json.field("until", *until);
        json.field("why", args.why).end_object();
        HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "hold", json.text()));
        ctx.out.row(hold_row(reply.body, names));
    }
    ctx.out.end_list("");
    ctx.note(
        "No rule deletes clips of this window now. They count as before for the limits, so "
        "others go earlier; a disk full of held clips stops the recording.");
    return kOk;
}

Result<int> holds(Context& ctx, NoArgs&) {
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const Names names, camera_names(hub));
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "holds"));
    for (const wire::Json& h : reply.body.array_or_empty("holds")) ctx.out.row(hold_row(h, names));
    ctx.out.end_list("Nothing is held.");
    return kOk;
}

Result<int> unhold(Context& ctx, UnholdArgs& args) {
    HD_ASSIGN(const journal::HoldId id, parse_id<journal::HoldId>(args.hold, "hold"));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    wire::JsonWriter json;
    json.begin_object().field("hold", id).end_object();
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "unhold", json.text()));
    ctx.out.facts({{"hold", args.hold}, {"state", "lifted"}});
    return kOk;
}

}  // namespace

void add_hold_verbs(Frame& frame) {
    auto args = std::make_shared<HoldArgs>();
    CLI::App* sub = frame.verb(
        "The hub",
        {"hold", "Keep the clips of a window, whatever the limits say", std::string(kWhenHelp) + R"(
Every clip that overlaps [from, to), which is at most 366 days long, stays until the hold ends.

  halfdoor hold --camera door --from "yesterday 22:00" --to 06:00 --until +30d --why "insurance"
  halfdoor hold --all-cameras --from -2h --to now --forever
)"});
    sub->add_option("--from", args->from, "Begin")->required();
    sub->add_option("--to", args->to, "End, not included")->required();
    sub->add_option("--camera", args->cameras, "Id or name; may be repeated");
    sub->add_flag("--all-cameras", args->all_cameras, "Every camera");
    sub->add_option("--until", args->until, "When the hold ends by itself");
    sub->add_flag("--forever", args->forever, "Until it is lifted");
    sub->add_option("--why", args->why, "A few words for yourself (at most 200 bytes)");
    frame.on(sub, args, hold);

    auto none = std::make_shared<NoArgs>();
    sub = frame.verb("The hub", {"holds", "List what is held", "  halfdoor holds --json\n"});
    frame.on(sub, none, holds);

    auto which = std::make_shared<UnholdArgs>();
    sub = frame.verb("The hub", {"unhold", "Lift a hold",
                                 "What is over a limit then is deleted within seconds.\n"});
    sub->add_option("hold", which->hold, "Id of the hold (32 hex digits)")->required();
    frame.on(sub, which, unhold);
}

}  // namespace hd::cli
