// The gate's loop: the requester endpoint on one side, the hub's gate.sock on the other, the desk
// between.
//
// One thread, passive: run() is called by main() or a test and ends when `stop` says so or
// something fails closed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/gate/desk.hpp"
#include "gateway/wire/client.hpp"
#include "gateway/wire/server.hpp"
#include "index/base/clock.hpp"

namespace hd::gate {

constexpr Micros kPolicyPeriod = std::chrono::milliseconds(500);
// Without the hub nobody can be answered and no policy is known: the gate ends, and so shuts.
constexpr Micros kHubLost = std::chrono::seconds(10);
constexpr std::size_t kMaxRequesters = 64;

struct GateSettings {
    std::string hub;     // "ipc:///.../gate.sock"
    std::string listen;  // "tcp://address:port"
    wire::CurveKey key;  // of the requester endpoint
    Micros hub_lost = kHubLost;
};

// Who may come in, by the hub's gate.policy reply.
struct Admission {
    std::int64_t number = 0;
    bool changed = false;  // false: `requesters` says nothing
    std::vector<wire::AllowedKey> requesters;
};
// corrupt: not a reply of that verb, a bad key, one key twice, too many.
Result<Admission> read_admission(const wire::Reply& reply, std::int64_t known);

class Gate {
  public:
    // Proves first that access control fails closed. Binds nothing yet: that waits for a policy
    // which names somebody.
    static Result<std::unique_ptr<Gate>> open(GateSettings settings, Clock& clock);

    // Serves until stop() is true (looked at about every 250 ms): success. unavailable: the hub was
    // lost. Everything else: a step failed closed.
    Result<void> run(const std::function<bool()>& stop);
    Result<void> step(BootTime until);

    bool listening() const { return server_->has_endpoint(kEndpoint); }
    // Why run() ended: the hub has not answered for GateSettings::hub_lost.
    bool hub_lost() const { return hub_lost_; }
    const DeskCounters& counters() const { return desk_.counters(); }

    // For open() only.
    Gate(GateSettings settings, Clock& clock, std::unique_ptr<wire::Server> server,
         wire::Client hub);

  private:
    static constexpr std::string_view kEndpoint = "requester";

    Result<void> admit(const Admission& admission);
    Result<void> hear_hub();
    Result<void> ask_hub(BootTime now);

    GateSettings settings_;
    Clock& clock_;  // must outlive this
    std::unique_ptr<wire::Server> server_;
    wire::Client hub_;
    Desk desk_;
    std::int64_t known_policy_ = 0;
    BootTime next_policy_;
    BootTime hub_heard_;
    bool hub_lost_ = false;
};

}  // namespace hd::gate
