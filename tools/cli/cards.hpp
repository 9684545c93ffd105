// Cards as files on the command line.
#pragma once

#include "gateway/ledger/card.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

// Reads and verifies a card. `what` names the option in the error.
Result<ledger::SignedCard> load_card(Context& ctx, const std::string& path, std::string_view what);

// What a person needs to see of a card, fingerprint last.
Row card_facts(const ledger::SignedCard& card);

}  // namespace hd::cli
