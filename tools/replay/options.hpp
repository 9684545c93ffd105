// What halfdoor-replay was asked for.
#pragma once

#include <string>
#include <vector>

#include "tools/replay/server.hpp"

namespace hd::replay {

enum class FaultKind { stall, skip, reset, close, freeze };

// A fault on the timetable, from the first frame on.
struct Fault {
    std::string camera;  // its name, or its number from 1 in the list
    FaultKind kind = FaultKind::stall;
    Micros at{0};
    double amount = 0;  // seconds of stall and freeze, frames of skip
};
// "CAMERA,KIND,AT[,AMOUNT]". invalid: names the fault and the rule.
Result<Fault> parse_fault(std::string_view text);

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
};

// Parses argv. On --help, --version or an error it prints and returns the exit code instead.
struct Parsed {
    Options options;
    int exit_code = -1;  // -1: go on
};
Parsed parse_options(int argc, char** argv);

}  // namespace hd::replay
