#include "index/base/result.hpp"

#include <cstdio>
#include <cstdlib>

namespace hd {

std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::not_found:
            return "not_found";
        case ErrorCode::corrupt:
            return "corrupt";
        case ErrorCode::unavailable:
            return "unavailable";
        case ErrorCode::exhausted:
            return "exhausted";
        case ErrorCode::invalid:
            return "invalid";
        case ErrorCode::refused:
            return "refused";
    }
    return "unknown";
}

void check_failed(const char* expr, const char* file, int line) {
    std::fprintf(stderr, "halfdoor: internal check failed: %s (%s:%d)\n", expr, file, line);
    std::abort();
}

}  // namespace hd
