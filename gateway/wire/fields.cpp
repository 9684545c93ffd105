#include "gateway/wire/fields.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gateway/wire/message.hpp"
#include "index/base/crypto.hpp"
#include "index/base/encoding.hpp"

namespace hd::wire {
namespace {

// Ties a cursor to its question. A mix-up is a mistake, not an attack: 32 bits are enough.
std::string question_mark(std::string_view question) {
    const Digest digest = sha256(as_bytes(question));
    return to_hex(ByteView(digest).first(4));
}

bool is_cursor_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '/' || c == '.';
}

}  // namespace

TimeSpan read_window(JsonFields& in) {
    const WallTime from = in.time("from");
    const WallTime to = in.time("to");
    if (!in.ok()) return {};
    if (to <= from) in.fail("to", "must be later than from");
    if (to - from > kMaxQueryWindow) in.fail("to", "must be at most 366 days after from");
    return {from, to};
}

std::string read_cursor(JsonFields& in) {
    const std::string cursor = in.text_or("cursor", "", kMaxCursorBytes);
    if (!std::all_of(cursor.begin(), cursor.end(), is_cursor_char)) {
        in.fail("cursor", "is not one that this hub gave");
        return {};
    }
    return cursor;
}

std::string make_cursor(std::string_view position, std::string_view question) {
    return fmt::format("{}.{}", position, question_mark(question));
}

Result<std::string> open_cursor(std::string_view cursor, std::string_view question) {
    const std::size_t dot = cursor.rfind('.');
    if (dot == std::string_view::npos || dot == 0)
        return Error{ErrorCode::invalid, "cursor: is not one that this hub gave"};
    if (cursor.substr(dot + 1) != question_mark(question))
        return Error{ErrorCode::invalid, "cursor: belongs to another question"};
    return std::string(cursor.substr(0, dot));
}

}  // namespace hd::wire
