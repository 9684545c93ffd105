#include "gateway/gate/gate.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "index/base/log.hpp"

namespace hd::gate {
namespace {

constexpr std::string_view kPolicyCorrelation = "policy";
constexpr int kMaxRepliesAtOnce = 64;
// Replies kept for a requester that does not read: one question at a time makes few.
constexpr int kSendHwm = 4;
constexpr int kReceiveHwm = 8;

Error corrupt(std::string_view what) {
    return {ErrorCode::corrupt, fmt::format("gate.policy: {}", what)};
}

}  // namespace

Result<Admission> read_admission(const wire::Reply& reply, std::int64_t known) {
    if (reply.error) return *reply.error;
    Admission out;
    out.number = reply.body.int_or("number", -1);
    if (out.number < 0) return corrupt("has no number");
    const wire::Json* list = reply.body.find("requesters");
    if (list == nullptr) {
        // No policy at all is a change too: back to nobody.
        out.changed = out.number == 0 && known != 0;
        if (out.number != 0 && out.number != known) return corrupt("has no requesters");
        return out;
    }
    const wire::Json::Array* items = list->as_array();
    if (items == nullptr || items->size() > kMaxRequesters)
        return corrupt("requesters must be a list of at most 64");
    std::set<wire::CurvePublic> seen;
    for (const wire::Json& item : *items) {
        const std::string user = item.text_or("user", "");
        if (!parse_hex_id(user, "user")) return corrupt("a user is not an id");
        auto key = wire::parse_curve_public(item.text_or("curve_key", ""), "curve_key");
        if (!key) return corrupt(key.error().what);
        if (!seen.insert(*key).second) return corrupt("one key stands twice");
        out.requesters.push_back({*key, user});
    }
    out.changed = true;
    return out;
}

Gate::Gate(GateSettings settings, Clock& clock, std::unique_ptr<wire::Server> server,
           wire::Client hub)
    : settings_(std::move(settings)),
      clock_(clock),
      server_(std::move(server)),
      hub_(std::move(hub)) {
    hub_heard_ = clock_.boot();
    next_policy_ = hub_heard_;
}

Result<std::unique_ptr<Gate>> Gate::open(GateSettings settings, Clock& clock) {
    if (!settings.hub.starts_with("ipc:///"))
        return Error{ErrorCode::invalid, "--hub must be an ipc:///... address"};
    if (!settings.listen.starts_with("tcp://"))
        return Error{ErrorCode::invalid, "--listen must be a tcp://address:port"};
    HD_ASSIGN(auto server, wire::Server::open({}));
    wire::ClientSettings client;
    client.address = settings.hub;
    client.limits = wire::kGateLimits;
    HD_ASSIGN(wire::Client hub, wire::Client::open(std::move(client)));
    return std::make_unique<Gate>(std::move(settings), clock, std::move(server), std::move(hub));
}

Result<void> Gate::admit(const Admission& admission) {
    if (!admission.changed) return {};
    std::vector<std::string> users;
    for (const wire::AllowedKey& allowed : admission.requesters) users.push_back(allowed.user);
    desk_.forget_users_except(users);
    if (admission.requesters.empty()) {
        if (listening()) HD_TRY(server_->remove_endpoint(kEndpoint));
    } else if (listening()) {
        HD_TRY(server_->set_allowed(kEndpoint, admission.requesters));
    } else {
        wire::EndpointSettings endpoint;
        endpoint.name = kEndpoint;
        endpoint.role = wire::Role::requester;
        endpoint.address = settings_.listen;
        endpoint.key = settings_.key.clone();
        endpoint.allowed = admission.requesters;
        endpoint.limits = wire::kRequesterLimits;
        endpoint.send_hwm = kSendHwm;
        endpoint.receive_hwm = kReceiveHwm;
        HD_TRY(server_->add_endpoint(std::move(endpoint)));
    }
    known_policy_ = admission.number;
    log::info("gate.policy", "number={} requesters={} listening={}", known_policy_,
              admission.requesters.size(), listening());
    return {};
}

Result<void> Gate::hear_hub() {
    for (int i = 0; i < kMaxRepliesAtOnce; ++i) {
        auto reply = hub_.receive(Micros(0));
        if (!reply) {
            if (reply.error().code == ErrorCode::refused) return reply.error();
            log::warn("hub.reply_unreadable", "error=\"{}\"", reply.error().what);
            continue;
        }
        if (!*reply) return {};
        const BootTime now = clock_.boot();
        hub_heard_ = now;
        if ((*reply)->correlation != kPolicyCorrelation) {
            desk_.take_reply(**reply, now);
            continue;
        }
        auto admission = read_admission(**reply, known_policy_);
        if (!admission) {
            // Starting or busy: the next round asks again; what is known stays in force.
            log::warn("gate.policy_unreadable", "error=\"{}\"", admission.error().what);
            known_policy_ = 0;
            continue;
        }
        HD_TRY(admit(*admission));
    }
    return {};
}

Result<void> Gate::ask_hub(BootTime now) {
    if (now >= next_policy_) {
        next_policy_ = now + kPolicyPeriod;
        wire::JsonWriter out;
        out.begin_object().field("known", known_policy_).end_object();
        // A full queue means that the hub is away; kHubLost decides.
        hub_.send("gate.policy", kPolicyCorrelation, out.text()).ignore();
    }
    for (ToHub& question : desk_.questions())
        hub_.send(question.verb, question.correlation, question.json, std::move(question.binary))
            .ignore();
    return {};
}

Result<void> Gate::step(BootTime until) {
    BootTime now = clock_.boot();
    HD_TRY(ask_hub(now));
    const BootTime wake = desk_.next_due(std::min(until, next_policy_));
    const Micros wait = std::max(Micros(0), wake - now);
    HD_TRY(server_->step(
        wait, [&](wire::Incoming&& in) { desk_.take_message(in, clock_.boot()); }, &hub_));
    HD_TRY(hear_hub());
    now = clock_.boot();
    desk_.expire(now);
    for (ToRequester& reply : desk_.due(now)) server_->reply(reply.peer, reply.frames);
    hub_lost_ = now - hub_heard_ >= settings_.hub_lost;
    if (hub_lost_)
        return Error{
            ErrorCode::unavailable,
            fmt::format("the hub at {} has not answered for {} s", settings_.hub,
                        std::chrono::ceil<std::chrono::seconds>(settings_.hub_lost).count())};
    return {};
}

Result<void> Gate::run(const std::function<bool()>& stop) {
    while (!stop()) HD_TRY(step(clock_.boot() + kTick));
    return {};
}

}  // namespace hd::gate
