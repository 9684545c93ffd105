// The text of our own notes: a first line that names the format, then `key value` lines. One reader
// for all of them, so that every error names line, key and rule.
//
// A signed text must be canonical: each reader of a format writes the value that it read and
// compares. Drafts for people may hold comments (#) and empty lines.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::ledger {

struct Field {
    std::size_t line = 0;  // counted from 1
    std::string_view key, value;
};

// How strictly a text is read.
enum class TextForm {
    signed_text,  // exact: nothing but `key value` lines
    draft,        // for people: empty lines, lines that begin with '#', spaces at the ends
};

// A cursor over the lines of a text, which must outlive it.
class FieldReader {
  public:
    // invalid if the first line is not `format`, a line is not printable ASCII, or has no value.
    static Result<FieldReader> open(std::string_view text, std::string_view format, TextForm form);

    bool at_end() const { return at_ == fields_.size(); }
    bool next_is(std::string_view key) const { return !at_end() && fields_[at_].key == key; }
    // The value of the next line, which must have this key.
    Result<Field> take(std::string_view key);
    Result<void> finish() const;  // nothing may be left
    // An error about the line that was taken last.
    Error bad(std::string_view rule) const;
    Error bad(const Field& field, std::string_view rule) const;

  private:
    std::string format_;
    std::vector<Field> fields_;
    std::size_t at_ = 0;
};

// Printable ASCII, `min`..`max` characters, no space at the ends.
bool is_plain_text(std::string_view text, std::size_t min, std::size_t max);
// Decimal without sign and leading zeros, at most `max`.
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t max);
// 64 lowercase hex digits.
Result<std::array<std::uint8_t, 32>> parse_digest(std::string_view text);
// RFC 3339 in whole seconds: 2026-11-22T14:00:00Z. Exact form only.
std::string to_seconds_text(WallTime t);
Result<WallTime> parse_seconds_text(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);
// invalid if a reader accepted `text` although the canonical form differs; names the first line.
Result<void> require_canonical(std::string_view text, std::string_view canonical);

}  // namespace hd::ledger
