// policy show | sign | apply: the owner's numbered, signed rules.
#include <fmt/format.h>

#include "gateway/ledger/hub_folder.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/cards.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/policy_files.hpp"

namespace hd::cli {
namespace {

struct ShowArgs {
    std::string file;
    std::string owner_card;
    bool note = false;
};

struct SignArgs {
    std::string draft;
    std::string output;
    std::string previous;
    bool force = false;
};

struct ApplyArgs {
    std::string note;
    std::string owner_card;
};

Result<int> policy_show(Context& ctx, ShowArgs& args) {
    if (!args.file.empty()) {
        HD_ASSIGN(const std::string text,
                  read_text(ctx, args.file, "policy", consent::kMaxPolicyBytes));
        if (auto draft = consent::parse_policy_text(text, ledger::TextForm::draft); draft) {
            show_policy(ctx, nullptr, *draft);
            return kOk;
        }
    }
    HD_ASSIGN(const ledger::NoteKey owner, find_owner_key(ctx, args.owner_card));
    std::optional<consent::SignedPolicy> policy;
    if (args.file.empty()) {
        HD_ASSIGN(policy, present_policy(ctx, owner));
    } else {
        HD_ASSIGN(const std::string text,
                  read_text(ctx, args.file, "policy", consent::kMaxPolicyBytes));
        auto parsed = consent::parse_policy(text, owner);
        if (!parsed) return parsed.error().in(args.file);
        policy = std::move(*parsed);
    }
    if (!policy)
        return with_next(Error{ErrorCode::not_found, "this hub has no policy yet"},
                         "halfdoor policy edit first.draft, then sign and apply it");
    if (args.note)
        ctx.out.raw(policy->bytes);
    else
        show_policy(ctx, &*policy, policy->policy);
    return kOk;
}

// The policy that the draft follows: given, or what this tool or the hub's folder remembers.
Result<std::optional<consent::SignedPolicy>> previous_policy(Context& ctx, const SignArgs& args,
                                                             const HubId& hub,
                                                             const ledger::NoteKey& owner) {
    std::optional<consent::SignedPolicy> out;
    std::string text;
    if (!args.previous.empty()) {
        HD_ASSIGN(text, read_text(ctx, args.previous, "--previous", consent::kMaxPolicyBytes));
    } else {
        HD_ASSIGN(const HubMemory memory, recall_hub(ctx, hub));
        if (!memory.policy) return out;
        text = *memory.policy;
    }
    HD_ASSIGN(out, consent::parse_policy(text, owner));
    return out;
}

Result<int> policy_sign(Context& ctx, SignArgs& args) {
    HD_ASSIGN(const std::string text,
              read_text(ctx, args.draft, "draft", consent::kMaxPolicyBytes));
    auto draft = consent::parse_policy_text(text, ledger::TextForm::draft);
    if (!draft) return draft.error().in(args.draft);
    HD_ASSIGN(const seal::Identity identity, load_identity(ctx));
    const ledger::NoteSigner owner =
        ledger::person_signer(identity.secret, ledger::CardKind::owner);
    HD_ASSIGN(const auto previous, previous_policy(ctx, args, draft->hub, owner.key()));
    if (previous && draft->previous == previous->hash) {
        for (const std::string& change : consent::describe_changes(&previous->policy, *draft))
            ctx.note("  " + change);
    } else {
        for (const std::string& line : consent::describe_changes(nullptr, *draft))
            ctx.note("  " + line);
    }
    bool opens = false;
    for (const auto& r : draft->recipients) opens = opens || r.age == identity.recipient;
    if (!opens)
        ctx.warn(
            "Mind: your own key is not among the recipients. What is recorded under this "
            "policy, you cannot open.");
    HD_ASSIGN(const bool yes,
              ctx.ask_at_terminal(
                  fmt::format("Sign policy {} for hub {}?", draft->number, to_string(draft->hub))));
    if (!yes) return kNo;
    HD_ASSIGN(const consent::SignedPolicy done, consent::sign_policy(*draft, owner));
    HD_TRY(write_new_file({args.output, 0644, args.force}, done.bytes));
    ctx.out.facts(
        {{"file", args.output}, {"number", done.policy.number}, {"sha256", to_hex(done.hash)}});
    ctx.note(fmt::format("  next, with the hub: halfdoor policy apply {}", args.output));
    return kOk;
}

Result<void> apply_online(Context& ctx, const consent::SignedPolicy& next) {
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    const auto reply =
        ask_hub(hub, "policy.apply", "{}", {Bytes(next.bytes.begin(), next.bytes.end())});
    if (!reply) return reply.error();
    return {};
}

Result<int> policy_apply(Context& ctx, ApplyArgs& args) {
    HD_ASSIGN(const ledger::NoteKey owner, find_owner_key(ctx, args.owner_card));
    HD_ASSIGN(const std::string text,
              read_text(ctx, args.note, "policy", consent::kMaxPolicyBytes));
    auto next = consent::parse_policy(text, owner);
    if (!next)
        return with_next(next.error().in(args.note),
                         "only a note signed by this hub's owner counts: halfdoor policy sign");
    const bool online = !ctx.opt.connect.empty() || hub_is_up(ctx);
    if (online) {
        HD_TRY(apply_online(ctx, *next));
    } else {
        HD_ASSIGN(const std::string data, find_data_folder(ctx));
        HD_ASSIGN(const auto present, policy_in_folder(data, owner));
        HD_TRY(store_policy_in_folder(data, *next, present ? &*present : nullptr));
    }
    HD_TRY(remember_policy(ctx, *next));
    ctx.out.facts({{"number", next->policy.number},
                   {"sha256", to_hex(next->hash)},
                   {"applied", online ? "by the running hub" : "to the data folder"}});
    return kOk;
}

}  // namespace

void add_policy_verbs(Frame& frame) {
    CLI::App* policy = frame.verb(
        "Keys and consent",
        {"policy", "Show, edit, sign and apply the owner's policy",
         R"(The policy says who can open video, who may ask, and what they learn. It is numbered and signed
by the owner; each follows the one before.

  halfdoor policy show
  halfdoor policy edit next.draft --add-requester police.card --name "county police" --level clips
  halfdoor policy sign next.draft --key owner.key -o next.note       on the owner's device
  halfdoor policy apply next.note

Levels: silent   )" +
             std::string(consent::reveals(consent::Level::silent)) +
             R"(
        coverage )" +
             std::string(consent::reveals(consent::Level::coverage)) +
             R"(
        clips    )" +
             std::string(consent::reveals(consent::Level::clips)) + "\n"});
    policy->require_subcommand(1);
    auto show = std::make_shared<ShowArgs>();
    CLI::App* sub =
        frame.sub_verb(policy, {"show", "Show the ruling policy, a note or a draft", ""});
    sub->add_option("file", show->file, "A policy note or a draft (default: the hub's)");
    sub->add_option("--owner-card", show->owner_card, "The owner's card, to verify with");
    sub->add_flag("--note", show->note, "Print the signed note itself");
    frame.on(sub, show, policy_show);

    add_policy_edit_verb(frame, policy);

    auto sign = std::make_shared<SignArgs>();
    sub =
        frame.sub_verb(policy, {"sign", "Sign a draft with the owner's key",
                                "Run it on the owner's device: the key never goes to the hub.\n"});
    sub->add_option("draft", sign->draft, "The draft")->required();
    sub->add_option("-o,--output", sign->output, "The note to write")->required();
    sub->add_option("--previous", sign->previous, "The policy before, to show what changes");
    sub->add_flag("--force", sign->force, "Replace an existing file");
    frame.on(sub, sign, policy_sign);

    auto apply = std::make_shared<ApplyArgs>();
    sub =
        frame.sub_verb(policy, {"apply", "Give a signed policy to the hub",
                                "To the running hub, or into its data folder while it is down.\n"});
    sub->add_option("note", apply->note, "The signed policy")->required();
    sub->add_option("--owner-card", apply->owner_card, "The owner's card, to verify with");
    frame.on(sub, apply, policy_apply);
}

}  // namespace hd::cli
