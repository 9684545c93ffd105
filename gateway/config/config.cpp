#include "gateway/config/config.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <sys/stat.h>

#include "gateway/config/config_parts.hpp"

namespace hd::config {
namespace {

// 0 if others can do nothing with the file; otherwise its permission bits.
unsigned open_bits(const std::string& path) {
    struct stat st {};
    if (::stat(path.c_str(), &st) != 0) return 0;
    return (st.st_mode & 077) != 0 ? static_cast<unsigned>(st.st_mode & 07777) : 0;
}

std::string privacy_rule(const std::string& path, unsigned mode) {
    return fmt::format(
        "{} holds a password and group or others can read it (mode {:04o}): chmod "
        "600 it",
        path, mode);
}

void read_password_file(const PasswordSource& source, Parsed& parsed) {
    const std::string& config_path = parsed.config.path;
    const std::string path =
        source.path.front() == '/' ? source.path : join(parent_folder(config_path), source.path);
    auto bytes = real_file_system().read(path, 4096);
    if (!bytes) {
        parsed.report.error(source.line, source.key, bytes.error().what);
        return;
    }
    if (const unsigned mode = open_bits(path)) {
        parsed.report.error(source.line, source.key, privacy_rule(path, mode));
        return;
    }
    std::string_view text = as_text(*bytes);
    text = text.substr(0, text.find_first_of("\r\n"));
    if (text.empty() || text.size() > 256)
        parsed.report.error(source.line, source.key,
                            fmt::format("the first line of {} must have 1 to 256 bytes", path));
    parsed.config.cameras[source.camera].recorder.password = std::string(text);
}

ReadConfig finish(Parsed parsed) {
    ReadConfig out{std::move(parsed.config), std::move(parsed.report.problems)};
    std::stable_sort(out.problems.begin(), out.problems.end(),
                     [](const Problem& a, const Problem& b) { return a.line < b.line; });
    return out;
}

bool mentions_password(std::string_view text, int line) {
    for (int at = 1; at < line && !text.empty(); ++at) {
        const std::size_t end = text.find('\n');
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return text.substr(0, text.find('\n')).find("pass") != std::string_view::npos;
}

void parse_tables(const toml::table& root, Parsed& out) {
    TableReader in(&root, "", "", 0, out.report);
    int line = 0;
    const toml::table* hub = in.table("hub", line);
    read_hub(hub, line, out);
    link::RecorderSettings defaults;
    const toml::table* recording = in.table("recording", line = 0);
    {
        TableReader keys(recording, "recording", "recording", line, out.report);
        read_recording_keys(keys, defaults);
        keys.finish();
    }
    const toml::table* retention = in.table("retention", line = 0);
    read_retention(retention, line, out);
    const toml::table* endpoints = in.table("endpoints", line = 0);
    read_endpoints(endpoints, line, out);
    const toml::table* requester = in.table("requester", line = 0);
    read_requester(requester, line, out);
    read_cameras(in.tables("camera"), defaults, out);
    check_addresses(out);
    in.finish();
}

}  // namespace

bool ReadConfig::ok() const {
    return std::none_of(problems.begin(), problems.end(),
                        [](const Problem& p) { return !p.warning; });
}

std::string to_string(const Problem& problem) {
    std::string out = problem.file;
    if (problem.line > 0) out += fmt::format(":{}", problem.line);
    out += ": ";
    if (problem.warning) out += "warning: ";
    if (!problem.key.empty()) out += problem.key + ": ";
    return out + problem.rule;
}

std::string errors_text(const ReadConfig& read) {
    std::string out;
    for (const Problem& problem : read.problems) {
        if (problem.warning) continue;
        if (!out.empty()) out += '\n';
        out += to_string(problem);
    }
    return out;
}

Parsed parse(std::string_view text, std::string_view file) {
    Parsed out;
    out.report.file = std::string(file);
    out.config.path = std::string(file);
    if (text.size() > kMaxConfigBytes) {
        out.report.error(
            0, "", fmt::format("has {} bytes, the limit is {}", text.size(), kMaxConfigBytes));
        return out;
    }
    try {
        const toml::table root = toml::parse(text, file);
        parse_tables(root, out);
    } catch (const toml::parse_error& e) {
        const auto line = static_cast<int>(e.source().begin.line);
        std::string rule = fmt::format("is not TOML (column {})", e.source().begin.column);
        // The parser's words may repeat a piece of the line, which must not be a password.
        if (!mentions_password(text, line)) rule += fmt::format(": {}", e.description());
        out.report.error(line, "", rule);
    }
    return out;
}

ReadConfig parse_config(std::string_view text, std::string_view file) {
    return finish(parse(text, file));
}

ReadConfig read_config(const std::string& path) {
    auto bytes = real_file_system().read(path, kMaxConfigBytes);
    if (!bytes) {
        Parsed failed;
        failed.config.path = path;
        failed.report.file = path;
        failed.report.error(0, "", bytes.error().what);
        return finish(std::move(failed));
    }
    Parsed parsed = parse(as_text(*bytes), path);
    const unsigned mode = open_bits(path);
    for (const PasswordSource& source : parsed.passwords) {
        if (source.camera >= parsed.config.cameras.size()) continue;
        if (!source.path.empty()) {
            read_password_file(source, parsed);
        } else if (mode != 0) {
            parsed.report.error(source.line, source.key,
                                privacy_rule(path, mode) + ", or use password_file");
        }
    }
    return finish(std::move(parsed));
}

std::vector<std::string> known_keys() {
    const Parsed parsed = parse("", "");
    return parsed.report.known;
}

}  // namespace hd::config
