#include "gateway/ledger/fields.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/encoding.hpp"

namespace hd::ledger {
namespace {

Error invalid_at(std::string_view format, std::size_t line, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("{}: line {}: {}", format, line, rule)};
}

bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

std::string_view trim(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace

Result<FieldReader> FieldReader::open(std::string_view text, std::string_view format,
                                      TextForm form) {
    FieldReader reader;
    reader.format_ = format;
    const bool draft = form == TextForm::draft;
    bool named = false;
    std::size_t number = 0;
    while (!text.empty()) {
        ++number;
        const std::size_t end = text.find('\n');
        if (end == text.npos && !draft) return invalid_at(format, number, "must end in a newline");
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
        if (draft) line = trim(line);
        if (draft && (line.empty() || line.front() == '#')) continue;
        if (!is_printable(line)) return invalid_at(format, number, "must be printable ASCII");
        if (!named) {
            if (line != format)
                return invalid_at(format, number, fmt::format("must be \"{}\"", format));
            named = true;
            continue;
        }
        const std::size_t space = line.find(' ');
        if (space == 0 || space == line.npos || space + 1 == line.size())
            return invalid_at(format, number, "must be a key, a space and a value");
        const std::string_view value = line.substr(space + 1);
        reader.fields_.push_back({number, line.substr(0, space), draft ? trim(value) : value});
    }
    if (!named) return invalid_at(format, number + 1, fmt::format("must be \"{}\"", format));
    return reader;
}

Result<Field> FieldReader::take(std::string_view key) {
    if (at_end())
        return Error{ErrorCode::invalid,
                     fmt::format("{}: the line \"{} ...\" is missing at the end", format_, key)};
    const Field& field = fields_[at_];
    if (field.key != key)
        return invalid_at(
            format_, field.line,
            fmt::format("must be \"{} ...\", not \"{}\"", key, field.key.substr(0, 40)));
    ++at_;
    return field;
}

Result<void> FieldReader::finish() const {
    if (at_end()) return {};
    return invalid_at(
        format_, fields_[at_].line,
        fmt::format("unknown, repeated or misplaced key \"{}\"", fields_[at_].key.substr(0, 40)));
}

Error FieldReader::bad(std::string_view rule) const {
    HD_CHECK(at_ > 0);
    return bad(fields_[at_ - 1], rule);
}

Error FieldReader::bad(const Field& field, std::string_view rule) const {
    return invalid_at(format_, field.line, fmt::format("{}: {}", field.key, rule));
}

bool is_plain_text(std::string_view text, std::size_t min, std::size_t max) {
    if (text.size() < min || text.size() > max || !is_printable(text)) return false;
    return text.empty() || (text.front() != ' ' && text.back() != ' ');
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t max) {
    const Error bad{ErrorCode::invalid,
                    fmt::format("must be a whole number from 0 to {}, without leading zeros", max)};
    if (text.empty() || text.size() > 20 || (text.size() > 1 && text.front() == '0')) return bad;
    std::uint64_t out = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return bad;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (out > (max - std::min(digit, max)) / 10 || digit > max) return bad;
        out = out * 10 + digit;
    }
    return out;
}

Result<std::array<std::uint8_t, 32>> parse_digest(std::string_view text) {
    const auto raw = from_hex(text);
    if (!raw || raw->size() != 32)
        return Error{ErrorCode::invalid, "must be 64 lowercase hex digits"};
    std::array<std::uint8_t, 32> out{};
    std::copy(raw->begin(), raw->end(), out.begin());
    return out;
}

std::string to_seconds_text(WallTime t) {
    std::string text = to_rfc3339(t);
    text.replace(text.size() - 8, 8, "Z");  // ".ffffffZ"
    return text;
}

Result<WallTime> parse_seconds_text(std::string_view text) {
    HD_ASSIGN(const WallTime t, parse_rfc3339(text));
    if (to_seconds_text(t) != text)
        return Error{ErrorCode::invalid, "must be in whole seconds, like 2026-11-22T14:00:00Z"};
    return t;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> out;
    for (;;) {
        const std::size_t at = text.find(separator);
        out.push_back(text.substr(0, at));
        if (at == text.npos) return out;
        text.remove_prefix(at + 1);
    }
}

Result<void> require_canonical(std::string_view text, std::string_view canonical) {
    if (text == canonical) return {};
    const auto first = std::mismatch(text.begin(), text.end(), canonical.begin(), canonical.end());
    const auto line = 1 + std::count(text.begin(), first.first, '\n');
    return Error{ErrorCode::invalid,
                 fmt::format("line {}: not in the one form that is allowed", line)};
}

}  // namespace hd::ledger
