// Precompiled for every file of this folder: these headers are most of the time it takes to compile
// a verb. Nothing may rely on it: each file includes what it uses.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
