// The hub at the other end: connecting as owner, requester or dashboard, and asking.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "gateway/ledger/card.hpp"
#include "gateway/wire/client.hpp"
#include "tools/cli/context.hpp"
#include "tools/cli/where.hpp"

namespace hd::cli {

// Which socket of the hub: `owner.sock`, `dashboard.sock`, `events.sock`, or tcp only.
enum class Endpoint { owner, dashboard, events, requester };

// What a verb needs to know to open a socket by itself (watch).
Result<wire::ClientSettings> hub_settings(Context& ctx, Endpoint endpoint);
// --connect, or the runtime folder's ipc socket. tcp needs --key and --hub-card: the error says
// so. unavailable if nobody can be there (no socket file).
Result<wire::Client> connect_hub(Context& ctx, Endpoint endpoint);

// One question. The hub's own errors become errors here.
Result<wire::Reply> ask_hub(wire::Client& hub, std::string_view verb, std::string_view json = "{}",
                            wire::Frames binary = {});

// Calls `page` for each page of a verb that pages with `cursor`. `fields` writes every member of
// the question but the cursor into an open object.
Result<void> ask_pages(wire::Client& hub, std::string_view verb,
                       const std::function<void(wire::JsonWriter&)>& fields,
                       const std::function<Result<void>(const wire::Reply&)>& page);

// The card named by --hub-card, else <data>/hub/hub.card; a hub's card or invalid.
Result<ledger::SignedCard> load_hub_card(Context& ctx);

// True if a hub answers on its owner socket. Never an error: offline verbs ask this first.
bool hub_is_up(Context& ctx);

// Names of cameras by id, from `cameras`.
Result<std::vector<std::pair<std::string, std::string>>> camera_names(wire::Client& hub);

}  // namespace hd::cli
