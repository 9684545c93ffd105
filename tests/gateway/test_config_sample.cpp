// The annotated sample repeats every default; here it is compared with the structs that own them.
#include <algorithm>
#include <fstream>
#include <sstream>

#include <doctest/doctest.h>

#include "gateway/config/config.hpp"

using namespace hd;
using namespace hd::config;

namespace {

std::string sample() {
    std::ifstream in(HALFDOOR_SAMPLE);
    REQUIRE(in.good());
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

bool is_unset_line(std::string_view line) {
    if (!line.starts_with("# ")) return false;
    line.remove_prefix(2);
    if (line.starts_with("[[")) return true;
    const std::size_t equals = line.find(" = ");
    if (equals == std::string_view::npos) return false;
    return std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(equals),
                       [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

// The sample with its unset keys set, but for the second way to give a password.
std::string everything_set() {
    std::istringstream in(sample());
    std::string out, line;
    while (std::getline(in, line)) {
        if (is_unset_line(line) && line.find("password = ") == std::string::npos) line.erase(0, 2);
        out += line + "\n";
    }
    return out;
}

}  // namespace

TEST_SUITE("gateway/config/sample") {
    TEST_CASE("the sample is a valid configuration, as it is and with everything set") {
        const ReadConfig plain = parse_config(sample(), "sample");
        CHECK_MESSAGE(plain.problems.empty(), errors_text(plain));
        const ReadConfig full = parse_config(everything_set(), "sample");
        CHECK_MESSAGE(full.problems.empty(), errors_text(full));
        CHECK(full.config.cameras.size() == 1);
        CHECK(full.config.endpoints.dashboard_clients.size() == 1);
    }

    TEST_CASE("each value in the sample is the default") {
        const Config got = parse_config(everything_set(), "sample").config;
        const HubSettings hub;
        CHECK(got.hub.data_folder == hub.data_folder);
        CHECK(got.hub.runtime_folder == hub.data_folder + "/run");
        CHECK(got.hub.log_level == hub.log_level);
        CHECK(got.hub.recorder_program == hub.recorder_program);
        CHECK(got.hub.gate_program == hub.gate_program);
        CHECK(got.hub.recorder_user == hub.recorder_user);
        CHECK(got.hub.index_memory_bytes == hub.index_memory_bytes);
        const RetentionSettings retention;
        CHECK(got.retention.max_age == retention.max_age);
        CHECK(got.retention.max_bytes == retention.max_bytes);
        CHECK(got.retention.camera_max_bytes == retention.camera_max_bytes);
        CHECK(got.retention.reserve_bytes == retention.reserve_bytes);
        CHECK(got.retention.delete_per_s == retention.delete_per_s);
        const EndpointsSettings endpoints;
        CHECK(got.endpoints.ipc_mode == endpoints.ipc_mode);
        CHECK(got.endpoints.owner_tcp == endpoints.owner_tcp);
        CHECK(got.endpoints.dashboard_tcp == endpoints.dashboard_tcp);
        CHECK(got.endpoints.events_tcp == endpoints.events_tcp);
        CHECK(got.requester.listen == RequesterSettings{}.listen);
        REQUIRE(got.cameras.size() == 1);
        const CameraSettings camera;
        CHECK(got.cameras[0].enabled == camera.enabled);
        CHECK(got.cameras[0].max_age == camera.max_age);
        CHECK(got.cameras[0].max_bytes == camera.max_bytes);
        // What [recording] says must be what the recorder's own struct says.
        link::RecorderSettings fresh, from_sample = got.cameras[0].recorder;
        fresh.camera = from_sample.camera;
        fresh.name = from_sample.name;
        fresh.url = from_sample.url;
        fresh.user = from_sample.user;
        fresh.password = from_sample.password;
        CHECK(link::settings_hash(from_sample) == link::settings_hash(fresh));
        CHECK(link::encode_settings(from_sample) == link::encode_settings(fresh));
    }

    TEST_CASE("every key that the reader knows is in the sample") {
        std::istringstream in(sample());
        std::vector<std::string> here;
        std::string line, table;
        while (std::getline(in, line)) {
            if (is_unset_line(line)) line.erase(0, 2);
            if (line.starts_with("[")) {
                table = line.substr(line.find_first_not_of('['));
                table = table.substr(0, table.find(']'));
                here.push_back(table);
            } else if (const auto equals = line.find(" = ");
                       equals != std::string::npos && !line.starts_with("#")) {
                here.push_back(table + "." + line.substr(0, equals));
                if (table == "recording") here.push_back("camera." + line.substr(0, equals));
            }
        }
        const auto keys = known_keys();
        CHECK(keys.size() > 40);
        for (const std::string& key : keys) {
            CAPTURE(key);
            CHECK(std::find(here.begin(), here.end(), key) != here.end());
        }
    }
}
