#include "tools/cli/policy_files.hpp"

#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "gateway/config/config.hpp"
#include "gateway/ledger/hub_folder.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/cards.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/keys.hpp"

namespace hd::cli {
namespace {

std::string policy_path(const std::string& data, std::uint64_t number) {
    return join(join(data, "policy"), fmt::format("{}.note", number));
}

Result<std::string> hub_memory_folder(Context& ctx, const HubId& hub) {
    HD_ASSIGN(const std::string state, ctx.state_folder());
    const std::string folder = join(join(state, "hubs"), to_string(hub));
    HD_TRY(real_file_system().make_folders(folder, 0700));
    return folder;
}

std::optional<std::string> read_if_there(const std::string& path, std::uint64_t limit) {
    auto bytes = real_file_system().read(path, limit);
    if (!bytes) return std::nullopt;
    return std::string(as_text(*bytes));
}

}  // namespace

Result<ledger::NoteKey> find_owner_key(Context& ctx, const std::string& owner_card) {
    if (!owner_card.empty()) {
        HD_ASSIGN(const ledger::SignedCard card, load_card(ctx, owner_card, "--owner-card"));
        return card.card.note;
    }
    if (!ctx.opt.key.empty() && ctx.opt.key != "-") {
        HD_ASSIGN(const seal::Identity identity, load_identity(ctx));
        return ledger::person_signer(identity.secret, ledger::CardKind::owner).key();
    }
    const auto data = find_data_folder(ctx);
    if (data && real_file_system().exists(hub_file(*data, ledger::kOwnerCardFile))) {
        HD_ASSIGN(const ledger::SignedCard card,
                  load_card(ctx, hub_file(*data, ledger::kOwnerCardFile), "owner card"));
        return card.card.note;
    }
    return with_next(Error{ErrorCode::invalid, "this needs to know whose policies count"},
                     "add --owner-card FILE, --key FILE (the owner's) or --data FOLDER");
}

Result<std::optional<consent::SignedPolicy>> policy_in_folder(const std::string& data,
                                                              const ledger::NoteKey& owner) {
    std::optional<consent::SignedPolicy> ruling;
    for (std::uint64_t number = 1;; ++number) {
        const std::string path = policy_path(data, number);
        auto bytes = real_file_system().read(path, consent::kMaxPolicyBytes);
        if (!bytes && bytes.error().code == ErrorCode::not_found) return ruling;
        if (!bytes) return bytes.error();
        auto next = consent::parse_policy(as_text(*bytes), owner);
        if (!next) return next.error().in(path);
        const auto accepted =
            consent::accept_policy(ruling ? &*ruling : nullptr, *next, next->policy.hub);
        if (!accepted) return accepted.error().in(path);
        ruling = std::move(*next);
    }
}

Result<std::optional<consent::SignedPolicy>> present_policy(Context& ctx,
                                                            const ledger::NoteKey& owner) {
    if (ctx.opt.connect.empty() && !hub_is_up(ctx)) {
        HD_ASSIGN(const std::string data, find_data_folder(ctx));
        return policy_in_folder(data, owner);
    }
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "policy"));
    std::optional<consent::SignedPolicy> out;
    if (reply.binary.empty() || reply.binary.front().empty()) return out;
    HD_ASSIGN(out, consent::parse_policy(as_text(reply.binary.front()), owner));
    return out;
}

Result<void> store_policy_in_folder(const std::string& data, const consent::SignedPolicy& next,
                                    const consent::SignedPolicy* present) {
    HubId hub = next.policy.hub;
    if (auto seed = ledger::read_hub_seed(hub_file(data, ledger::kHubKeyFile)); seed)
        hub = ledger::hub_id(ledger::hub_signer(*seed).key().key);
    HD_TRY(consent::accept_policy(present, next, hub));
    const std::string path = policy_path(data, next.policy.number);
    HD_TRY(real_file_system().make_folders(parent_folder(path), 0700));
    return write_file_atomic(path, as_bytes(next.bytes), 0600);
}

