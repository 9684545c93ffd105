// The drive of a hub is away: what anybody says then would be lost, so nobody is told that it
// stands.
#include <filesystem>
#include <utility>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include "index/base/clock.hpp"
#include "tests/gateway/daemon_hub.hpp"

using namespace hd;
using test::camera;
using test::TestHub;

namespace {

namespace stdfs = std::filesystem;

constexpr const char* kHold =
    R"({"from":"2026-11-20T10:00:00Z","to":"2026-11-20T11:00:00Z","why":"insurance"})";

test::HubCamera switched_off(std::uint8_t fill) {
    test::HubCamera out = camera(fill, fmt::format("camera {}", fill), "piece_ms=50");
    out.enabled = false;
    return out;
}

// The data folder gives way to an empty one, as a mount point does; sockets are reached as before.
class Unmounted {
  public:
    explicit Unmounted(const TestHub& hub) : data_(hub.data()), away_(hub.path("away")) {
        stdfs::rename(data_, away_);
        stdfs::create_directory(data_);
        stdfs::create_directory_symlink(away_ + "/run", data_ + "/run");
    }
    // What was put there meanwhile.
    std::size_t files() const {
        std::size_t count = 0;
        for (const auto& entry : stdfs::recursive_directory_iterator(data_)) {
            if (entry.path() != data_ + "/run") ++count;
        }
        return count;
    }
    ~Unmounted() {
        stdfs::remove_all(data_);  // The link, not what it names.
        stdfs::rename(away_, data_);
    }
    Unmounted(const Unmounted&) = delete;
    Unmounted& operator=(const Unmounted&) = delete;

  private:
    std::string data_, away_;
};

}  // namespace

TEST_SUITE("gateway/daemon/drive") {
    TEST_CASE("while the hub's drive is away nothing is confirmed and nothing is put there") {
        TestHub hub({switched_off(1)});
        hub.start();
        const auto first = hub.ask("hold", kHold);
        REQUIRE_FALSE(first.error.has_value());
        const std::string hold = first.body.text_or("hold", "");
        consent::Policy revoked = hub.policy.policy;
        revoked.requesters.clear();
        revoked.number = 2;
        revoked.previous = hub.policy.hash;
        const auto note = consent::sign_policy(revoked, hub.owner);
        REQUIRE(note.ok());
        const ByteView bytes = as_bytes(note->bytes);
        const Bytes frame(bytes.begin(), bytes.end());
        {
            const Unmounted unmounted(hub);
            const std::pair<const char*, std::string> said[] = {
                {"hold", kHold},        {"unhold", fmt::format(R"({{"hold":"{}"}})", hold)},
                {"policy.apply", "{}"}, {"grant.begin", "{}"},
                {"grant.put", "{}"},    {"grant.commit", "{}"},
                {"grant.abort", "{}"},  {"check", "{}"},
                {"reindex", "{}"},      {"gate.ask", "{}"},
                {"gate.fetch", "{}"}};
            for (const auto& [verb, json] : said) {
                CAPTURE(verb);
                const bool gate = std::string_view(verb).starts_with("gate.");
                const auto reply = hub.ask(verb, json, {frame}, gate ? "gate" : "owner");
                REQUIRE(reply.error.has_value());
                CHECK(reply.error->code == ErrorCode::unavailable);
                CHECK(reply.error->what.find("drive is away") != std::string::npos);
            }
            CHECK(hub.ask("holds").body.array_or_empty("holds").size() == 1);
            CHECK(hub.ask("policy").body.int_or("number", 0) == 1);
            CHECK_FALSE(hub.ask("status").error.has_value());
            // A camera is added meanwhile: its journal begins when the drive is back.
            hub.cameras.push_back(switched_off(2));
            hub.cameras.back().enabled = true;
            hub.write_config();
            hub.signal(SIGHUP);
            CHECK(hub.wait_for(
                [&] { return hub.log_text().find("cameras=2") != std::string::npos; }));
            CHECK_FALSE(hub.ask("status").error.has_value());
            CHECK(hub.wait_for([&] { return !hub.camera_state("camera 2").empty(); }));
            CHECK(unmounted.files() == 0);
        }
        CHECK_FALSE(hub.ask("unhold", fmt::format(R"({{"hold":"{}"}})", hold)).error.has_value());
        CHECK_FALSE(hub.ask("policy.apply", "{}", {frame}).error.has_value());
        CHECK(hub.ask("policy").body.int_or("number", 0) == 2);
        CHECK(hub.end(SIGTERM) == "exit code 0");
    }

    TEST_CASE("no recorder begins before the journal says since when there was none") {
        TestHub hub({camera(1, "door", "piece_ms=50")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        const std::string journal =
            hub.data() + "/journal/" + to_string(hub.cameras[0].id) + ".log";
        // What is opened under its name takes nothing.
        stdfs::rename(journal, journal + ".away");
        stdfs::create_directory(journal);
        hub.kill_recorders();
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "disk_problem"; }));
        CHECK(hub.recorders().empty());
        stdfs::remove(journal);
        stdfs::rename(journal + ".away", journal);
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        CHECK(hub.end(SIGTERM) == "exit code 0");
    }
}
