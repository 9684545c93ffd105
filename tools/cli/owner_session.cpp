#include "tools/cli/owner_session.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "tools/cli/cards.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/policy_files.hpp"

namespace hd::cli {
namespace {

using Names = std::vector<std::pair<std::string, std::string>>;

Names parse_names(std::string_view text) {
    Names out;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const auto space = line.find(' ');
        if (space != std::string_view::npos)
            out.emplace_back(line.substr(0, space), line.substr(space + 1));
    }
    return out;
}

// The names that this tool saw the last time. A changed one is shown and asked about: the owner
// approves by name, and a dishonest hub could swap two.
Result<Names> check_names(Context& ctx, const HubMemory& memory, Names seen) {
    const std::string path = join(memory.folder, "cameras.txt");
    Names known;
    if (const auto bytes = real_file_system().read(path, 64 * 1024); bytes)
        known = parse_names(as_text(*bytes));
    std::string changed, text;
    for (const auto& [id, name] : seen) {
        text += fmt::format("{} {}\n", id, name);
        const auto old = std::find_if(known.begin(), known.end(),
                                      [&id = id](const auto& k) { return k.first == id; });
        if (old != known.end() && old->second != name)
            changed += fmt::format("  {}: \"{}\" is now called \"{}\"\n", id, old->second, name);
    }
    if (!changed.empty()) {
        ctx.warn("The hub gives cameras other names than before:\n" + changed);
        // --yes is given in advance, by somebody who cannot have seen this.
        if (ctx.opt.yes)
            return with_next(
                Error{ErrorCode::refused, "camera names changed, and --yes does not cover that"},
                fmt::format("see at a terminal whether that is right (halfdoor show REQUEST); or, "
                            "if you renamed them, remove {}",
                            path));
        HD_ASSIGN(const bool yes, ctx.ask_yes_no("Did you rename them?"));
        if (!yes) return Error{ErrorCode::refused, "camera names changed; nothing was done"};
    }
    HD_TRY(write_file_atomic(path, as_bytes(text), 0600));
    return seen;
}

Result<HubId> meet_hub(Context& ctx, wire::Client& hub) {
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "hub.card"));
    if (reply.binary.empty()) return Error{ErrorCode::corrupt, "the hub sent no card"};
    const std::string bytes(as_text(reply.binary.front()));
    HD_ASSIGN(const ledger::SignedCard card, ledger::parse_card(bytes));
    if (card.card.kind != ledger::CardKind::hub)
        return Error{ErrorCode::refused, "the hub sent a card that is not a hub's"};
    const HubId id = ledger::hub_id(card.card.note.key);
    if (!ctx.opt.hub_card.empty()) {
        HD_ASSIGN(const ledger::SignedCard expected, load_hub_card(ctx));
        if (expected.hash != card.hash)
            return Error{ErrorCode::refused, "this is not the hub of " + ctx.opt.hub_card};
    }
    HD_ASSIGN(const HubMemory memory, recall_hub(ctx, id));
    if (memory.card && *memory.card == bytes) return id;
    if (memory.card)
        ctx.warn("The hub has a new card: " + ledger::fingerprint(card.hash));
    else
        ctx.note(fmt::format("First contact with hub {} (fingerprint {}); remembered in {}",
                             to_string(id), ledger::fingerprint(card.hash), memory.folder));
    HD_TRY(remember_card(ctx, id, bytes));
    return id;
}

struct Standing {
    std::optional<ledger::NoteSigner> signer;
    ledger::NoteKey owner;
    consent::SignedPolicy policy;
};

// The policy counts only under the owner's signature. Our key is the owner's, or, with
// --owner-card, an approver's of that policy.
Result<Standing> find_standing(Context& ctx, const std::string& owner_card, std::string_view note,
                               const seal::Identity& identity) {
    ledger::NoteSigner as_owner = ledger::person_signer(identity.secret, ledger::CardKind::owner);
    if (owner_card.empty()) {
        auto policy = consent::parse_policy(note, as_owner.key());
        if (!policy)
            return with_next(policy.error().in("the hub's policy"),
                             "this --key is not the hub's owner; an approver adds --owner-card");
        const ledger::NoteKey owner = as_owner.key();
        return Standing{std::move(as_owner), owner, std::move(*policy)};
    }
    HD_ASSIGN(const ledger::SignedCard card, load_card(ctx, owner_card, "--owner-card"));
    HD_ASSIGN(consent::SignedPolicy policy, consent::parse_policy(note, card.card.note));
    if (as_owner.key() == card.card.note)
        return Standing{std::move(as_owner), card.card.note, std::move(policy)};
    ledger::NoteSigner approver =
        ledger::person_signer(identity.secret, ledger::CardKind::approver);
    const auto& approvers = policy.policy.approvers;
    if (std::none_of(approvers.begin(), approvers.end(),
                     [&](const auto& a) { return a.note == approver.key(); }))
        return Error{ErrorCode::refused, "the policy does not name this --key as an approver"};
    return Standing{std::move(approver), card.card.note, std::move(policy)};
}

