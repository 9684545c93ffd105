// What halfdoor-replay was asked for.
#pragma once

#include <string>
#include <vector>

#include "tools/replay/fault.hpp"
#include "tools/replay/server.hpp"

namespace hd::replay {

struct Options {
    std::vector<std::string> inputs;
    std::string generate;
    int cameras = 0;  // 0: one per file or recipe
    Server::Settings server;
    std::string password_file;
    bool counter = false;
    bool list = false;
    bool json = false;
    double duration_s = 0;  // 0: until a signal
    std::vector<Fault> faults;
    bool commands = false;  // more faults come on standard input
};

// Parses argv. On --help, --version or an error it prints and returns the exit code instead.
struct Parsed {
    Options options;
    int exit_code = -1;  // -1: go on
};
Parsed parse_options(int argc, char** argv);

}  // namespace hd::replay
