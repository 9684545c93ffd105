// The thread `rpc`: all ZeroMQ endpoints of halfdoord, the verbs behind them, requests, grants,
// releases and the numbering of events. It writes requests/, releases/ and policy/; the index and
// the recorders are asked through their queues.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>

#include "gateway/config/config.hpp"
#include "gateway/daemon/drive_watch.hpp"
#include "gateway/daemon/grant_desk.hpp"
#include "gateway/daemon/header_desk.hpp"
#include "gateway/daemon/hold_desk.hpp"
#include "gateway/daemon/hub_identity.hpp"
#include "gateway/daemon/meta_desk.hpp"
#include "gateway/daemon/request_desk.hpp"
#include "gateway/wire/event_log.hpp"
#include "gateway/wire/server.hpp"

namespace hd::daemon {

// What `super` wants to know of the gate.
struct GateWatch {
    std::atomic<std::int64_t> last_asked_us{INT64_MIN};  // BOOTTIME
};

class RpcWorker {
    struct Token {  // Only open() can make one.
        explicit Token() = default;
    };

  public:
    struct Wiring;
    RpcWorker(Token, const config::Config& config, Wiring wiring,
              std::unique_ptr<wire::Server> server, RequestDesk requests, ReleaseShelf shelf);
    struct Wiring {  // Borrowed; all must outlive the worker.
        FileSystem& fs;
        Clock& clock;
        const store::Store& store;
        StatusBoard& board;
        RulingBoard& ruling;
        CheckBoard& checks;
        HoldBoard& holds;
        EventOutbox& events;
        IndexInbox& inbox;
        GateWatch& gate;
        const DriveWatch& drive;
    };
    // Reads hub, policy, requests and releases; self-tests ZAP and binds every endpoint. Any
    // failure is an error and the program ends: nothing is served half open.
    static Result<std::unique_ptr<RpcWorker>> open(const config::Config& config, Wiring wiring);

    void run(const std::stop_token& stop);
    // Makes step() return; thread-safe.
    void wake() { server_->wake(); }

  private:
    void deliver(wire::Incoming&& incoming);
    // The wall before the disk: what is written while the hub's drive is away is lost with the next
    // start, so that it may not be confirmed to anybody.
    VerbResult answer(const wire::Incoming& incoming, const wire::Request& request);
    VerbResult dispatch(const wire::Incoming& incoming, const wire::Request& request);
    VerbResult dispatch_shared(wire::Role role, const wire::Request& request);
    VerbResult dispatch_owner(const wire::Request& request);
    VerbResult dispatch_gate(const wire::Request& request);
    VerbResult hello(wire::Role role, const wire::Request& request) const;
    VerbResult status(const wire::Request& request) const;
    VerbResult events_since(const wire::Request& request) const;
    VerbResult policy(const wire::Request& request) const;
    VerbResult policy_apply(const wire::Request& request);
    VerbResult hub_card(const wire::Request& request) const;
    VerbResult gate_policy(const wire::Request& request);

    void load_hub();
    void set_ruling(std::optional<consent::SignedPolicy> policy);
    void allow_keys();
    void publish_events();
    const consent::Policy* ruling_policy() const;

    const config::Config& config_;  // Must outlive this; constant.
    Wiring wiring_;
    const WallTime started_;
    // Only the `rpc` thread (and the constructor).
    std::unique_ptr<wire::Server> server_;
    wire::EventLog log_;
    std::optional<HubIdentity> hub_;
    std::shared_ptr<const Ruling> ruling_;
    MetaDesk meta_;
    RequestDesk requests_;
    HeaderDesk headers_;
    GrantDesk grants_;
    HoldDesk holds_;
    BootTime next_tidy_{};
    std::string hub_trouble_;
};

}  // namespace hd::daemon