// Nothing will be signed: only the policy is verified.
Result<Standing> find_reader_standing(Context& ctx, const std::string& owner_card,
                                      std::string_view note) {
    HD_ASSIGN(const ledger::NoteKey owner, find_owner_key(ctx, owner_card));
    auto policy = consent::parse_policy(note, owner);
    if (!policy) return policy.error().in("the hub's policy");
    return Standing{std::nullopt, owner, std::move(*policy)};
}

}  // namespace

std::string OwnerSession::name_of(const CameraId& camera) const {
    const std::string id = to_string(camera);
    for (const auto& [known, name] : names)
        if (known == id) return name;
    return id;
}

Result<CameraId> OwnerSession::camera(const std::string& id_or_name) const {
    if (auto id = parse_id<CameraId>(id_or_name, "camera"); id) return *id;
    for (const auto& [id, name] : names)
        if (name == id_or_name) return parse_id<CameraId>(id, "camera");
    return with_next(Error{ErrorCode::invalid,
                           fmt::format("no camera is called \"{}\"", id_or_name.substr(0, 64))},
                     "`halfdoor cameras` lists them");
}

Result<OwnerSession> open_owner_session(Context& ctx, const std::string& owner_card) {
    std::optional<seal::Identity> identity;
    if (!ctx.opt.key.empty()) {
        HD_ASSIGN(identity, load_identity(ctx));
    }
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const HubId id, meet_hub(ctx, hub));
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "policy"));
    if (reply.binary.empty() || reply.binary.front().empty())
        return with_next(Error{ErrorCode::not_found, "the hub has no policy yet"},
                         "sign and apply the first: halfdoor policy --help");
    const std::string_view note = as_text(reply.binary.front());
    HD_ASSIGN(Standing standing, identity ? find_standing(ctx, owner_card, note, *identity)
                                          : find_reader_standing(ctx, owner_card, note));
    if (standing.policy.policy.hub != id)
        return Error{ErrorCode::refused, "the hub's card and its policy name different hubs"};
    HD_ASSIGN(const HubMemory memory, recall_hub(ctx, id));
    HD_TRY(check_against_memory(memory, standing.policy, standing.owner));
    HD_TRY(remember_policy(ctx, standing.policy));
    HD_ASSIGN(Names seen, camera_names(hub));
    HD_ASSIGN(Names names, check_names(ctx, memory, std::move(seen)));
    return OwnerSession{std::move(hub),
                        std::move(identity),
                        std::move(standing.signer),
                        std::move(standing.owner),
                        id,
                        std::move(standing.policy),
                        std::move(names)};
}

Result<FetchedRequest> fetch_request(OwnerSession& session, const RequestId& id) {
    wire::JsonWriter json;
    json.begin_object().field("request", id).end_object();
    HD_ASSIGN(const wire::Reply reply, ask_hub(session.hub, "request", json.text()));
    if (reply.binary.empty()) return Error{ErrorCode::corrupt, "the hub sent no request note"};
    const std::string_view note = as_text(reply.binary.front());
    if (ledger::request_id_of(note) != id)
        return Error{ErrorCode::refused, "the hub sent another request than the one asked for"};
    HD_ASSIGN(consent::TrustedRequest trusted, consent::trust_request(note, session.policy));
    FetchedRequest out{std::move(trusted), std::nullopt, reply.body.text_or("state", ""), {}};
    if (reply.binary.size() > 1 && !reply.binary[1].empty()) {
        const std::string_view body = as_text(reply.binary[1]);
        if (const auto breach = consent::breach_of_private(out.trusted.request.request, body))
            return Error{ErrorCode::refused,
                         "the private part is not the one of this request: " + breach->rule};
        HD_ASSIGN(out.body, consent::parse_private_body(body));
    }
    if (reply.binary.size() > 2) out.answer = std::string(as_text(reply.binary[2]));
    return out;
}

Row request_facts(const FetchedRequest& fetched) {
    const consent::Request& r = fetched.trusted.request.request;
    Row out{{"request", to_string(ledger::request_id(fetched.trusted.request.hash))},
            {"state", fetched.state},
            {"requester", fetched.trusted.who.name},
            {"fingerprint", ledger::fingerprint(fetched.trusted.who.card)},
            {"level", std::string(consent::to_string(fetched.trusted.who.level))},
            {"offence", std::string(consent::to_string(r.offence))},
            {"from", r.window.begin},
            {"to", r.window.end},
            {"length_s", r.window.length().count() / 1'000'000, short_duration(r.window.length())},
            {"area_m2", consent::area_m2(r.area)},
            {"area", consent::to_text(r.area)},
            {"posted", r.posted},
            {"expires", r.expires},
            {"recipient", seal::to_string(r.recipient)}};
    if (fetched.body) {
        out.emplace_back("case", fetched.body->case_number);
        out.emplace_back("contact", fetched.body->contact);
        if (!fetched.body->text.empty()) out.emplace_back("text", fetched.body->text);
    }
    out.emplace_back("verified", "signature, requester and rules, against your policy");
    return out;
}

}  // namespace hd::cli
