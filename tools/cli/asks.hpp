// What a requester's tool keeps of each request it sent: <state>/asks/<request id>/ with
// request.note, private.txt, answer.note, hub.card and granter cards; mode 0700. Needed to verify
// the release.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/consent/release.hpp"
#include "gateway/ledger/card.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

// --owner-card options of the requester's verbs: whose grants count.
struct TrustOptions {
    std::vector<std::string> owner_cards;
    std::string saved;  // folder of `ask --save`; empty: the tool's own memory
};

Result<std::string> ask_folder(Context& ctx, const RequestId& request);

// Without --hub-card: the hub's card that was kept with the request, if it was.
Result<void> use_kept_hub_card(Context& ctx, const TrustOptions& options, const RequestId& request);

// What a release must fit: the request as sent, the hub's and the owner's keys. `release_folder`
// may be empty; else its own request.note serves if nothing was kept (it must be signed by our
// key). `identities` must outlive the result.
Result<consent::ReleaseTrust> release_trust(Context& ctx, const TrustOptions& options,
                                            const std::optional<RequestId>& request,
                                            const std::string& release_folder,
                                            std::span<const seal::Identity> identities);

}  // namespace hd::cli
