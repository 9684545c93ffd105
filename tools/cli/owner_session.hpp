// The owner's side of consent: a hub that is believed only as far as signatures reach.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gateway/consent/approval.hpp"
#include "gateway/wire/client.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

// Who we are, which hub this is, and the policy that rules it: verified, not older than what this
// tool has seen.
struct OwnerSession {
    wire::Client hub;
    std::optional<seal::Identity> identity;    // none: reading only
    std::optional<ledger::NoteSigner> signer;  // the owner's, or the approver's
    ledger::NoteKey owner;
    HubId hub_id;
    consent::SignedPolicy policy;
    // Names as this tool remembers them: a hub that swaps two names does not get the wrong camera
    // approved unnoticed.
    std::vector<std::pair<std::string, std::string>> names;  // id, name

    std::string name_of(const CameraId& camera) const;
    Result<CameraId> camera(const std::string& id_or_name) const;
};
// With --key: ours, ready to sign. Without: for reading, under the owner of find_owner_key().
Result<OwnerSession> open_owner_session(Context& ctx, const std::string& owner_card);

// A request, fetched and verified against the policy. `body` is empty if the hub has none (any
// more); otherwise it is the one that the note commits to.
struct FetchedRequest {
    consent::TrustedRequest trusted;
    std::optional<consent::PrivateBody> body;
    std::string state;
    std::string answer;
};
Result<FetchedRequest> fetch_request(OwnerSession& session, const RequestId& id);
Row request_facts(const FetchedRequest& request);

}  // namespace hd::cli