Result<HubMemory> recall_hub(Context& ctx, const HubId& hub) {
    HD_ASSIGN(const std::string folder, hub_memory_folder(ctx, hub));
    return HubMemory{folder, read_if_there(join(folder, "hub.card"), ledger::kMaxNoteBytes),
                     read_if_there(join(folder, "policy.note"), consent::kMaxPolicyBytes)};
}

Result<void> check_against_memory(const HubMemory& memory, const consent::SignedPolicy& seen,
                                  const ledger::NoteKey& owner) {
    if (!memory.policy) return {};
    const auto known = consent::parse_policy(*memory.policy, owner);
    if (!known) return known.error().in(join(memory.folder, "policy.note"));
    const bool older = seen.policy.number < known->policy.number;
    const bool other = seen.policy.number == known->policy.number && seen.hash != known->hash;
    if (!older && !other) return {};
    return with_next(
        Error{
            ErrorCode::refused,
            fmt::format("the hub shows policy {}{}, but this tool has seen {}", seen.policy.number,
                        other ? " with other contents" : "", known->policy.number)},
        fmt::format("the hub was set back to an old copy, or it lies. If you restored it yourself, "
                    "apply the newest policy again: halfdoor policy apply {}",
                    join(memory.folder, "policy.note")));
}

Result<void> remember_policy(Context& ctx, const consent::SignedPolicy& seen) {
    HD_ASSIGN(const std::string folder, hub_memory_folder(ctx, seen.policy.hub));
    const std::string path = join(folder, "policy.note");
    if (read_if_there(path, consent::kMaxPolicyBytes) == seen.bytes) return {};
    return write_file_atomic(path, as_bytes(seen.bytes), 0600);
}

Result<void> remember_card(Context& ctx, const HubId& hub, std::string_view card) {
    HD_ASSIGN(const std::string folder, hub_memory_folder(ctx, hub));
    return write_file_atomic(join(folder, "hub.card"), as_bytes(card), 0600);
}

namespace {

using Names = std::vector<std::pair<std::string, std::string>>;

Result<Names> known_cameras(Context& ctx) {
    Names names;
    if (!ctx.opt.connect.empty() || hub_is_up(ctx)) {
        HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
        return camera_names(hub);
    }
    if (const auto path = find_config(ctx)) {
        const config::ReadConfig read = config::read_config(*path);
        for (const auto& camera : read.config.cameras)
            names.emplace_back(to_string(camera.recorder.camera), camera.recorder.name);
    }
    return names;
}

}  // namespace

Result<CameraId> resolve_camera(Context& ctx, const std::string& text) {
    if (auto id = parse_id<CameraId>(text, "camera"); id) return *id;
    HD_ASSIGN(const Names names, known_cameras(ctx));
    std::string known;
    for (const auto& [id, name] : names) {
        if (name == text) return parse_id<CameraId>(id, "camera");
        known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", name);
    }
    return with_next(
        Error{ErrorCode::invalid, fmt::format("no camera is called \"{}\"", text.substr(0, 64))},
        known.empty() ? "give its id (32 hex digits), or --config FILE so that names are known"
                      : "the cameras are " + known);
}

Result<std::vector<std::string>> all_camera_ids(Context& ctx) {
    HD_ASSIGN(const Names names, known_cameras(ctx));
    std::vector<std::string> out;
    for (const auto& [id, name] : names) out.push_back(id);
    if (out.empty())
        return with_next(Error{ErrorCode::not_found, "no camera is configured"},
                         "give --config FILE, or start the hub");
    return out;
}

Result<consent::Cell> parse_cell(std::string_view text) {
    const auto comma = text.find(',');
    double lat = 0, lon = 0;
    const auto number = [](std::string_view part, double& out) {
        while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
        const auto read = std::from_chars(part.data(), part.data() + part.size(), out);
        return read.ec == std::errc{} && read.ptr == part.data() + part.size();
    };
    if (comma == std::string_view::npos || !number(text.substr(0, comma), lat) ||
        !number(text.substr(comma + 1), lon))
        return Error{ErrorCode::invalid,
                     fmt::format("\"{}\" is not a place: LAT,LON in degrees, like 40.71,-74.01",
                                 text.substr(0, 64))};
    return consent::cell_of(lat, lon);
}

