#include "gateway/daemon/rpc_worker.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gateway/daemon/event_fields.hpp"
#include "gateway/ledger/hub_folder.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

using wire::JsonFields;
using wire::JsonWriter;
using namespace std::chrono_literals;

namespace {

constexpr Micros kWait = 200ms;
constexpr Micros kTidyPeriod = 1s;
// Events published between two looks at the sockets.
constexpr int kEventsPerTurn = 256;

// What these confirm is on the disk. A first `gate.fetch` writes down that nothing can be recalled.
bool writes(std::string_view verb) {
    constexpr std::string_view kWritingVerbs[] = {
        "grant.begin", "grant.put", "grant.commit", "grant.abort", "policy.apply", "hold",
        "unhold",      "check",     "reindex",      "gate.ask",    "gate.fetch"};
    return std::ranges::find(kWritingVerbs, verb) != std::end(kWritingVerbs);
}

std::string new_run() { return to_string(random_run_id()); }

wire::EndpointSettings ipc_endpoint(const config::Config& config, std::string name, wire::Role role,
                                    wire::MessageLimits limits) {
    wire::EndpointSettings out;
    out.address = "ipc://" + join(config.hub.runtime_folder, name + ".sock");
    out.name = std::move(name);
    out.role = role;
    out.limits = limits;
    out.ipc_mode = config.endpoints.ipc_mode;
    return out;
}

// The tcp twin of an ipc endpoint: the same role, but CURVE and a list of keys.
Result<wire::EndpointSettings> tcp_endpoint(const config::Config& config,
                                            wire::EndpointSettings ipc, const std::string& address,
                                            std::string_view key_file) {
    wire::EndpointSettings out = std::move(ipc);
    out.name += "-tcp";
    out.address = address;
    const std::string path = join(join(config.hub.data_folder, "hub"), key_file);
    auto key = wire::read_or_make_curve_key(path);
    if (!key) return key.error().in(out.name);
    out.key = std::move(*key);
    return out;
}

Result<std::vector<wire::AllowedKey>> dashboard_keys(const config::Config& config) {
    std::vector<wire::AllowedKey> out;
    for (const config::ClientKey& client : config.endpoints.dashboard_clients) {
        HD_ASSIGN(const auto key,
                  wire::parse_curve_public(client.curve_key, "endpoints.dashboard.client"));
        out.push_back({.key = key, .user = client.name});
    }
    return out;
}

wire::EndpointSettings owner_endpoint(const config::Config& config) {
    auto out = ipc_endpoint(config, "owner", wire::Role::owner, wire::kOwnerLimits);
    out.send_hwm = 16;
    return out;
}
wire::EndpointSettings dashboard_endpoint(const config::Config& config) {
    return ipc_endpoint(config, "dashboard", wire::Role::dashboard, wire::kDashboardLimits);
}
wire::EndpointSettings events_endpoint(const config::Config& config) {
    auto out = ipc_endpoint(config, "events", wire::Role::dashboard, wire::kDashboardLimits);
    out.kind = wire::SocketKind::pub;
    out.send_hwm = 1000;
    return out;
}
wire::EndpointSettings gate_endpoint(const config::Config& config) {
    auto out = ipc_endpoint(config, "gate", wire::Role::gate, wire::kGateLimits);
    out.ipc_mode = 0600;
    out.max_connections = 4;
    return out;
}

Result<std::vector<wire::EndpointSettings>> endpoints_of(const config::Config& config) {
    std::vector<wire::EndpointSettings> out;
    out.push_back(owner_endpoint(config));
    out.push_back(dashboard_endpoint(config));
    out.push_back(events_endpoint(config));
    out.push_back(gate_endpoint(config));
    HD_ASSIGN(const auto dashboards, dashboard_keys(config));
    if (const auto& address = config.endpoints.owner_tcp; !address.empty()) {
        HD_ASSIGN(auto tcp,
                  tcp_endpoint(config, owner_endpoint(config), address, ledger::kOwnerCurveFile));
        out.push_back(std::move(tcp));
    }
    if (const auto& address = config.endpoints.dashboard_tcp; !address.empty()) {
        HD_ASSIGN(auto tcp, tcp_endpoint(config, dashboard_endpoint(config), address,
                                         ledger::kDashboardCurveFile));
        tcp.allowed = dashboards;
        out.push_back(std::move(tcp));
    }
    if (const auto& address = config.endpoints.events_tcp; !address.empty()) {
        HD_ASSIGN(auto tcp,
                  tcp_endpoint(config, events_endpoint(config), address, ledger::kEventsCurveFile));
        tcp.allowed = dashboards;
        out.push_back(std::move(tcp));
    }
    return out;
}

}  // namespace

