// What a program that runs `halfdoor` learns from its exit code. Documented in docs/cli.md.
#pragma once

#include "index/base/result.hpp"

namespace hd::cli {

enum Exit : int {
    kOk = 0,
    kNo = 1,           // refused, not there, or a check that found something: the answer is "no"
    kUsage = 2,        // the command line, the config or a given file breaks a rule
    kUnreachable = 3,  // hub or disk did not answer: later may work
    kDamaged = 4,      // bytes are not what they must be
    kExhausted = 5,    // a limit: disk, memory, quota
};

inline Exit exit_for(ErrorCode code) {
    switch (code) {
        case ErrorCode::not_found:
        case ErrorCode::refused:
            return kNo;
        case ErrorCode::invalid:
            return kUsage;
        case ErrorCode::unavailable:
            return kUnreachable;
        case ErrorCode::corrupt:
            return kDamaged;
        case ErrorCode::exhausted:
            return kExhausted;
    }
    return kUsage;
}

}  // namespace hd::cli