namespace {

Json policy_json(const consent::SignedPolicy* signed_policy, const consent::Policy& p) {
    Json out{{"hub", to_string(p.hub)}, {"number", p.number}, {"signed", signed_policy != nullptr}};
    if (signed_policy != nullptr) out["sha256"] = to_hex(signed_policy->hash);
    out["recipients"] = Json::array();
    for (const auto& r : p.recipients)
        out["recipients"].push_back(
            Json{{"label", r.label}, {"recipient", seal::to_string(r.age)}});
    out["approvers"] = Json::array();
    for (const auto& a : p.approvers)
        out["approvers"].push_back(
            Json{{"name", a.name}, {"fingerprint", ledger::fingerprint(a.card)}});
    out["cameras"] = Json::array();
    for (const auto& c : p.cameras) out["cameras"].push_back(to_string(c));
    out["requesters"] = Json::array();
    for (const auto& r : p.requesters)
        out["requesters"].push_back(Json{{"name", r.name},
                                         {"level", consent::to_string(r.level)},
                                         {"requests_per_day", r.requests_per_day},
                                         {"hours_per_day", r.hours_per_day},
                                         {"fingerprint", ledger::fingerprint(r.card)}});
    out["minimum_age_s"] = p.minimum_age_s;
    out["cell"] =
        p.cell ? Json{{"lat", p.cell->lat_e2 / 100.0}, {"lon", p.cell->lon_e2 / 100.0}} : Json();
    return out;
}

}  // namespace

void show_policy(Context& ctx, const consent::SignedPolicy* signed_policy,
                 const consent::Policy& p) {
    if (ctx.out.format() != Format::text) return ctx.out.json_line(policy_json(signed_policy, p));
    ctx.out.say(
        fmt::format("Policy {} of hub {} ({})", p.number, to_string(p.hub),
                    signed_policy != nullptr ? "signed by the owner" : "a draft, not signed"));
    ctx.out.say("\nWho can open video:");
    for (const auto& r : p.recipients)
        ctx.out.say(fmt::format("  {}  {}", r.label, seal::to_string(r.age)));
    ctx.out.say("\nWho may approve besides the owner:");
    for (const auto& a : p.approvers)
        ctx.out.say(fmt::format("  {}  {}", a.name, ledger::fingerprint(a.card)));
    if (p.approvers.empty()) ctx.out.say("  nobody");
    ctx.out.say("\nCameras that may be asked about:");
    for (const auto& c : p.cameras) ctx.out.say("  " + to_string(c));
    if (p.cameras.empty()) ctx.out.say("  none: every answer is empty");
    ctx.out.say("\nWho may ask:");
    for (const auto& r : p.requesters) {
        ctx.out.say(fmt::format("  {}  level {}, {} requests and {} hours a day", r.name,
                                consent::to_string(r.level), r.requests_per_day, r.hours_per_day));
        ctx.out.say(fmt::format("    fingerprint {}", ledger::fingerprint(r.card)));
        ctx.out.say(fmt::format("    {}", consent::reveals(r.level)));
    }
    if (p.requesters.empty()) ctx.out.say("  nobody: the requester endpoint stays closed");
    ctx.out.say(fmt::format("\nA window must have ended {} ago.",
                            short_duration(std::chrono::seconds(p.minimum_age_s))));
    ctx.out.say(p.cell ? fmt::format("The hub says it is near {:.2f}, {:.2f} (about 1 km).",
                                     p.cell->lat_e2 / 100.0, p.cell->lon_e2 / 100.0)
                       : "No cell is set: this hub lies outside every area, so nobody learns "
                         "anything. Set one with `policy edit --cell LAT,LON`.");
}

}  // namespace hd::cli
