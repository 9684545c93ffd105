#include "tools/cli/hub.hpp"

#include <fmt/format.h>

#include "gateway/ledger/hub_folder.hpp"
#include "tools/cli/cards.hpp"
#include "tools/cli/keys.hpp"

namespace hd::cli {
namespace {

std::string_view name_of(Endpoint endpoint) {
    switch (endpoint) {
        case Endpoint::owner:
            return "owner";
        case Endpoint::dashboard:
            return "dashboard";
        case Endpoint::events:
            return "events";
        case Endpoint::requester:
            return "requester";
    }
    return "owner";
}

ledger::CurveUse use_of(Endpoint endpoint) {
    switch (endpoint) {
        case Endpoint::owner:
            return ledger::CurveUse::owner;
        case Endpoint::dashboard:
            return ledger::CurveUse::dashboard;
        case Endpoint::events:
            return ledger::CurveUse::events;
        case Endpoint::requester:
            return ledger::CurveUse::requester;
    }
    return ledger::CurveUse::owner;
}

// Both halves of CURVE: our key from the one secret, the hub's from its card.
Result<void> add_curve(Context& ctx, Endpoint endpoint, wire::ClientSettings& settings) {
    if (ctx.opt.hub_card.empty() || ctx.opt.key.empty())
        return with_next(
            Error{ErrorCode::invalid, settings.address + ": tcp needs both keys of the connection"},
            "add --key FILE (your secret) and --hub-card FILE (the hub's card, from its owner)");
    HD_ASSIGN(const ledger::SignedCard card, load_hub_card(ctx));
    const ledger::CurvePublic* server = card.card.curve_for(use_of(endpoint));
    if (server == nullptr)
        return Error{ErrorCode::invalid, fmt::format("{}: this hub's card has no key for \"{}\"",
                                                     ctx.opt.hub_card, name_of(endpoint))};
    HD_ASSIGN(const seal::Identity identity, load_identity(ctx));
    settings.server_key = *server;
    settings.key = wire::CurveKey::from_secret(ledger::derive_curve_secret(identity.secret));
    return {};
}

}  // namespace

Result<wire::ClientSettings> hub_settings(Context& ctx, Endpoint endpoint) {
    wire::ClientSettings settings;
    settings.address = ctx.opt.connect;
    settings.timeout = std::chrono::seconds(ctx.opt.timeout_s);
    if (settings.address.empty()) {
        if (endpoint == Endpoint::requester)
            return with_next(Error{ErrorCode::invalid, "this needs the hub's address"},
                             "add --connect tcp://HOST:PORT (its owner tells you)");
        HD_ASSIGN(const Folders folders, find_folders(ctx));
        const std::string path = join(folders.runtime, fmt::format("{}.sock", name_of(endpoint)));
        if (!real_file_system().exists(path))
            return with_next(Error{ErrorCode::unavailable, "no hub runs here: no " + path},
                             folders.config.empty()
                                 ? "start it: halfdoord --config halfdoor.toml"
                                 : fmt::format("start it: halfdoord --config {}", folders.config));
        settings.address = "ipc://" + path;
    }
    if (settings.address.starts_with("tcp://")) HD_TRY(add_curve(ctx, endpoint, settings));
    return settings;
}

Result<wire::Client> connect_hub(Context& ctx, Endpoint endpoint) {
    HD_ASSIGN(wire::ClientSettings settings, hub_settings(ctx, endpoint));
    return wire::Client::open(std::move(settings));
}

Result<wire::Reply> ask_hub(wire::Client& hub, std::string_view verb, std::string_view json,
                            wire::Frames binary) {
    auto reply = wire::ok_reply(hub.ask(verb, json, std::move(binary)));
    if (!reply && reply.error().what.find("does not know our key") != std::string::npos)
        return with_next(reply.error(),
                         "check --key; a requester must be named in the policy, an "
                         "owner or approver must be theirs");
    if (!reply && reply.error().code == ErrorCode::unavailable &&
        reply.error().what.find("no answer") != std::string::npos)
        return with_next(reply.error(),
                         "is the hub running? Check the address, and --hub-card: a hub with "
                         "another key does not answer at all");
    return reply;
}

Result<void> ask_pages(wire::Client& hub, std::string_view verb,
                       const std::function<void(wire::JsonWriter&)>& fields,
                       const std::function<Result<void>(const wire::Reply&)>& page) {
    std::string cursor;
    do {
        wire::JsonWriter json;
        json.begin_object();
        fields(json);
        if (!cursor.empty()) json.field("cursor", cursor);
        json.end_object();
        HD_ASSIGN(const wire::Reply reply, ask_hub(hub, verb, json.text()));
        HD_TRY(page(reply));
        const std::string next = reply.body.text_or("cursor", "");
        if (!next.empty() && next == cursor)
            return Error{ErrorCode::corrupt, "the hub sends the same page again and again"};
        cursor = next;
    } while (!cursor.empty());
    return {};
}

Result<ledger::SignedCard> load_hub_card(Context& ctx) {
    std::string path = ctx.opt.hub_card;
    if (path.empty()) {
        HD_ASSIGN(const std::string data, find_data_folder(ctx));
        path = hub_file(data, ledger::kHubCardFile);
    }
    HD_ASSIGN(ledger::SignedCard card, load_card(ctx, path, "--hub-card"));
    if (card.card.kind != ledger::CardKind::hub)
        return Error{ErrorCode::invalid,
                     fmt::format("{} is the card of {} {}, not of a hub", path,
                                 ledger::to_string(card.card.kind), card.card.name)};
    return card;
}

bool hub_is_up(Context& ctx) {
    auto settings = hub_settings(ctx, Endpoint::owner);
    if (!settings) return false;
    settings->timeout = std::chrono::seconds(2);
    auto hub = wire::Client::open(std::move(*settings));
    return hub && hub->ask("hello", "{}").ok();
}

Result<std::vector<std::pair<std::string, std::string>>> camera_names(wire::Client& hub) {
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "cameras"));
    std::vector<std::pair<std::string, std::string>> out;
    for (const wire::Json& camera : reply.body.array_or_empty("cameras"))
        out.emplace_back(camera.text_or("camera", ""), camera.text_or("name", ""));
    return out;
}

}  // namespace hd::cli
