// The tables of halfdoor.toml other than cameras.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>

#include "gateway/config/config_parts.hpp"
#include "index/base/encoding.hpp"

namespace hd::config {
namespace {

// Of a socket's address (sun_path has 108 bytes with its end); the longest name is dashboard.sock.
constexpr std::size_t kMaxSocketPath = 107;
constexpr std::string_view kLongestSocket = "/dashboard.sock";

void folder(TableReader& in, std::string_view key, std::string& out) {
    if (!in.text(key, out, {1, 4096})) return;
    while (out.size() > 1 && out.ends_with('/')) out.pop_back();
    if (out.front() != '/') in.error(key, "must be an absolute path");
}

void mib(TableReader& in, std::string_view key, std::int64_t min, std::uint64_t& out) {
    std::int64_t value = 0;
    if (in.integer(key, value, {min, kMaxMiB})) out = static_cast<std::uint64_t>(value * kMiB);
}

bool number_between(std::string_view text, int min, int max) {
    int value = -1;
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), value);
    return err == std::errc() && end == text.data() + text.size() && value >= min && value <= max;
}

// tcp://a.b.c.d:port or tcp://*:port. Names are left out on purpose: what is bound must be plain.
bool is_tcp_address(std::string_view text) {
    if (!text.starts_with("tcp://")) return false;
    text.remove_prefix(6);
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || !number_between(text.substr(colon + 1), 1, 65535))
        return false;
    std::string_view host = text.substr(0, colon);
    if (host == "*") return true;
    for (int i = 0; i < 4; ++i) {
        const std::size_t dot = i < 3 ? host.find('.') : host.size();
        if (dot == std::string_view::npos || dot > 3 ||
            !number_between(host.substr(0, dot), 0, 255))
            return false;
        host.remove_prefix(std::min(dot + 1, host.size()));
    }
    return host.empty();
}

void tcp_address(TableReader& in, std::string_view key, std::string& out) {
    if (!in.text(key, out, {0, 128}) || out.empty()) return;
    if (!is_tcp_address(out))
        in.error(key, "must be like tcp://0.0.0.0:7441, with an IPv4 address or * and a port");
}

bool is_user(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
}

void read_clients(const std::vector<const toml::table*>& tables, Parsed& out) {
    std::set<std::string> names, keys;
    const std::vector<const toml::table*> none{nullptr};
    const auto& list = tables.empty() ? none : tables;
    for (std::size_t i = 0; i < list.size(); ++i) {
        const toml::table* table = list[i];
        TableReader in(table, fmt::format("endpoints.dashboard.client[{}]", i + 1),
                       "endpoints.dashboard.client", table != nullptr ? line_of(*table) : 0,
                       out.report);
        ClientKey client;
        in.text("name", client.name, {1, 64});
        in.text("curve_key", client.curve_key, {1, 128});
        if (table == nullptr) return;
        if (!in.has("name")) in.error("name", "is missing");
        if (!in.has("curve_key")) in.error("curve_key", "is missing");
        if (!client.name.empty() && !is_user(client.name))
            in.error("name", "must be of a-z A-Z 0-9 . _ -");
        if (!client.name.empty() && !names.insert(client.name).second)
            in.error("name", "is that of another client");
        if (!client.curve_key.empty()) {
            const auto raw =
                client.curve_key.size() == 40 ? from_z85(client.curve_key) : Result<Bytes>(Error{});
            if (!raw) in.error("curve_key", "must be a public key of 40 characters (Z85)");
            if (!keys.insert(client.curve_key).second)
                in.error("curve_key", "is that of another client");
        }
        in.finish();
        out.config.endpoints.dashboard_clients.push_back(std::move(client));
    }
}

}  // namespace

