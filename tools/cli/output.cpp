#include "tools/cli/output.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace hd::cli {
namespace {

std::string value_text(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_null()) return "-";
    if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Tabs and line ends would break the table apart; nothing else is touched.
std::string tsv_field(std::string text) {
    for (char& c : text)
        if (c == '\t' || c == '\n' || c == '\r') c = ' ';
    return text;
}

// Names and texts come from elsewhere: a control character must not steer the terminal.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (u < 0x20 || u == 0x7f)
            out += fmt::format("\\x{:02x}", u);
        else
            out.push_back(c);
    }
    return out;
}

// Columns on a terminal: UTF-8 continuation bytes take none.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(std::string_view text, std::size_t columns) {
    std::string out(text);
    for (std::size_t w = width(text); w < columns; ++w) out.push_back(' ');
    return out;
}

std::string without_trailing_spaces(std::string line) {
    while (!line.empty() && line.back() == ' ') line.pop_back();
    return line;
}

}  // namespace

Cell::Cell(std::string cell_name, Json cell_value)
    : name(std::move(cell_name)), value(std::move(cell_value)), text(value_text(value)) {}
Cell::Cell(std::string cell_name, Json cell_value, std::string shown)
    : name(std::move(cell_name)), value(std::move(cell_value)), text(std::move(shown)) {}
Cell::Cell(std::string cell_name, WallTime time)
    : name(std::move(cell_name)), value(to_rfc3339(time)), text(short_time(time)) {}

std::string short_time(WallTime t) {
    const std::string full = to_rfc3339(t);
    return full.substr(0, 10) + " " + full.substr(11, 8) + "Z";
}

std::string short_duration(Micros d) {
    const double s = static_cast<double>(d.count()) / 1e6;
    if (s < 0) return "-" + short_duration(-d);
    if (s < 120) return fmt::format("{:.1f} s", s);
    const std::int64_t minutes = (d.count() + 30'000'000) / 60'000'000;
    if (minutes < 60) return fmt::format("{} min", minutes);
    if (minutes < 48 * 60) return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
    return fmt::format("{} d {:02} h", minutes / 1440, minutes / 60 % 24);
}

std::string short_bytes(std::uint64_t bytes) {
    if (bytes < 1000) return fmt::format("{} B", bytes);
    double v = static_cast<double>(bytes);
    for (const char* unit : {"kB", "MB", "GB", "TB"}) {
        v /= 1000;
        if (v < 999.95) return fmt::format("{:.1f} {}", v, unit);
    }
    return fmt::format("{:.1f} PB", v / 1000);
}

void Output::row(Row row) {
    ++rows_;
    if (format_ == Format::json) {
        Json object = Json::object();
        for (Cell& cell : row) object[cell.name] = std::move(cell.value);
        json_line(object);
    } else if (format_ == Format::tsv) {
        write_tsv(row, rows_ == 1);
    } else {
        held_.push_back(std::move(row));
        if (held_.size() >= kHeldRows) write_held();
    }
}

void Output::write_tsv(const Row& row, bool with_names) {
    std::string names, values;
    for (const Cell& cell : row) {
        names += (names.empty() ? "" : "\t") + cell.name;
        values += (&cell == &row.front() ? "" : "\t") +
                  (cell.value.is_null() ? std::string() : tsv_field(value_text(cell.value)));
    }
    if (with_names) out_ << names << '\n';
    out_ << values << '\n';
}

void Output::write_held() {
    if (held_.empty()) return;
    std::vector<std::size_t> columns;
    for (const Cell& cell : held_.front()) columns.push_back(width(cell.name));
    for (Row& row : held_)
        for (std::size_t i = 0; i < row.size() && i < columns.size(); ++i) {
            row[i].text = printable(row[i].text);
            columns[i] = std::max(columns[i], width(row[i].text));
        }
    std::string head;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        std::string name = held_.front()[i].name;
        for (char& c : name) c = c == '_' ? ' ' : c;
        head += padded(name, columns[i] + 2);
    }
    out_ << without_trailing_spaces(std::move(head)) << '\n';
    for (const Row& row : held_) {
        std::string line;
        for (std::size_t i = 0; i < row.size() && i < columns.size(); ++i)
            line += padded(row[i].text, columns[i] + 2);
        out_ << without_trailing_spaces(std::move(line)) << '\n';
    }
    held_.clear();
}

void Output::end_list(std::string_view when_empty) {
    write_held();
    if (rows_ == 0) say(when_empty);
    rows_ = 0;
}

void Output::facts(const Row& row) {
    if (format_ == Format::text) {
        std::size_t columns = 0;
        for (const Cell& cell : row) columns = std::max(columns, width(cell.name));
        for (const Cell& cell : row) {
            std::string name = cell.name;
            for (char& c : name) c = c == '_' ? ' ' : c;
            out_ << padded(name, columns + 2) << printable(cell.text) << '\n';
        }
        return;
    }
    if (format_ == Format::tsv) return write_tsv(row, true);
    Json object = Json::object();
    for (const Cell& cell : row) object[cell.name] = cell.value;
    json_line(object);
}

void Output::say(std::string_view line) {
    if (format_ == Format::text) out_ << line << '\n';
}

void Output::raw(std::string_view text) { out_ << text; }

void Output::json_line(const Json& object) {
    out_ << object.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace hd::cli
