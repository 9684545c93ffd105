// Where policies come from on this side: a file, the hub, its data folder, or this tool's memory.
#pragma once

#include <optional>
#include <string>

#include "gateway/consent/policy.hpp"
#include "gateway/ledger/card.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

// Whose signature counts: --owner-card, else --key, else <data>/hub/owner.card, in this order.
Result<ledger::NoteKey> find_owner_key(Context& ctx, const std::string& owner_card);

// The ruling policy under this owner: from the hub if it is up or --connect was given, else the
// newest valid one of <data>/policy. Nothing if the hub has none yet.
Result<std::optional<consent::SignedPolicy>> present_policy(Context& ctx,
                                                            const ledger::NoteKey& owner);

// <data>/policy/<n>.note, the chain from 1 on; a file that does not follow is an error.
Result<std::optional<consent::SignedPolicy>> policy_in_folder(const std::string& data,
                                                              const ledger::NoteKey& owner);
// Checks that it may follow and writes <data>/policy/<n>.note. Only while no hub runs there.
Result<void> store_policy_in_folder(const std::string& data, const consent::SignedPolicy& next,
                                    const consent::SignedPolicy* present);

// What this tool remembers of a hub, under <state>/hubs/<hub id>: its card, and the newest policy
// that it saw. A hub that shows an older policy, or another one of the same number, is refused: it
// was restored from an old copy, or it lies.
struct HubMemory {
    std::string folder;
    std::optional<std::string> card;
    std::optional<std::string> policy;
};
Result<HubMemory> recall_hub(Context& ctx, const HubId& hub);
Result<void> check_against_memory(const HubMemory& memory, const consent::SignedPolicy& seen,
                                  const ledger::NoteKey& owner);
Result<void> remember_policy(Context& ctx, const consent::SignedPolicy& seen);
Result<void> remember_card(Context& ctx, const HubId& hub, std::string_view card);

// A camera by id or by name, from the hub or the config. The error lists the names.
Result<CameraId> resolve_camera(Context& ctx, const std::string& text);

// Ids of every configured camera, from the hub or the config.
Result<std::vector<std::string>> all_camera_ids(Context& ctx);

// "40.71,-74.01" (degrees), rounded to the policy's cell.
Result<consent::Cell> parse_cell(std::string_view text);

// A person's summary of a policy, or one JSON object.
void show_policy(Context& ctx, const consent::SignedPolicy* signed_policy,
                 const consent::Policy& policy);

}  // namespace hd::cli
