#include "gateway/config/table_reader.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace hd::config {
namespace {

constexpr std::size_t kMaxEdits = 2;

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({above + 1, row[j - 1] + 1, change});
            diagonal = above;
        }
    }
    return row[b.size()];
}

std::string_view kind_of(const toml::node& node) {
    if (node.is_string()) return "text";
    if (node.is_integer()) return "an integer";
    if (node.is_floating_point()) return "a number with a fraction";
    if (node.is_boolean()) return "true or false";
    if (node.is_table()) return "a table";
    if (node.is_array()) return "a list";
    return "a date or time";
}

}  // namespace

int line_of(const toml::node& node) { return static_cast<int>(node.source().begin.line); }

std::string most_alike(std::string_view word, const std::vector<std::string>& words) {
    std::string best;
    std::size_t best_edits = kMaxEdits + 1;
    if (word.size() > 64) return best;
    for (const std::string& candidate : words) {
        const std::size_t edits = edit_distance(word, candidate);
        // Two edits make anything of a short word.
        if (edits >= best_edits || edits * 2 > candidate.size()) continue;
        best = candidate;
        best_edits = edits;
    }
    return best;
}

void Report::error(int line, std::string key, std::string rule) {
    problems.push_back({file, line, std::move(key), std::move(rule), false});
}
void Report::warning(int line, std::string key, std::string rule) {
    problems.push_back({file, line, std::move(key), std::move(rule), true});
}

TableReader::TableReader(const toml::table* table, std::string path, std::string kind, int line,
                         Report& report)
    : table_(table), path_(std::move(path)), kind_(std::move(kind)), line_(line), report_(report) {}

std::string TableReader::path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

bool TableReader::has(std::string_view key) const {
    return table_ != nullptr && table_->get(key) != nullptr;
}

int TableReader::line_of(std::string_view key) const {
    const toml::node* node = table_ != nullptr ? table_->get(key) : nullptr;
    return node != nullptr ? config::line_of(*node) : line_;
}

const toml::node* TableReader::find(std::string_view key) {
    asked_.emplace_back(key);
    report_.known.push_back(kind_.empty() ? std::string(key) : fmt::format("{}.{}", kind_, key));
    return table_ != nullptr ? table_->get(key) : nullptr;
}

void TableReader::error(std::string_view key, std::string_view rule) {
    report_.error(line_of(key), path_of(key), std::string(rule));
}

bool TableReader::text(std::string_view key, std::string& out, Length length) {
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    const auto value = node->value_exact<std::string>();
    if (!value) {
        error(key, fmt::format("must be text in quotes, not {}", kind_of(*node)));
        return false;
    }
    // The value itself is never repeated: it may be a password in the wrong place.
    if (value->size() < length.min || value->size() > length.max) {
        error(key, fmt::format("must have {} to {} bytes, has {}", length.min, length.max,
                               value->size()));
        return false;
    }
    const bool control = std::any_of(value->begin(), value->end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    });
    if (control) {
        error(key, "must not hold control characters");
        return false;
    }
    out = *value;
    return true;
}

bool TableReader::integer(std::string_view key, std::int64_t& out, Range range) {
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    const auto value = node->value_exact<std::int64_t>();
    if (!value) {
        error(key, fmt::format("must be an integer, not {}", kind_of(*node)));
        return false;
    }
    if (*value < range.min || *value > range.max) {
        error(key, fmt::format("must be {} to {}, is {}", range.min, range.max, *value));
        return false;
    }
    out = *value;
    return true;
}

bool TableReader::boolean(std::string_view key, bool& out) {
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    const auto value = node->value_exact<bool>();
    if (!value) {
        error(key, fmt::format("must be true or false, not {}", kind_of(*node)));
        return false;
    }
    out = *value;
    return true;
}

int TableReader::word(std::string_view key, const std::vector<std::string_view>& words) {
    std::string value;
    const toml::node* node = find(key);
    if (node == nullptr) return -1;
    const auto written = node->value_exact<std::string>();
    for (std::size_t i = 0; written && i < words.size(); ++i)
        if (*written == words[i]) return static_cast<int>(i);
    error(key, fmt::format("must be one of \"{}\"", fmt::join(words, "\", \"")));
    return -1;
}

const toml::table* TableReader::table(std::string_view key, int& line) {
    const toml::node* node = find(key);
    if (node == nullptr) return nullptr;
    line = config::line_of(*node);
    if (!node->is_table()) error(key, fmt::format("must be a table [{}]", path_of(key)));
    return node->as_table();
}

std::vector<const toml::table*> TableReader::tables(std::string_view key) {
    std::vector<const toml::table*> out;
    const toml::node* node = find(key);
    if (node == nullptr) return out;
    const toml::array* list = node->as_array();
    const bool right = list != nullptr && std::all_of(list->begin(), list->end(),
                                                      [](const auto& n) { return n.is_table(); });
    if (!right) {
        error(key, fmt::format("must be tables [[{}]]", path_of(key)));
        return out;
    }
    for (const toml::node& item : *list) out.push_back(item.as_table());
    return out;
}

void TableReader::finish() {
    if (table_ == nullptr) return;
    for (const auto& [key, node] : *table_) {
        const std::string_view name = key.str();
        if (std::find(asked_.begin(), asked_.end(), name) != asked_.end()) continue;
        const std::string alike = most_alike(name, asked_);
        const std::string hint = alike.empty() ? "" : fmt::format("; did you mean {}?", alike);
        report_.error(static_cast<int>(key.source().begin.line), path_of(name.substr(0, 64)),
                      "is not a key here" + hint);
    }
}

}  // namespace hd::config
