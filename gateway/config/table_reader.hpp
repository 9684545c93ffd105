// Reads one TOML table key by key, collects every broken rule, and knows which keys nobody asked
// for. Private to gateway/config.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/config/config.hpp"
#include "gateway/config/toml.hpp"

namespace hd::config {

// Where all tables of one file report to.
struct Report {
    std::string file;
    std::vector<Problem> problems;
    std::vector<std::string> known;  // "camera.url": every key that was asked for

    void error(int line, std::string key, std::string rule);
    void warning(int line, std::string key, std::string rule);
};

class TableReader {
  public:
    // A missing table reads as an empty one, so that its keys are known all the same. `path` is for
    // messages
    // ("camera[2]"), `kind` for the list of known keys ("camera"); the root has neither.
    TableReader(const toml::table* table, std::string path, std::string kind, int line,
                Report& report);

    struct Range {
        std::int64_t min = 0;
        std::int64_t max = INT64_MAX;  // both inclusive
    };
    struct Length {
        std::size_t min = 0;
        std::size_t max = 0;  // bytes, inclusive
    };
    // Each leaves `out` as it is if the key is missing or wrong. True: the key is there and right.
    bool text(std::string_view key, std::string& out, Length length);
    bool integer(std::string_view key, std::int64_t& out, Range range);
    bool boolean(std::string_view key, bool& out);
    // The place of a word in `words`, or -1.
    int word(std::string_view key, const std::vector<std::string_view>& words);
    // A sub-table, or null; `line` receives where it is.
    const toml::table* table(std::string_view key, int& line);
    // Tables of [[key]]; empty if missing.
    std::vector<const toml::table*> tables(std::string_view key);

    // The broken rule of a key that the caller looked at. A missing key has its table's line.
    void error(std::string_view key, std::string_view rule);
    bool has(std::string_view key) const;
    int line_of(std::string_view key) const;
    std::string path_of(std::string_view key) const;
    // Reports the keys that were not asked for, with the most alike of those that were.
    void finish();

  private:
    const toml::node* find(std::string_view key);

    const toml::table* table_;
    std::string path_, kind_;
    int line_;
    Report& report_;
    std::vector<std::string> asked_;
};

int line_of(const toml::node& node);
// The word most like `word` within two edits, or empty.
std::string most_alike(std::string_view word, const std::vector<std::string>& words);

}  // namespace hd::config