void read_hub(const toml::table* table, int line, Parsed& out) {
    TableReader in(table, "hub", "hub", line, out.report);
    HubSettings& hub = out.config.hub;
    folder(in, "data_folder", hub.data_folder);
    hub.runtime_folder = hub.data_folder + "/run";
    std::string runtime;
    if (in.text("runtime_folder", runtime, {0, 4096}) && !runtime.empty()) {
        while (runtime.size() > 1 && runtime.ends_with('/')) runtime.pop_back();
        if (runtime.front() != '/') in.error("runtime_folder", "must be an absolute path");
        hub.runtime_folder = runtime;
    }
    if (hub.runtime_folder.size() + kLongestSocket.size() > kMaxSocketPath)
        in.error(in.has("runtime_folder") ? "runtime_folder" : "data_folder",
                 fmt::format("{} is too long for sockets in it: at most {} bytes; set a shorter "
                             "runtime_folder",
                             hub.runtime_folder, kMaxSocketPath - kLongestSocket.size()));
    const std::vector<std::string_view> kLevels{"debug", "info", "warn", "error", "off"};
    if (const int level = in.word("log_level", kLevels); level >= 0)
        hub.log_level = kLevels[static_cast<std::size_t>(level)];
    in.text("recorder_program", hub.recorder_program, {0, 4096});
    in.text("gate_program", hub.gate_program, {0, 4096});
    in.text("recorder_user", hub.recorder_user, {0, 32});
    mib(in, "index_memory_mb", 4, hub.index_memory_bytes);
    in.finish();
}

void read_retention(const toml::table* table, int line, Parsed& out) {
    TableReader in(table, "retention", "retention", line, out.report);
    RetentionSettings& retention = out.config.retention;
    std::int64_t hours = 0;
    if (in.integer("max_age_hours", hours, {0, kMaxRetentionHours}))
        retention.max_age = std::chrono::hours(hours);
    mib(in, "max_mb", 0, retention.max_bytes);
    mib(in, "camera_max_mb", 0, retention.camera_max_bytes);
    mib(in, "reserve_mb", 16, retention.reserve_bytes);
    std::int64_t per_s = 0;
    if (in.integer("delete_per_s", per_s, {1, 1000}))
        retention.delete_per_s = static_cast<std::uint32_t>(per_s);
    in.finish();
}

void read_endpoints(const toml::table* table, int line, Parsed& out) {
    TableReader in(table, "endpoints", "endpoints", line, out.report);
    EndpointsSettings& endpoints = out.config.endpoints;
    const std::vector<std::string_view> kModes{"0600", "0660"};
    if (const int mode = in.word("ipc_mode", kModes); mode >= 0)
        endpoints.ipc_mode = mode == 0 ? 0600 : 0660;
    const auto sub = [&](const char* name, std::string& tcp, bool with_clients) {
        int sub_line = line;
        const toml::table* sub_table = in.table(name, sub_line);
        const std::string path = fmt::format("endpoints.{}", name);
        TableReader reader(sub_table, path, path, sub_line, out.report);
        tcp_address(reader, "tcp", tcp);
        if (with_clients) read_clients(reader.tables("client"), out);
        reader.finish();
    };
    sub("owner", endpoints.owner_tcp, false);
    sub("dashboard", endpoints.dashboard_tcp, true);
    sub("events", endpoints.events_tcp, false);
    in.finish();
}

void read_requester(const toml::table* table, int line, Parsed& out) {
    TableReader in(table, "requester", "requester", line, out.report);
    tcp_address(in, "listen", out.config.requester.listen);
    in.finish();
}

void check_addresses(Parsed& out) {
    const EndpointsSettings& e = out.config.endpoints;
    const std::pair<const char*, const std::string*> all[] = {
        {"endpoints.owner.tcp", &e.owner_tcp},
        {"endpoints.dashboard.tcp", &e.dashboard_tcp},
        {"endpoints.events.tcp", &e.events_tcp},
        {"requester.listen", &out.config.requester.listen}};
    std::map<std::string, const char*> ports;
    for (const auto& [key, address] : all) {
        if (address->empty()) continue;
        const auto [at, fresh] = ports.emplace(address->substr(address->rfind(':')), key);
        if (!fresh) out.report.error(0, key, fmt::format("has the port of {}", at->second));
    }
}

}  // namespace hd::config
