// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace hd::wire {

// Length in bytes of the character that begins at text[at]; 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at);
// The first byte that is not UTF-8, or npos.
std::size_t utf8_bad_byte(std::string_view text);

}  // namespace hd::wire
