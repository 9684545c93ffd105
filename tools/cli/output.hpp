// What a verb prints: rows for people (aligned), for scripts (--json: one object a line) or for
// spreadsheets and cut(1) (--tsv: a header line, then tab-separated values).
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "index/base/time.hpp"

namespace hd::cli {

// Keeps the order in which fields were added, so that lines read alike.
using Json = nlohmann::ordered_json;

enum class Format { text, json, tsv };

// One value under its stable name. `text` is how a person reads it; scripts get `value`.
struct Cell {
    std::string name;
    Json value;
    std::string text;

    Cell(std::string cell_name, Json cell_value);
    Cell(std::string cell_name, Json cell_value, std::string shown);
    Cell(std::string cell_name, WallTime time);  // RFC 3339 for scripts, seconds for people
};
using Row = std::vector<Cell>;

std::string short_time(WallTime t);            // 2026-11-22 14:00:05Z
std::string short_duration(Micros d);          // 1 h 02 min, 59.8 s
std::string short_bytes(std::uint64_t bytes);  // 12.3 MB

// Not thread-safe. Rows of one list must have the same names in the same order; text rows are held
// back (up to kHeldRows) to align their columns and leave with end_list().
class Output {
  public:
    Output(std::ostream& out, Format format) : out_(out), format_(format) {}

    Format format() const { return format_; }
    void set_format(Format format) { format_ = format; }

    // A line of a list.
    void row(Row row);
    // Ends a list; `when_empty` is said to people if it had no row.
    void end_list(std::string_view when_empty);
    // One thing with its facts: a "name  value" block for people, one object or row otherwise.
    void facts(const Row& row);
    // Words for people only.
    void say(std::string_view line);
    // A line as it is, in every format (notes, cards: text that is itself the result).
    void raw(std::string_view text);
    // One JSON object on one line, in every format.
    void json_line(const Json& object);
    void flush() { out_.flush(); }

  private:
    // A terminal page or so; aligning more would hold back output that people wait for.
    static constexpr std::size_t kHeldRows = 500;
    void write_held();
    void write_tsv(const Row& row, bool with_names);

    std::ostream& out_;
    Format format_;
    std::vector<Row> held_;
    std::size_t rows_ = 0;
};

}  // namespace hd::cli
