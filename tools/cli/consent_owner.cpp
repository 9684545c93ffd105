// requests, show, dismiss: who asked this home, and what about.
#include <fmt/format.h>

#include "gateway/consent/answer.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/owner_session.hpp"

namespace hd::cli {
namespace {

struct RequestsArgs {
    std::string state;
};

struct ShowRequestArgs {
    std::string request;
    std::string owner_card;
    bool note = false;
};

Result<int> requests(Context& ctx, RequestsArgs& args) {
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    const auto question = [](wire::JsonWriter& json) { json.field("limit", 100); };
    HD_TRY(ask_pages(hub, "requests", question, [&](const wire::Reply& reply) -> Result<void> {
        for (const wire::Json& r : reply.body.array_or_empty("requests")) {
            if (!args.state.empty() && r.text_or("state", "") != args.state) continue;
            const auto shown = [&](const char* key) {
                const std::string text = r.text_or(key, "");
                const auto t = parse_rfc3339(text);
                return Cell{key, text, t ? short_time(*t) : text};
            };
            ctx.out.row({{"request", r.text_or("request", "")},
                         {"requester", r.text_or("requester", "")},
                         {"offence", r.text_or("offence", "")},
                         shown("from"),
                         shown("to"),
                         shown("received"),
                         shown("expires"),
                         {"state", r.text_or("state", "")}});
        }
        return {};
    }));
    ctx.out.end_list("Nobody has asked.");
    return kOk;
}

Result<int> show(Context& ctx, ShowRequestArgs& args) {
    HD_ASSIGN(const RequestId id, parse_id<RequestId>(args.request, "request"));
    HD_ASSIGN(OwnerSession session, open_owner_session(ctx, args.owner_card));
    HD_ASSIGN(const FetchedRequest fetched, fetch_request(session, id));
    if (args.note) {
        ctx.out.raw(fetched.trusted.request.bytes);
        return kOk;
    }
    Row facts = request_facts(fetched);
    facts.emplace_back("they_learned", std::string(consent::reveals(fetched.trusted.who.level)));
    ctx.out.facts(facts);
    if (fetched.state == "waiting")
        ctx.note(
            fmt::format("  next: halfdoor approve {0} --key ...   or   halfdoor dismiss {0}   "
                        "or nothing: to the requester that all looks the same until you "
                        "approve",
                        args.request));
    return kOk;
}

Result<int> dismiss(Context& ctx, ShowRequestArgs& args) {
    HD_ASSIGN(const RequestId id, parse_id<RequestId>(args.request, "request"));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    wire::JsonWriter json;
    json.begin_object().field("request", id).end_object();
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "dismiss", json.text()));
    ctx.out.facts({{"request", args.request}, {"state", "dismissed"}});
    ctx.note(
        "Nothing is sent and nothing is written about it; it can still be approved until it "
        "expires.");
    return kOk;
}

}  // namespace

void add_owner_verbs(Frame& frame) {
    auto list = std::make_shared<RequestsArgs>();
    CLI::App* sub = frame.verb("Keys and consent", {"requests", "List who asked",
                                                    "  halfdoor requests --state waiting\n"});
    sub->add_option("--state", list->state, "Only waiting, dismissed, granted, fetched or expired");
    frame.on(sub, list, requests);

    auto one = std::make_shared<ShowRequestArgs>();
    sub = frame.verb("Keys and consent", {"show", "Show one request, verified against your policy",
                                          "  halfdoor show 5f0c... --owner-card owner.card\n"});
    sub->add_option("request", one->request, "Request id (32 hex digits)")->required();
    sub->add_option("--owner-card", one->owner_card, "The owner's card, to verify with");
    sub->add_flag("--note", one->note, "Print the signed note itself");
    frame.on(sub, one, show);

    auto no = std::make_shared<ShowRequestArgs>();
    sub = frame.verb("Keys and consent", {"dismiss", "Put a request away without an answer",
                                          "Silence is the only no: the requester cannot tell it "
                                          "from not looking.\n"});
    sub->add_option("request", no->request, "Request id")->required();
    frame.on(sub, no, dismiss);
    add_approve_verb(frame);
}

}  // namespace hd::cli