Result<std::unique_ptr<RpcWorker>> RpcWorker::open(const config::Config& config, Wiring wiring) {
    const std::string& data = config.hub.data_folder;
    HD_ASSIGN(auto requests, RequestDesk::open({.fs = wiring.fs,
                                                .clock = wiring.clock,
                                                .store = wiring.store,
                                                .events = wiring.events,
                                                .data_folder = data}));
    HD_ASSIGN(
        auto shelf,
        ReleaseShelf::open(
            {.fs = wiring.fs, .clock = wiring.clock, .holds = wiring.holds, .data_folder = data}));
    HD_ASSIGN(auto endpoints, endpoints_of(config));
    HD_ASSIGN(auto server, wire::Server::open(std::move(endpoints)));
    auto worker = std::make_unique<RpcWorker>(Token(), config, wiring, std::move(server),
                                              std::move(requests), std::move(shelf));
    worker->load_hub();
    return worker;
}

RpcWorker::RpcWorker(Token, const config::Config& config, Wiring wiring,
                     std::unique_ptr<wire::Server> server, RequestDesk requests, ReleaseShelf shelf)
    : config_(config),
      wiring_(wiring),
      started_(wiring.clock.wall()),
      server_(std::move(server)),
      log_(new_run()),
      meta_({.fs = wiring.fs,
             .clock = wiring.clock,
             .store = wiring.store,
             .board = wiring.board,
             .ruling = wiring.ruling,
             .checks = wiring.checks,
             .inbox = wiring.inbox,
             .data_folder = config.hub.data_folder}),
      requests_(std::move(requests)),
      headers_({.fs = wiring.fs,
                .clock = wiring.clock,
                .store = wiring.store,
                .meta = meta_,
                .requests = requests_,
                .data_folder = config.hub.data_folder}),
      grants_({.fs = wiring.fs,
               .clock = wiring.clock,
               .store = wiring.store,
               .requests = requests_,
               .data_folder = config.hub.data_folder},
              std::move(shelf)),
      holds_({.fs = wiring.fs,
              .clock = wiring.clock,
              .board = wiring.board,
              .holds = wiring.holds,
              .data_folder = config.hub.data_folder}) {}

void RpcWorker::load_hub() {
    if (ruling_ && ruling_->policy) return;
    if (!hub_) {
        auto hub = read_hub_identity(wiring_.fs, config_.hub.data_folder);
        if (!hub) {
            if (hub.error().code != ErrorCode::not_found && hub_trouble_ != hub.error().what) {
                hub_trouble_ = hub.error().what;
                log::error("hub.unreadable", "error=\"{}\"", hub_trouble_);
                wiring_.board.raise("hub_identity", "error", hub_trouble_);
            }
            return;
        }
        hub_.emplace(std::move(*hub));
        wiring_.board.clear("hub_identity");
    }
    PolicyFound found =
        find_policy(wiring_.fs, config_.hub.data_folder, hub_->id, hub_->owner.card.note);
    if (!found.trouble.empty() && hub_trouble_ != found.trouble) {
        hub_trouble_ = found.trouble;
        log::error("policy.refused", "error=\"{}\"", found.trouble);
        wiring_.board.raise("policy", "error",
                            "A policy file is not valid, an earlier one rules: " + found.trouble);
    }
    if (found.ruling || !ruling_) set_ruling(std::move(found.ruling));
}

