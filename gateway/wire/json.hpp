// JSON on the wire: strict when read, fast when written.
//
// Reading refuses what a careless or hostile peer sends: repeated keys, bad UTF-8, too deep, too
// big, text after the value; JsonFields refuses unknown keys and names field and rule. Writing is
// append-only formatting (2x faster a round trip than building a tree first, facts/index.md). Pure;
// no threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "index/base/ids.hpp"
#include "index/base/result.hpp"
#include "index/base/time.hpp"

namespace hd::wire {

class Json {
  public:
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;  // in the order of the text
    // A number written without fraction and exponent that fits is an int64; any other is a double.
    using Value =
        std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;

    Json() = default;
    explicit Json(Value value) : value_(std::move(value)) {}

    bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
    // Null if the value is of another kind. Borrowed: valid as long as this value.
    const bool* as_bool() const { return std::get_if<bool>(&value_); }
    const std::int64_t* as_int() const { return std::get_if<std::int64_t>(&value_); }
    const double* as_double() const { return std::get_if<double>(&value_); }
    const std::string* as_text() const { return std::get_if<std::string>(&value_); }
    const Array* as_array() const { return std::get_if<Array>(&value_); }
    const Object* as_object() const { return std::get_if<Object>(&value_); }

    // The member of an object, or null if this is no object or has no such member.
    const Json* find(std::string_view key) const;
    // For readers of replies, which skip what they do not know: the member, or a default when it is
    // missing or of another kind.
    std::string text_or(std::string_view key, std::string_view other) const;
    std::int64_t int_or(std::string_view key, std::int64_t other) const;
    bool bool_or(std::string_view key, bool other) const;
    const Array& array_or_empty(std::string_view key) const;

    const Value& value() const { return value_; }

  private:
    Value value_ = nullptr;
};

struct JsonLimits {
    std::size_t max_bytes = 64 * 1024;
    std::size_t max_depth = 8;       // design.md section 8: {"a":1} has depth 1
    std::size_t max_values = 20000;  // scalars, arrays and objects together
};
// What a client accepts from a hub: a page of 5,000 clips has 1.2 MB.
constexpr JsonLimits kReplyJsonLimits{
    .max_bytes = 8 * 1024 * 1024, .max_depth = 8, .max_values = 400000};

// One whole JSON value. invalid: "<field or empty>: <rule>", with the byte where it was noticed.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});

// Takes the members of one object, each once. After the first failure every read gives a default
// and finish() says the first error, so that a verb reads all its fields and asks once:
//   JsonFields in(request.body);
//   const WallTime from = in.time("from");
//   const std::int64_t limit = in.integer_or("limit", 500, {1, 5000});
//   HD_TRY(in.finish());
// Errors are `invalid` with what = "<field>: <rule>". The object must outlive this.
class JsonFields {
  public:
    explicit JsonFields(const Json& object);

    struct Range {
        std::int64_t min = 0;
        std::int64_t max = INT64_MAX;  // both inclusive
    };
    bool has(std::string_view key) const;
    std::string text(std::string_view key, std::size_t max_bytes);
    std::string text_or(std::string_view key, std::string_view other, std::size_t max_bytes);
    std::int64_t integer(std::string_view key, Range range);
    std::int64_t integer_or(std::string_view key, std::int64_t other, Range range);
    bool boolean_or(std::string_view key, bool other);
    WallTime time(std::string_view key);
    std::optional<WallTime> time_if_present(std::string_view key);
    // Missing: empty. Each element is a text of 1..max_bytes bytes; repeated elements are refused.
    std::vector<std::string> texts_or_empty(std::string_view key, std::size_t max_count,
                                            std::size_t max_bytes);
    template <typename IdType>
    IdType id(std::string_view key) {
        const std::string hex = text(key, 32);
        if (failed_) return {};
        auto parsed = parse_id<IdType>(hex, key);
        if (!parsed) {
            fail(key, "must be 32 lowercase hexadecimal digits");
            return {};
        }
        return *parsed;
    }
    // A member that the caller reads by itself. Null if missing.
    const Json* take(std::string_view key);
    // The caller found a broken rule in a field; the first failure stays.
    void fail(std::string_view key, std::string_view rule);

    bool ok() const { return !failed_.has_value(); }
    // Success only if nothing failed and every member was taken.
    Result<void> finish();

  private:
    const Json* require(std::string_view key);

    const Json::Object* members_ = nullptr;
    std::vector<bool> taken_;
    std::optional<Error> failed_;
};

// Writes JSON text. Commas and quotes are its business; that begin and end match and that a key
// stands before each member is the caller's (checked). Text that is not UTF-8 is written with
// U+FFFD in place of each bad byte, so that the output is always valid.
//   JsonWriter out;
//   out.begin_object().field("run", run).key("clips").begin_array();
//   ...
//   out.end_array().end_object();
//   std::string text = std::move(out).take();
class JsonWriter {
  public:
    JsonWriter& begin_object();
    JsonWriter& end_object();
    JsonWriter& begin_array();
    JsonWriter& end_array();
    // Keys are our own words: not escaped, must be printable ASCII without quote and backslash.
    JsonWriter& key(std::string_view name);

    JsonWriter& value(std::string_view text);
    JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
    JsonWriter& value(const char* text) { return value(std::string_view(text)); }
    JsonWriter& value(bool v);
    JsonWriter& value(std::int64_t v);
    JsonWriter& value(std::uint64_t v);
    JsonWriter& value(std::int32_t v) { return value(static_cast<std::int64_t>(v)); }
    JsonWriter& value(std::uint32_t v) { return value(static_cast<std::uint64_t>(v)); }
    JsonWriter& value(double v);  // not a number and infinity become null
    JsonWriter& value(WallTime t);
    template <typename Tag>
    JsonWriter& value(const Id<Tag>& id) {
        return hex(id.bytes);
    }
    JsonWriter& null();
    // Quoted lowercase hex.
    JsonWriter& hex(ByteView bytes);
    // A value that is JSON text already: from another JsonWriter, not from a peer.
    JsonWriter& raw(std::string_view json);

    template <typename T>
    JsonWriter& field(std::string_view name, const T& v) {
        return key(name).value(v);
    }

    const std::string& text() const { return out_; }
    std::string take() &&;

  private:
    void before_value();

    std::string out_;
    std::vector<char> open_;  // '{' or '['
    bool first_ = true;       // nothing yet at this level
    bool after_key_ = false;
};

// A JSON text that JsonWriter cannot know, such as a parsed value for a person to look at.
void write_json(JsonWriter& out, const Json& value);

}  // namespace hd::wire
