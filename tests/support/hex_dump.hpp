// Bytes as the worked examples of docs/formats show them: 16 a line, the offset before them.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>

#include "index/base/bytes.hpp"

namespace hd::test {

inline std::vector<std::string> hex_dump(ByteView bytes) {
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        if (at % 16 == 0) lines.push_back(fmt::format("{:04x} ", at));
        lines.back() += fmt::format(" {:02x}", bytes[at]);
    }
    return lines;
}

}  // namespace hd::test
