// The person's secret, as the verbs use it.
#pragma once

#include "index/seal/key_file.hpp"
#include "tools/cli/context.hpp"

namespace hd::cli {

// The one identity in --key (or standard input for "-"). The error says what to do: no --key given,
// a passphrase-protected file (`age -d` first), several keys in one file.
Result<seal::Identity> load_identity(Context& ctx);

}  // namespace hd::cli
