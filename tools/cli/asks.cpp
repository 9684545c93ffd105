#include "tools/cli/asks.hpp"

#include <fmt/format.h>

#include "tools/cli/cards.hpp"
#include "tools/cli/hub.hpp"

namespace hd::cli {
namespace {

std::optional<std::string> first_readable(const std::vector<std::string>& paths) {
    for (const std::string& path : paths)
        if (auto bytes = real_file_system().read(path, consent::kMaxRequestBytes))
            return std::string(as_text(*bytes));
    return std::nullopt;
}

// The request as we sent it. From a release folder it counts only with our own signature.
Result<std::string> own_request(const std::vector<std::string>& folders,
                                std::span<const seal::Identity> identities) {
    std::vector<std::string> paths;
    for (const auto& folder : folders) paths.push_back(join(folder, "request.note"));
    const auto text = first_readable(paths);
    if (!text)
        return with_next(Error{ErrorCode::not_found, "the request that this answers is not here"},
                         "give --saved DIR (the folder of `halfdoor ask --save DIR`)");
    HD_ASSIGN(const consent::SignedRequest request, consent::parse_request(*text));
    for (const seal::Identity& identity : identities) {
        const auto us = ledger::person_signer(identity.secret, ledger::CardKind::requester).key();
        if (ledger::verify_single(request.note, us)) return *text;
    }
    return with_next(Error{ErrorCode::refused, "the request was not signed with this --key"},
                     "use the key that asked");
}

Result<std::vector<ledger::NoteKey>> granter_keys(Context& ctx, const TrustOptions& options,
                                                  const std::string& kept) {
    std::vector<std::string> cards = options.owner_cards;
    const std::string saved = join(kept, "owner.card");
    if (cards.empty() && !kept.empty() && real_file_system().exists(saved)) cards.push_back(saved);
    std::vector<ledger::NoteKey> out;
    for (const std::string& path : cards) {
        HD_ASSIGN(const ledger::SignedCard card, load_card(ctx, path, "--owner-card"));
        out.push_back(card.card.note);
    }
    if (!out.empty()) return out;
    return with_next(
        Error{ErrorCode::invalid, "this needs to know who may grant: the owner of the hub"},
        "add --owner-card FILE (the hub's owner sends it; compare its fingerprint by telephone)");
}

}  // namespace

Result<std::string> ask_folder(Context& ctx, const RequestId& request) {
    HD_ASSIGN(const std::string state, ctx.state_folder());
    const std::string folder = join(join(state, "asks"), to_string(request));
    HD_TRY(real_file_system().make_folders(folder, 0700));
    return folder;
}

Result<void> use_kept_hub_card(Context& ctx, const TrustOptions& options,
                               const RequestId& request) {
    if (!ctx.opt.hub_card.empty()) return {};
    std::string kept = options.saved;
    if (kept.empty()) {
        HD_ASSIGN(kept, ask_folder(ctx, request));
    }
    const std::string card = join(kept, "hub.card");
    if (real_file_system().exists(card)) ctx.opt.hub_card = card;
    return {};
}

Result<consent::ReleaseTrust> release_trust(Context& ctx, const TrustOptions& options,
                                            const std::optional<RequestId>& request,
                                            const std::string& release_folder,
                                            std::span<const seal::Identity> identities) {
    std::string kept = options.saved;
    if (kept.empty() && request) {
        HD_ASSIGN(kept, ask_folder(ctx, *request));
    }
    std::vector<std::string> folders;
    if (!kept.empty()) folders.push_back(kept);
    if (!release_folder.empty()) folders.push_back(release_folder);
    HD_ASSIGN(std::string note, own_request(folders, identities));
    if (kept.empty()) {
        HD_ASSIGN(kept, ask_folder(ctx, ledger::request_id_of(note)));
    }
    HD_TRY(use_kept_hub_card(ctx, {{}, kept}, ledger::request_id_of(note)));
    if (ctx.opt.hub_card.empty())
        return with_next(Error{ErrorCode::invalid, "this needs the hub's card"},
                         "add --hub-card FILE (the one that was used to ask)");
    HD_ASSIGN(const ledger::SignedCard hub, load_hub_card(ctx));
    HD_ASSIGN(auto granters, granter_keys(ctx, options, kept));
    return consent::ReleaseTrust{std::move(granters), hub.card.note, std::move(note), identities};
}

}  // namespace hd::cli
