// Where this hub keeps its things, as --data, --config and the default config files tell.
#pragma once

#include <string>

#include "tools/cli/context.hpp"

namespace hd::cli {

struct Folders {
    std::string data;
    std::string runtime;
    std::string config;  // file; empty: none was needed
};

// --config, else ./halfdoor.toml, else /etc/halfdoor/halfdoor.toml, whichever exists.
// invalid if none does; the error says what to do.
Result<std::string> find_config(Context& ctx);
// --data wins; then the runtime folder is <data>/run unless the config speaks of the same data
// folder.
Result<Folders> find_folders(Context& ctx);
Result<std::string> find_data_folder(Context& ctx);

std::string hub_file(const std::string& data, std::string_view name);  // <data>/hub/<name>

}  // namespace hd::cli
