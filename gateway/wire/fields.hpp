// Fields that several verbs share: windows, limits, cursors. Pure.
#pragma once

#include "gateway/wire/json.hpp"

namespace hd::wire {

// Longest window of one question. Longer history is asked for in parts.
constexpr Micros kMaxQueryWindow = std::chrono::hours(24 * 366);

// Reads `from` and `to`, half-open, from < to, at most kMaxQueryWindow. The error is in `in`.
TimeSpan read_window(JsonFields& in);
// `cursor`: missing or empty gives nothing; otherwise printable ASCII without spaces, at most
// kMaxCursorBytes.
std::string read_cursor(JsonFields& in);

// A cursor says where the next page begins and for which question: "<position>.<question>".
// `position` is the caller's text (a-z A-Z 0-9 - _ /), `question` any bytes that identify it (they
// are hashed). A cursor of another question is refused as invalid.
std::string make_cursor(std::string_view position, std::string_view question);
Result<std::string> open_cursor(std::string_view cursor, std::string_view question);

}  // namespace hd::wire
