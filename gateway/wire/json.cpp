#include "gateway/wire/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "gateway/wire/utf8.hpp"

namespace hd::wire {
namespace {

// No message of ours has an object with more; it also bounds the search for repeated keys.
constexpr std::size_t kMaxMembers = 256;
constexpr std::size_t kMaxFieldName = 64;

Error bad(std::string_view field, std::string_view rule) {
    return {ErrorCode::invalid, fmt::format("{}: {}", field, rule)};
}

// A peer's key as a field name, or "json" if it is not fit to be repeated.
std::string_view field_name(std::string_view key) {
    if (key.empty() || key.size() > kMaxFieldName) return "json";
    for (const char c : key) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
        if (!plain) return "json";
    }
    return key;
}

// Builds our value from nlohmann's events; a false return stops its parser.
class Builder {
  public:
    using number_integer_t = nlohmann::json::number_integer_t;
    using number_unsigned_t = nlohmann::json::number_unsigned_t;
    using number_float_t = nlohmann::json::number_float_t;
    using string_t = nlohmann::json::string_t;
    using binary_t = nlohmann::json::binary_t;

    explicit Builder(const JsonLimits& limits) : limits_(limits) {}

    bool null() { return add(Json{}); }
    bool boolean(bool v) { return add(Json{Json::Value{v}}); }
    bool number_integer(number_integer_t v) { return add(Json{Json::Value{std::int64_t{v}}}); }
    bool number_unsigned(number_unsigned_t v) {
        if (v > static_cast<number_unsigned_t>(INT64_MAX))
            return add(Json{Json::Value{static_cast<double>(v)}});
        return add(Json{Json::Value{static_cast<std::int64_t>(v)}});
    }
    bool number_float(number_float_t v, const string_t&) { return add(Json{Json::Value{v}}); }
    bool string(string_t& v) { return add(Json{Json::Value{std::move(v)}}); }
    bool binary(binary_t&) { return refuse("json", "holds a binary value"); }
    bool start_object(std::size_t) { return open(true); }
    bool end_object() { return close(); }
    bool start_array(std::size_t) { return open(false); }
    bool end_array() { return close(); }
    bool key(string_t& name) {
        Level& level = stack_.back();
        if (level.members.size() >= kMaxMembers)
            return refuse("json", fmt::format("an object has more than {} members", kMaxMembers));
        for (const auto& [other, value] : level.members)
            if (other == name) return refuse(field_name(name), "stands twice in one object");
        level.key = std::move(name);
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
        return refuse("json", fmt::format("is not JSON at byte {}", position));
    }

    Result<Json> take() && {
        if (error_) return *error_;
        return std::move(root_);
    }

  private:
    struct Level {
        bool is_object = false;
        Json::Object members;
        Json::Array items;
        std::string key;
    };

    bool refuse(std::string_view field, std::string_view rule) {
        if (!error_) error_ = bad(field, rule);
        return false;
    }
    bool count() {
        if (++values_ <= limits_.max_values) return true;
        return refuse("json", fmt::format("has more than {} values", limits_.max_values));
    }
    bool open(bool is_object) {
        if (!count()) return false;
        if (stack_.size() >= limits_.max_depth)
            return refuse("json", fmt::format("is nested deeper than {}", limits_.max_depth));
        stack_.push_back({.is_object = is_object, .members = {}, .items = {}, .key = {}});
        return true;
    }
    bool close() {
        Level level = std::move(stack_.back());
        stack_.pop_back();
        place(level.is_object ? Json{Json::Value{std::move(level.members)}}
                              : Json{Json::Value{std::move(level.items)}});
        return true;
    }
    bool add(Json value) {
        if (!count()) return false;
        place(std::move(value));
        return true;
    }
    void place(Json value) {
        if (stack_.empty()) {
            root_ = std::move(value);
        } else if (stack_.back().is_object) {
            stack_.back().members.emplace_back(std::move(stack_.back().key), std::move(value));
        } else {
            stack_.back().items.push_back(std::move(value));
        }
    }

    JsonLimits limits_;
    std::vector<Level> stack_;
    std::size_t values_ = 0;
    Json root_;
    std::optional<Error> error_;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
    const Object* members = as_object();
    if (members == nullptr) return nullptr;
    for (const auto& [name, value] : *members)
        if (name == key) return &value;
    return nullptr;
}

std::string Json::text_or(std::string_view key, std::string_view other) const {
    const Json* member = find(key);
    const std::string* text = member != nullptr ? member->as_text() : nullptr;
    return text != nullptr ? *text : std::string(other);
}

std::int64_t Json::int_or(std::string_view key, std::int64_t other) const {
    const Json* member = find(key);
    const std::int64_t* number = member != nullptr ? member->as_int() : nullptr;
    return number != nullptr ? *number : other;
}

bool Json::bool_or(std::string_view key, bool other) const {
    const Json* member = find(key);
    const bool* value = member != nullptr ? member->as_bool() : nullptr;
    return value != nullptr ? *value : other;
}

const Json::Array& Json::array_or_empty(std::string_view key) const {
    static const Array kEmpty;
    const Json* member = find(key);
    const Array* items = member != nullptr ? member->as_array() : nullptr;
    return items != nullptr ? *items : kEmpty;
}

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.max_bytes)
        return bad("json",
                   fmt::format("has {} bytes, the limit is {}", text.size(), limits.max_bytes));
    if (text.starts_with("\xEF\xBB\xBF")) return bad("json", "begins with a byte-order mark");
    if (const std::size_t at = utf8_bad_byte(text); at != std::string_view::npos)
        return bad("json", fmt::format("is not UTF-8 at byte {}", at));
    Builder builder(limits);
    // The parser reports through parse_error; what it might still throw must not leave the room.
    try {
        // Strict: text after the value is an error.
        if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
            return std::move(builder).take();
    } catch (const nlohmann::json::exception&) {
        return bad("json", "is not JSON");
    }
    auto failed = std::move(builder).take();
    if (!failed) return failed.error();
    return bad("json", "is not JSON");
}

