#include <cmath>

#include <fmt/format.h>

#include "gateway/wire/json.hpp"
#include "gateway/wire/utf8.hpp"
#include "index/base/check.hpp"
#include "index/base/time_range.hpp"

namespace hd::wire {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

void append_digits(std::string& out, std::int64_t value, int digits) {
    char text[8];
    for (int i = digits - 1; i >= 0; --i, value /= 10)
        text[i] = static_cast<char>('0' + value % 10);
    out.append(text, static_cast<std::size_t>(digits));
}

void append_escaped(std::string& out, std::string_view text) {
    std::size_t from = 0;  // not yet copied
    for (std::size_t at = 0; at < text.size();) {
        const auto c = static_cast<unsigned char>(text[at]);
        if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') {
            ++at;
            continue;
        }
        const std::size_t length = utf8_length(text, at);
        if (c > 0x7F && length > 0) {
            at += length;
            continue;
        }
        out.append(text.substr(from, at - from));
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(static_cast<char>(c));
        } else if (c == '\n') {
            out.append("\\n");
        } else if (c > 0x7F) {
            out.append("\xEF\xBF\xBD");  // U+FFFD
        } else {
            out.append("\\u00");
            out.push_back(kHexDigits[c >> 4]);
            out.push_back(kHexDigits[c & 15]);
        }
        from = ++at;
    }
    out.append(text.substr(from));
}

// The same text as to_rfc3339, a third of its time: a page of clips has two times a line.
void append_time(std::string& out, WallTime t) {
    namespace ch = std::chrono;
    constexpr std::int64_t kDayUs = 86'400'000'000;
    if (t.us < 0 || t.us >= kEndTimeUs) {  // outside 1970..9999
        out.append(to_rfc3339(t));
        return;
    }
    const ch::year_month_day date{ch::sys_days{ch::days{t.us / kDayUs}}};
    const std::int64_t rest = t.us % kDayUs;
    append_digits(out, int{date.year()}, 4);
    out.push_back('-');
    append_digits(out, unsigned{date.month()}, 2);
    out.push_back('-');
    append_digits(out, unsigned{date.day()}, 2);
    out.push_back('T');
    append_digits(out, rest / 3'600'000'000, 2);
    out.push_back(':');
    append_digits(out, rest / 60'000'000 % 60, 2);
    out.push_back(':');
    append_digits(out, rest / 1'000'000 % 60, 2);
    out.push_back('.');
    append_digits(out, rest % 1'000'000, 6);
    out.push_back('Z');
}

}  // namespace

void JsonWriter::before_value() {
    if (after_key_) {
        after_key_ = false;
        return;
    }
    // Inside an object a value needs its key; a second value at the top is no JSON.
    HD_CHECK(open_.empty() ? out_.empty() : open_.back() == '[');
    if (!first_) out_.push_back(',');
    first_ = false;
}

JsonWriter& JsonWriter::begin_object() {
    before_value();
    out_.push_back('{');
    open_.push_back('{');
    first_ = true;
    return *this;
}

JsonWriter& JsonWriter::end_object() {
    HD_CHECK(!open_.empty() && open_.back() == '{' && !after_key_);
    out_.push_back('}');
    open_.pop_back();
    first_ = false;
    return *this;
}

JsonWriter& JsonWriter::begin_array() {
    before_value();
    out_.push_back('[');
    open_.push_back('[');
    first_ = true;
    return *this;
}

JsonWriter& JsonWriter::end_array() {
    HD_CHECK(!open_.empty() && open_.back() == '[');
    out_.push_back(']');
    open_.pop_back();
    first_ = false;
    return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
    HD_CHECK(!open_.empty() && open_.back() == '{' && !after_key_);
    if (!first_) out_.push_back(',');
    first_ = false;
    out_.push_back('"');
    out_.append(name);
    out_.append("\":");
    after_key_ = true;
    return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
    before_value();
    out_.push_back('"');
    append_escaped(out_, text);
    out_.push_back('"');
    return *this;
}

JsonWriter& JsonWriter::value(bool v) {
    before_value();
    out_.append(v ? "true" : "false");
    return *this;
}

JsonWriter& JsonWriter::value(std::int64_t v) {
    before_value();
    const fmt::format_int text(v);
    out_.append(text.data(), text.size());
    return *this;
}

JsonWriter& JsonWriter::value(std::uint64_t v) {
    before_value();
    const fmt::format_int text(v);
    out_.append(text.data(), text.size());
    return *this;
}

JsonWriter& JsonWriter::value(double v) {
    if (!std::isfinite(v)) return null();
    before_value();
    fmt::format_to(std::back_inserter(out_), "{}", v);
    return *this;
}

JsonWriter& JsonWriter::value(WallTime t) {
    before_value();
    out_.push_back('"');
    append_time(out_, t);
    out_.push_back('"');
    return *this;
}

JsonWriter& JsonWriter::null() {
    before_value();
    out_.append("null");
    return *this;
}

JsonWriter& JsonWriter::hex(ByteView bytes) {
    before_value();
    out_.push_back('"');
    for (const std::uint8_t b : bytes) {
        out_.push_back(kHexDigits[b >> 4]);
        out_.push_back(kHexDigits[b & 15]);
    }
    out_.push_back('"');
    return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
    before_value();
    // A page of clips comes this way: what follows it shall not move it again.
    out_.reserve(out_.size() + json.size() + 128);
    out_.append(json);
    return *this;
}

std::string JsonWriter::take() && {
    HD_CHECK(open_.empty() && !after_key_);
    return std::move(out_);
}

void write_json(JsonWriter& out, const Json& value) {
    if (value.is_null()) {
        out.null();
    } else if (const bool* flag = value.as_bool()) {
        out.value(*flag);
    } else if (const std::int64_t* number = value.as_int()) {
        out.value(*number);
    } else if (const double* real = value.as_double()) {
        out.value(*real);
    } else if (const std::string* text = value.as_text()) {
        out.value(*text);
    } else if (const Json::Array* items = value.as_array()) {
        out.begin_array();
        for (const Json& item : *items) write_json(out, item);
        out.end_array();
    } else {
        // Keys of a parsed value are anything: escape them as text.
        std::string object = "{";
        for (const auto& [name, member] : *value.as_object()) {
            if (object.size() > 1) object.push_back(',');
            object.push_back('"');
            append_escaped(object, name);
            object.append("\":");
            JsonWriter inner;
            write_json(inner, member);
            object.append(inner.text());
        }
        object.push_back('}');
        out.raw(object);
    }
}

}  // namespace hd::wire
