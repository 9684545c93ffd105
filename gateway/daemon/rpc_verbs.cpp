// The verbs that RpcWorker answers itself: about the hub, its policy and its events.
#include "gateway/daemon/rpc_worker.hpp"
#include "index/base/encoding.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

using wire::JsonFields;
using wire::JsonWriter;

VerbResult RpcWorker::hello(wire::Role role, const wire::Request& request) const {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    JsonWriter out;
    out.begin_object()
        .field("version", HALFDOOR_VERSION)
        .field("protocol", wire::kProtocolVersion)
        .field("hub", hub_ ? to_string(hub_->id) : std::string())
        .field("role", wire::to_string(role))
        .field("time", wiring_.clock.wall())
        .key("events")
        .begin_object()
        .field("run", log_.run())
        .field("last", log_.last())
        .end_object()
        .end_object();
    return VerbReply{std::move(out).take(), {}};
}

VerbResult RpcWorker::status(const wire::Request& request) const {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    const std::int64_t gate_asked = wiring_.gate.last_asked_us.load();
    const BootTime now = wiring_.clock.boot();
    const StatusFacts facts{
        .now = wiring_.clock.wall(),
        .started = started_,
        .boot_now = now,
        .clock = wiring_.clock.quality(),
        .data_folder = config_.hub.data_folder,
        .ruling = ruling_.get(),
        .events = static_cast<std::uint64_t>(log_.last()),
        .dropped_events = wiring_.events.dropped(),
        .dropped_notices = wiring_.inbox.refused(),
        .wire = server_->counters(),
        .requester_on = gate_asked != INT64_MIN && now.us - gate_asked < 5'000'000};
    return VerbReply{status_json(facts, wiring_.board), {}};
}

VerbResult RpcWorker::events_since(const wire::Request& request) const {
    JsonFields in(request.body);
    const std::string run = in.text_or("run", "", 16);
    const std::int64_t n = in.integer("n", {0, INT64_MAX});
    const std::int64_t limit = in.integer_or("limit", 100, {1, 1000});
    HD_TRY(in.finish());
    return VerbReply{log_.since(run, n, static_cast<std::size_t>(limit)), {}};
}

VerbResult RpcWorker::policy(const wire::Request& request) const {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    JsonWriter out;
    out.begin_object();
    const bool rules = ruling_ && ruling_->policy;
    out.field("number", rules ? ruling_->policy->policy.number : std::uint64_t{0});
    out.field("hash", rules ? to_hex(ruling_->policy->hash) : std::string());
    out.field("hub", hub_ ? to_string(hub_->id) : std::string());
    out.end_object();
    return VerbReply{std::move(out).take(), {rules ? frame_of(ruling_->policy->bytes) : Bytes{}}};
}

VerbResult RpcWorker::policy_apply(const wire::Request& request) {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    HD_TRY(want_frames(request, 1));
    load_hub();
    if (!hub_) return Error{ErrorCode::unavailable, "run `halfdoor init` on this hub first"};
    const consent::SignedPolicy* present = ruling_ && ruling_->policy ? &*ruling_->policy : nullptr;
    HD_ASSIGN(auto next, store_policy(wiring_.fs, config_.hub.data_folder, hub_->id,
                                      hub_->owner.card.note, present, as_text(request.binary[0])));
    JsonWriter out;
    out.begin_object()
        .field("number", next.policy.number)
        .field("hash", to_hex(next.hash))
        .end_object();
    if (present == nullptr || present->hash != next.hash) set_ruling(std::move(next));
    return VerbReply{std::move(out).take(), {}};
}

VerbResult RpcWorker::hub_card(const wire::Request& request) const {
    JsonFields in(request.body);
    HD_TRY(in.finish());
    if (!hub_ || hub_->card.empty()) {
        return Error{ErrorCode::not_found, "this hub has no card: run `halfdoor init`"};
    }
    JsonWriter out;
    out.begin_object().field("hub", hub_->id).end_object();
    return VerbReply{std::move(out).take(), {frame_of(hub_->card)}};
}

VerbResult RpcWorker::gate_policy(const wire::Request& request) {
    JsonFields in(request.body);
    const std::int64_t known = in.integer_or("known", 0, {0, INT64_MAX});
    HD_TRY(in.finish());
    wiring_.gate.last_asked_us.store(wiring_.clock.boot().us);
    const consent::Policy* policy = ruling_policy();
    const std::uint64_t number = policy != nullptr ? policy->number : 0;
    JsonWriter out;
    out.begin_object().field("number", number);
    if (policy != nullptr && static_cast<std::uint64_t>(known) != number) {
        out.key("requesters").begin_array();
        for (const consent::PolicyRequester& requester : policy->requesters) {
            out.begin_object()
                .field("user", user_of(requester))
                .field("curve_key", wire::to_z85_text(requester.curve))
                .end_object();
        }
        out.end_array();
    }
    out.end_object();
    return VerbReply{std::move(out).take(), {}};
}

}  // namespace hd::daemon