void RpcWorker::set_ruling(std::optional<consent::SignedPolicy> policy) {
    auto ruling = std::make_shared<Ruling>();
    ruling->hub = hub_->id;
    ruling->owner = hub_->owner.card.note;
    ruling->owner_key_here = hub_->owner_key_here;
    ruling->policy = std::move(policy);
    if (ruling->policy) {
        log::info("policy.rules", "number={} recipients={} requesters={}",
                  ruling->policy->policy.number, ruling->policy->policy.recipients.size(),
                  ruling->policy->policy.requesters.size());
    }
    ruling_ = ruling;
    wiring_.ruling.set(std::move(ruling));
    allow_keys();
}

void RpcWorker::allow_keys() {
    if (!server_->has_endpoint("owner-tcp") || !ruling_) return;
    std::vector<wire::AllowedKey> keys;
    if (const auto* key = hub_->owner.card.curve_for(ledger::CurveUse::self); key != nullptr) {
        keys.push_back({.key = *key, .user = "owner"});
    }
    if (ruling_->policy) {
        std::size_t number = 0;
        for (const consent::PolicyApprover& approver : ruling_->policy->policy.approvers) {
            keys.push_back({.key = approver.curve, .user = fmt::format("approver-{}", ++number)});
        }
    }
    if (auto set = server_->set_allowed("owner-tcp", std::move(keys)); !set) {
        log::error("endpoint.keys_not_set", "error=\"{}\"", set.error().what);
    }
}

const consent::Policy* RpcWorker::ruling_policy() const {
    return ruling_ && ruling_->policy ? &ruling_->policy->policy : nullptr;
}

void RpcWorker::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        auto stepped = server_->step(
            kWait, [this](wire::Incoming&& incoming) { deliver(std::move(incoming)); });
        if (!stepped) {
            log::error("rpc.failed", "error=\"{}\" action=end", stepped.error().what);
            wiring_.board.raise("rpc", "error", stepped.error().what);
            return;
        }
        publish_events();
        const BootTime now = wiring_.clock.boot();
        if (now >= next_tidy_) {
            next_tidy_ = now + kTidyPeriod;
            load_hub();
            grants_.tidy();
            holds_.tidy();
        }
    }
    publish_events();
}

void RpcWorker::publish_events() {
    for (int i = 0; i < kEventsPerTurn; ++i) {
        auto event = wiring_.events.next();
        if (!event) return;
        const wire::Frames frames = log_.append(event->topic, event->time, event->fields);
        server_->publish("events", frames);
        if (server_->has_endpoint("events-tcp")) server_->publish("events-tcp", frames);
    }
    server_->wake();  // There may be more.
}

void RpcWorker::deliver(wire::Incoming&& incoming) {
    const wire::MessageLimits limits = incoming.role == wire::Role::owner  ? wire::kOwnerLimits
                                       : incoming.role == wire::Role::gate ? wire::kGateLimits
                                                                           : wire::kDashboardLimits;
    std::string correlation;
    auto request = wire::decode_request(incoming.frames, limits, correlation);
    if (!request) {
        server_->reply(incoming.peer, wire::encode_error(correlation, request.error()));
        return;
    }
    incoming.frames.clear();  // The request has its own copy.
    VerbResult done = answer(incoming, *request);
    if (!done) {
        server_->reply(incoming.peer, wire::encode_error(correlation, done.error()));
        return;
    }
    server_->reply(incoming.peer,
                   wire::encode_reply(correlation, done->json, std::move(done->binary)));
}

