// The tables of halfdoor.toml, one function each. Private to gateway/config.
#pragma once

#include "gateway/config/table_reader.hpp"

namespace hd::config {

constexpr std::int64_t kMaxRetentionHours = 24 * 366 * 20;
constexpr std::int64_t kMiB = 1024 * 1024;
constexpr std::int64_t kMaxMiB = 1ll << 30;  // a pebibyte

// A password that is in the file itself, or the file that holds it: what read_config has to look
// at.
struct PasswordSource {
    std::size_t camera = 0;  // index into Config::cameras
    int line = 0;
    std::string key;   // "camera[2].password_file"
    std::string path;  // empty: in the configuration file itself
};

struct Parsed {
    Config config;
    Report report;
    std::vector<PasswordSource> passwords;
};
// Everything but the disk.
Parsed parse(std::string_view text, std::string_view file);

void read_hub(const toml::table* table, int line, Parsed& out);
void read_retention(const toml::table* table, int line, Parsed& out);
void read_endpoints(const toml::table* table, int line, Parsed& out);
void read_requester(const toml::table* table, int line, Parsed& out);
// The keys that [recording] sets for all cameras and each [[camera]] may set for itself.
void read_recording_keys(TableReader& in, link::RecorderSettings& out);
void read_cameras(const std::vector<const toml::table*>& tables,
                  const link::RecorderSettings& defaults, Parsed& out);
// Different endpoints, different ports.
void check_addresses(Parsed& out);

}  // namespace hd::config
