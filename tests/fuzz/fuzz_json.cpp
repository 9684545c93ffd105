// JSON of peers.
//
// Invariants checked:
//  - nothing crashes, and nesting is bounded;
//  - what is accepted is UTF-8, has no key twice, and is accepted again after write_json, which
//  then is a fixed point;
//  - any bytes as text come out of JsonWriter as valid JSON that reads back the same if they were
//  UTF-8.
#include <cstdlib>

#include "gateway/wire/json.hpp"
#include "gateway/wire/utf8.hpp"
#include "index/base/bytes.hpp"

using namespace hd;
using namespace hd::wire;

namespace {

void must(bool holds) {
    if (!holds) std::abort();
}

void walk(const Json& value, std::size_t depth) {
    if (const Json::Array* items = value.as_array()) {
        must(depth < 8);
        for (const Json& item : *items) walk(item, depth + 1);
    } else if (const Json::Object* members = value.as_object()) {
        must(depth < 8);
        for (const auto& [name, member] : *members) {
            must(value.find(name) == &member);
            must(utf8_bad_byte(name) == std::string_view::npos);
            walk(member, depth + 1);
        }
    } else if (const std::string* text = value.as_text()) {
        must(utf8_bad_byte(*text) == std::string_view::npos);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    if (const auto value = parse_json(text)) {
        must(utf8_bad_byte(text) == std::string_view::npos);
        walk(*value, 0);
        JsonWriter once;
        write_json(once, *value);
        const auto again = parse_json(once.text(), {.max_bytes = 8 * 1024 * 1024});
        must(again.ok());
        JsonWriter twice;
        write_json(twice, *again);
        must(twice.text() == once.text());
    }
    JsonWriter out;
    out.begin_array().value(text).end_array();
    const auto back = parse_json(out.text(), {.max_bytes = 8 * 1024 * 1024});
    must(back.ok());
    if (utf8_bad_byte(text) == std::string_view::npos)
        must(*back->as_array()->front().as_text() == text);
    return 0;
}