VerbResult RpcWorker::answer(const wire::Incoming& incoming, const wire::Request& request) {
    if (!writes(request.verb)) return dispatch(incoming, request);
    if (wiring_.drive.moved()) {
        return Error{ErrorCode::unavailable,
                     "the hub's drive is away; nothing was written; try again when it is back"};
    }
    VerbResult done = dispatch(incoming, request);
    if (wiring_.drive.moved()) {
        return Error{ErrorCode::unavailable,
                     "the hub's drive went away meanwhile; look what was written when it is back"};
    }
    return done;
}

VerbResult RpcWorker::dispatch(const wire::Incoming& incoming, const wire::Request& request) {
    switch (incoming.role) {
        case wire::Role::gate:
            return dispatch_gate(request);
        case wire::Role::owner:
        case wire::Role::dashboard:
            return dispatch_shared(incoming.role, request);
        case wire::Role::requester:
            break;  // Requesters talk to halfdoor-gate; no endpoint of ours gives this role.
    }
    return Error{ErrorCode::refused, "verb: not for this role"};
}

VerbResult RpcWorker::dispatch_shared(wire::Role role, const wire::Request& request) {
    const std::string& verb = request.verb;
    if (verb == "hello") return hello(role, request);
    if (verb == "status") return status(request);
    if (verb == "cameras") return meta_.cameras(request);
    if (verb == "clips") return meta_.clips(request);
    if (verb == "events.since") return events_since(request);
    constexpr std::string_view kOwnerVerbs[] = {
        "requests",     "request",     "dismiss", "headers",      "grant.begin", "grant.put",
        "grant.commit", "grant.abort", "policy",  "policy.apply", "hub.card",    "clip.read",
        "check",        "reindex",     "hold",    "holds",        "unhold"};
    const bool owners = std::ranges::find(kOwnerVerbs, verb) != std::end(kOwnerVerbs);
    if (!owners) return Error{ErrorCode::invalid, "verb: there is no such verb"};
    if (role != wire::Role::owner) {
        return Error{ErrorCode::refused, "verb: only for the owner endpoint"};
    }
    return dispatch_owner(request);
}

VerbResult RpcWorker::dispatch_owner(const wire::Request& request) {
    const std::string& verb = request.verb;
    if (verb == "requests") return requests_.requests(request, ruling_policy());
    if (verb == "request") return requests_.show(request, ruling_policy());
    if (verb == "dismiss") return requests_.dismiss(request);
    if (verb == "headers") return headers_.headers(request);
    if (verb == "grant.begin") return grants_.begin(request);
    if (verb == "grant.put") return grants_.put(request);
    if (verb == "grant.abort") return grants_.abort(request);
    if (verb == "grant.commit") {
        if (!ruling_) return Error{ErrorCode::unavailable, "run `halfdoor init` first"};
        return grants_.commit(request, *ruling_);
    }
    if (verb == "policy") return policy(request);
    if (verb == "policy.apply") return policy_apply(request);
    if (verb == "hub.card") return hub_card(request);
    if (verb == "clip.read") return meta_.clip_read(request);
    if (verb == "check") return meta_.check(request);
    if (verb == "reindex") return meta_.reindex(request);
    if (verb == "hold") return holds_.hold(request);
    if (verb == "holds") return holds_.holds(request);
    if (verb == "unhold") return holds_.unhold(request);
    return Error{ErrorCode::invalid, "verb: there is no such verb"};
}

VerbResult RpcWorker::dispatch_gate(const wire::Request& request) {
    const std::string& verb = request.verb;
    if (verb == "gate.policy") return gate_policy(request);
    if (verb == "gate.ask") {
        if (!hub_ || ruling_policy() == nullptr) {
            return Error{ErrorCode::unavailable, "run `halfdoor init` first"};
        }
        return requests_.ask(request, *hub_, *ruling_policy());
    }
    if (verb == "gate.fetch") return grants_.fetch(request, ruling_policy());
    return Error{ErrorCode::invalid, "verb: there is no such verb"};
}

}  // namespace hd::daemon
