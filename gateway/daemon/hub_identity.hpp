// Who this hub is and whose it is: what `halfdoor init` left in <data>/hub.
#pragma once

#include <string>

#include "gateway/ledger/card.hpp"
#include "index/base/files.hpp"

namespace hd::daemon {

// Moves only: holds the hub's note key.
struct HubIdentity {
    HubId id;
    ledger::NoteSigner signer;
    // Keys the labels of answers and the tags of cases: derived from the hub's key, never leaves.
    Secret<32> answer_secret;
    std::string card;  // exact bytes; empty if there is no hub.card
    ledger::SignedCard owner;
    bool owner_key_here = false;  // somebody keeps the owner's secret on this hub
};

// not_found: `halfdoor init` has not been run. corrupt, invalid or refused: a file of it is wrong;
// the error names it.
Result<HubIdentity> read_hub_identity(FileSystem& fs, const std::string& data_folder);

}  // namespace hd::daemon
