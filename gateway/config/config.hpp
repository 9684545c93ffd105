// halfdoor.toml as values. Reading says every error of the file at once, each with file, line, key
// and rule.
//
// Defaults live in the structs here and in pipelines/link/settings.hpp; the annotated sample
// (halfdoor.sample.toml) repeats them, and a test compares the two. Passwords are in these structs:
// never log them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "index/base/files.hpp"
#include "index/base/result.hpp"
#include "index/base/time.hpp"
#include "pipelines/link/settings.hpp"

namespace hd::config {

constexpr std::string_view kDefaultConfigPath = "/etc/halfdoor/halfdoor.toml";
constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
constexpr std::size_t kMaxCameras = 64;

struct HubSettings {
    std::string data_folder = "/var/lib/halfdoor";
    std::string runtime_folder;  // empty in the file: <data_folder>/run; here always filled in
    std::string log_level = "info";
    std::string recorder_program;  // empty: halfdoor-recorder beside halfdoord
    std::string gate_program;      // empty: halfdoor-gate beside halfdoord
    std::string recorder_user;     // empty: halfdoor-recorder, if there is such a user
    std::uint64_t index_memory_bytes = 48ull
                                       << 20;  // caches and write buffers of the index together
};

// How long clips are kept. A limit of 0 is no limit. The oldest clip goes first.
struct RetentionSettings {
    Micros max_age = std::chrono::hours(24 * 30);
    std::uint64_t max_bytes = 0;               // of all cameras together
    std::uint64_t camera_max_bytes = 0;        // of each camera that names no limit itself
    std::uint64_t reserve_bytes = 2ull << 30;  // kept free on the disk of the data folder
    std::uint32_t delete_per_s = 20;           // clips; ten times as many below the reserve
};

struct CameraSettings {
    // Filled except hub, data_folder, policy_number, policy_hash and recipients, which the daemon
    // knows.
    link::RecorderSettings recorder;
    bool enabled = true;
    Micros max_age{0};            // 0: the hub's
    std::uint64_t max_bytes = 0;  // 0: [retention] camera_max_bytes
    int line = 0;                 // of its [[camera]] in the file, for messages
};

// A local program that may read metadata over tcp.
struct ClientKey {
    std::string name;
    std::string curve_key;  // Z85, checked
};

struct EndpointsSettings {
    unsigned ipc_mode = 0600;  // of owner.sock, dashboard.sock, events.sock
    // tcp addresses ("tcp://0.0.0.0:7441"); empty: off. Always CURVE, with the key files of
    // <data>/hub.
    std::string owner_tcp, dashboard_tcp, events_tcp;
    std::vector<ClientKey> dashboard_clients;  // of dashboard and events
};

struct RequesterSettings {
    std::string listen;  // "tcp://address:port"; empty: off. Even then bound only when a policy
                         // names a requester.
};

struct Config {
    std::string path;
    HubSettings hub;
    RetentionSettings retention;
    std::vector<CameraSettings> cameras;
    EndpointsSettings endpoints;
    RequesterSettings requester;
};

struct Problem {
    std::string file;
    int line = 0;     // 1 is the first; 0: the whole file
    std::string key;  // "camera[2].url"; empty: the whole file
    std::string rule;
    bool warning = false;  // the configuration works, but somebody should know
};
// "halfdoor.toml:12: camera[2].url: must begin with rtsp:// or rtsps://"
std::string to_string(const Problem& problem);

struct ReadConfig {
    Config config;                  // meaningful only if no problem is an error
    std::vector<Problem> problems;  // in the order of lines
    bool ok() const;
};

// Every key that a configuration may hold, as "camera.url": for the sample's test.
std::vector<std::string> known_keys();

// Pure: text to values. `file` is only a name. password_file is looked at by read_config.
ReadConfig parse_config(std::string_view text, std::string_view file);

// Reads the file, checks its mode (a file with a password that group or others can read is refused)
// and reads each password_file (relative to the config file's folder; first line; same rule of
// mode). For `halfdoord --check-config`.
ReadConfig read_config(const std::string& path);

// All errors in one text, one a line, for a program that ends. Empty if there is none.
std::string errors_text(const ReadConfig& read);

// A [[camera]] block with a fresh id for `halfdoor cameras add`, to be appended to the file.
struct NewCamera {
    std::string name, url, user, password_file;
};
Result<std::string> camera_block(const NewCamera& camera);

}  // namespace hd::config
