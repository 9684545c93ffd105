// A whole halfdoord in a temporary folder for the daemon's tests: keys, policy, configuration, the
// real program, and recorders that are the fake one (tests/support/fake_recorder.cpp).
// $HALFDOORD and $HALFDOOR_FAKE_RECORDER name the programs; meson sets them.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/consent/approval.hpp"
#include "gateway/daemon/child.hpp"
#include "gateway/wire/client.hpp"
#include "tests/support/temp_folder.hpp"

namespace hd::test {

struct HubCamera {
    CameraId id;
    std::string name;
    std::string behaviour;  // path of its URL, see fake_recorder.cpp
    bool enabled = true;
};
inline HubCamera camera(std::uint8_t fill, std::string name, std::string behaviour) {
    CameraId id;
    id.bytes.fill(fill);
    return {.id = id, .name = std::move(name), .behaviour = std::move(behaviour)};
}

class TestHub {
  public:
    // Makes the folders, hub keys and cards; `with_policy`: also policy 1 for these cameras.
    explicit TestHub(std::vector<HubCamera> cameras, bool with_policy = true);
    ~TestHub();  // kills what still runs

    void start();  // and waits until it answers
    // Sends the signal and waits for the end; gives the words of ProcessHandle::reap.
    std::string end(int signal);
    bool running() const { return process_.has_value() && !process_->ended(); }
    void signal(int number) { process_->signal(number); }

    // Asks on owner.sock (or another). FAILs the test if there is no answer.
    wire::Reply ask(std::string_view verb, std::string_view json = "{}", wire::Frames binary = {},
                    std::string_view endpoint = "owner");
    // Until the condition is true; false after `seconds`.
    bool wait_for(const std::function<bool()>& condition, int seconds = 20);

    // Text of the closed clips of the last hour, as the hub answers, byte for byte.
    std::string closed_clips(TimeSpan window);
    // How many clips of the window come in pages of one each, from cursor to cursor.
    std::size_t clips_one_by_one(TimeSpan window);
    std::size_t clips_closed();  // rows in the last hour
    wire::Json status();
    std::string camera_state(const std::string& name);
    // Process ids of living recorders, by their lock files.
    std::set<pid_t> recorders() const;
    void kill_recorders();

    void write_config(const std::string& extra = "");
    void apply_policy(consent::Policy policy);
    std::string data() const { return folder_.path("data"); }
    std::string path(const std::string& name) const { return folder_.path(name); }
    std::size_t files_ending(const std::string& end) const;
    std::string log_text() const;

    std::vector<HubCamera> cameras;
    Secret<32> owner_secret, requester_secret, hub_seed;
    ledger::NoteSigner owner, hub;
    HubId hub_id;
    ledger::SignedCard owner_card, requester_card;
    consent::SignedPolicy policy;

  private:
    TempFolder folder_;
    std::optional<daemon::ProcessHandle> process_;
};

Secret<32> fixed_secret(std::uint8_t fill);

}  // namespace hd::test
