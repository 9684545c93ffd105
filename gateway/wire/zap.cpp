#include "gateway/wire/zap.hpp"

#include <fmt/format.h>
#include <zmq.h>

namespace hd::wire {
namespace {

constexpr const char* kZapAddress = "inproc://zeromq.zap.01";
constexpr int kStepMax = 64;
// version, request id, domain, address, routing id, mechanism, credentials (none for NULL).
constexpr std::size_t kMinFrames = 6;
constexpr MessageLimits kZapLimits{
    .max_frames = 8, .max_frame_bytes = 512, .max_message_bytes = 2048, .max_json_bytes = 0};

Bytes frame(std::string_view text) {
    const ByteView view = as_bytes(text);
    return {view.begin(), view.end()};
}

std::string_view status_text(int status) {
    switch (status) {
        case 200:
            return "welcome";
        case 300:
            return "full";
        default:
            return "refused";
    }
}

}  // namespace

ZapVerdict decide_zap(const std::map<std::string, ZapDomain>& domains, const ZapRequest& request) {
    const auto domain = domains.find(request.domain);
    if (domain == domains.end()) return {400, {}};
    const ZapDomain& d = domain->second;
    std::string user = d.everybody;
    if (d.curve) {
        if (request.mechanism != "CURVE" || request.credentials.size() != 32) return {400, {}};
        CurvePublic key{};
        std::copy(request.credentials.begin(), request.credentials.end(), key.begin());
        const auto known = d.keys.find(key);
        if (known == d.keys.end()) return {400, {}};
        user = known->second;
    } else if (request.mechanism != "NULL") {
        return {400, {}};
    }
    if (user.empty()) return {400, {}};
    if (d.free_connections == 0) return {300, {}};
    return {200, user};
}

Result<void> ZapHandler::bind(void* context) {
    HD_ASSIGN(socket_, make_socket(context, ZMQ_REP));
    return bind_to(socket_.get(), kZapAddress).ok() ? Result<void>{}
                                                    : zmq_failure("bind the ZAP handler");
}

Result<void> ZapHandler::step() {
    if (!socket_) return {};
    for (int i = 0; i < kStepMax; ++i) {
        HD_ASSIGN(auto message, receive_message(socket_.get(), kZapLimits, 0));
        if (!message) {
            drained = true;
            return {};
        }
        const Frames& in = message->frames;
        ZapVerdict verdict{500, {}};
        Bytes request_id;
        if (in.size() >= kMinFrames && as_text(in[0]) == "1.0") {
            request_id = in[1];
            verdict = decide_zap(domains, {std::string(as_text(in[2])), std::string(as_text(in[5])),
                                           in.size() > 6 ? in[6] : Bytes{}});
        }
        if (fault_ == testing::ZapFault::lets_everybody_in) verdict = {200, "self-test:good"};
        if (fault_ == testing::ZapFault::lets_nobody_in) verdict = {400, {}};
        if (fault_ == testing::ZapFault::wrong_user && verdict.status == 200)
            verdict.user_id = "somebody:else";
        ++(verdict.status == 200 ? accepted : refused);
        if (verdict.status == 200) {
            // Until the monitor reports the connection, it counts here.
            auto& domain = domains[std::string(as_text(in[2]))];
            if (domain.free_connections > 0) --domain.free_connections;
        }
        // The peer may be gone by now; then the verdict goes nowhere, which lets nobody in.
        send_frames(socket_.get(),
                    {frame("1.0"), request_id, frame(fmt::to_string(verdict.status)),
                     frame(status_text(verdict.status)), frame(verdict.user_id), Bytes{}});
    }
    return {};
}

Result<void> require_zap(void* socket, const std::string& domain, const CurveKey* key,
                         testing::ZapFault fault) {
    if (key != nullptr) HD_TRY(use_curve_server(socket, *key));
    HD_TRY(set_option_bytes(socket, ZMQ_ZAP_DOMAIN, as_bytes(domain), "ZAP_DOMAIN"));
    if (fault == testing::ZapFault::not_enforced) return {};
    return set_option(socket, kZapEnforceDomain, 1, "93 (ZAP_ENFORCE_DOMAIN)");
}

}  // namespace hd::wire