JsonFields::JsonFields(const Json& object) : members_(object.as_object()) {
    if (members_ == nullptr) {
        fail("json", "must be an object");
    } else {
        taken_.resize(members_->size(), false);
    }
}

bool JsonFields::has(std::string_view key) const {
    if (members_ == nullptr) return false;
    for (const auto& [name, value] : *members_)
        if (name == key) return true;
    return false;
}

const Json* JsonFields::take(std::string_view key) {
    if (members_ == nullptr) return nullptr;
    for (std::size_t i = 0; i < members_->size(); ++i) {
        if ((*members_)[i].first != key) continue;
        taken_[i] = true;
        return &(*members_)[i].second;
    }
    return nullptr;
}

const Json* JsonFields::require(std::string_view key) {
    const Json* value = take(key);
    if (value == nullptr) fail(key, "is missing");
    return value;
}

void JsonFields::fail(std::string_view key, std::string_view rule) {
    if (!failed_) failed_ = bad(key, rule);
}

Result<void> JsonFields::finish() {
    for (std::size_t i = 0; !failed_ && i < taken_.size(); ++i)
        if (!taken_[i]) fail(field_name((*members_)[i].first), "is not a key of this message");
    if (failed_) return *failed_;
    return {};
}

std::string JsonFields::text(std::string_view key, std::size_t max_bytes) {
    const Json* value = require(key);
    if (value == nullptr) return {};
    const std::string* text = value->as_text();
    if (text == nullptr) {
        fail(key, "must be text");
        return {};
    }
    if (text->size() > max_bytes) {
        fail(key, fmt::format("has {} bytes, the limit is {}", text->size(), max_bytes));
        return {};
    }
    for (const char c : *text) {
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) continue;
        fail(key, "must not hold control characters");
        return {};
    }
    return *text;
}

std::string JsonFields::text_or(std::string_view key, std::string_view other,
                                std::size_t max_bytes) {
    return has(key) ? text(key, max_bytes) : std::string(other);
}

std::int64_t JsonFields::integer(std::string_view key, Range range) {
    const Json* value = require(key);
    if (value == nullptr) return range.min;
    const std::int64_t* number = value->as_int();
    if (number == nullptr) {
        fail(key, "must be an integer");
        return range.min;
    }
    if (*number < range.min || *number > range.max) {
        fail(key, range.max == INT64_MAX ? fmt::format("must be at least {}", range.min)
                                         : fmt::format("must be {} to {}", range.min, range.max));
        return range.min;
    }
    return *number;
}

std::int64_t JsonFields::integer_or(std::string_view key, std::int64_t other, Range range) {
    return has(key) ? integer(key, range) : other;
}

bool JsonFields::boolean_or(std::string_view key, bool other) {
    const Json* value = take(key);
    if (value == nullptr) return other;
    const bool* flag = value->as_bool();
    if (flag == nullptr) fail(key, "must be true or false");
    return flag != nullptr ? *flag : other;
}

WallTime JsonFields::time(std::string_view key) {
    const std::string written = text(key, 64);
    if (failed_) return {};
    const auto parsed = parse_rfc3339(written);
    if (parsed) return *parsed;
    fail(key, "must be RFC 3339 in UTC, like 2026-11-22T14:00:00.000000Z");
    return {};
}

std::optional<WallTime> JsonFields::time_if_present(std::string_view key) {
    if (!has(key)) return std::nullopt;
    return time(key);
}

std::vector<std::string> JsonFields::texts_or_empty(std::string_view key, std::size_t max_count,
                                                    std::size_t max_bytes) {
    std::vector<std::string> out;
    const Json* value = take(key);
    if (value == nullptr) return out;
    const Json::Array* items = value->as_array();
    if (items == nullptr || items->size() > max_count) {
        fail(key, fmt::format("must be a list of at most {} texts", max_count));
        return out;
    }
    for (const Json& item : *items) {
        const std::string* text = item.as_text();
        const bool fits = text != nullptr && !text->empty() && text->size() <= max_bytes;
        if (!fits) {
            fail(key, fmt::format("must hold texts of 1 to {} bytes", max_bytes));
            return {};
        }
        for (const std::string& other : out) {
            if (other != *text) continue;
            fail(key, "names the same thing twice");
            return {};
        }
        out.push_back(*text);
    }
    return out;
}

}  // namespace hd::wire
