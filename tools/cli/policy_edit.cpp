// policy edit: makes or changes a draft, in an editor or with options that scripts can use.
#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include "gateway/ledger/hub_folder.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/cards.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/policy_files.hpp"

extern char** environ;

namespace hd::cli {
namespace {

struct EditArgs {
    std::string draft;
    std::string owner_card;
    std::string add_requester, name, level;
    std::uint32_t requests_per_day = 0, hours_per_day = 0;
    std::string set_level;
    std::string remove_requester;
    std::string add_approver, remove_approver;
    std::vector<std::string> add_cameras, remove_cameras;
    bool all_cameras = false;
    std::string add_recipient, remove_recipient;
    std::string cell;
    std::int64_t minimum_age_s = -1;
    bool changes_something() const {
        return !add_requester.empty() || !set_level.empty() || !remove_requester.empty() ||
               !add_approver.empty() || !remove_approver.empty() || !add_cameras.empty() ||
               !remove_cameras.empty() || all_cameras || !add_recipient.empty() ||
               !remove_recipient.empty() || !cell.empty() || minimum_age_s >= 0;
    }
};

Result<consent::Level> parse_level(std::string_view text) {
    for (const auto level :
         {consent::Level::silent, consent::Level::coverage, consent::Level::clips})
        if (text == consent::to_string(level)) return level;
    return with_next(Error{ErrorCode::invalid, fmt::format("\"{}\" is not a level", text)},
                     "choose silent, coverage or clips; `halfdoor policy --help` says what each "
                     "reveals");
}

template <typename List>
Result<void> remove_named(List& list, const std::string& name, std::string_view what) {
    const auto before = list.size();
    std::erase_if(list, [&](const auto& item) { return item.name == name; });
    if (list.size() != before) return {};
    return Error{ErrorCode::not_found, fmt::format("no {} is called \"{}\"", what, name)};
}

// Reaching this card's owner by telephone is the person's part; a script gets the fingerprint to
// show. Nothing is in force before the owner signs.
Result<void> compare_fingerprint(Context& ctx, const ledger::SignedCard& card) {
    const std::string what = fmt::format("The card of {} \"{}\" has the fingerprint {}",
                                         ledger::to_string(card.card.kind), card.card.name,
                                         ledger::fingerprint(card.hash));
    if (!ctx.streams.in_is_terminal || ctx.opt.yes) ctx.note(what);
    HD_ASSIGN(const bool same, ctx.ask_at_terminal(what + "\nIs that what they read out to you?"));
    if (same) return {};
    return Error{ErrorCode::refused, "the fingerprint was not confirmed; nothing was written"};
}

Result<void> edit_requesters(Context& ctx, const EditArgs& args, consent::Policy& policy) {
    if (!args.add_requester.empty()) {
        if (args.level.empty())
            return with_next(Error{ErrorCode::invalid, "--add-requester needs --level"},
                             "there is no default: silent, coverage or clips; see `halfdoor policy "
                             "--help`");
        HD_ASSIGN(const auto level, parse_level(args.level));
        HD_ASSIGN(const auto card, load_card(ctx, args.add_requester, "--add-requester"));
        HD_TRY(compare_fingerprint(ctx, card));
        HD_ASSIGN(auto who, consent::requester_from_card(
                                card, args.name.empty() ? card.card.name : args.name, level));
        if (args.requests_per_day > 0) who.requests_per_day = args.requests_per_day;
        if (args.hours_per_day > 0) who.hours_per_day = args.hours_per_day;
        std::erase_if(policy.requesters, [&](const auto& r) { return r.card == who.card; });
        ctx.note(fmt::format("{} will learn: {}", who.name, consent::reveals(level)));
        policy.requesters.push_back(std::move(who));
    }
    if (!args.set_level.empty()) {
        const auto equals = args.set_level.rfind('=');
        if (equals == std::string::npos)
            return Error{ErrorCode::invalid, "--set-level wants NAME=LEVEL"};
        HD_ASSIGN(const auto level, parse_level(args.set_level.substr(equals + 1)));
        const std::string name = args.set_level.substr(0, equals);
        const auto who = std::find_if(policy.requesters.begin(), policy.requesters.end(),
                                      [&](const auto& r) { return r.name == name; });
        if (who == policy.requesters.end())
            return Error{ErrorCode::not_found, fmt::format("no requester is called \"{}\"", name)};
        who->level = level;
        ctx.note(fmt::format("{} will learn: {}", name, consent::reveals(level)));
    }
    if (!args.remove_requester.empty())
        HD_TRY(remove_named(policy.requesters, args.remove_requester, "requester"));
    return {};
}

Result<void> edit_people(Context& ctx, const EditArgs& args, consent::Policy& policy) {
    HD_TRY(edit_requesters(ctx, args, policy));
    if (!args.add_approver.empty()) {
        HD_ASSIGN(const auto card, load_card(ctx, args.add_approver, "--add-approver"));
        HD_TRY(compare_fingerprint(ctx, card));
        HD_ASSIGN(auto who, consent::approver_from_card(
                                card, args.name.empty() ? card.card.name : args.name));
        policy.approvers.push_back(std::move(who));
    }
    if (!args.remove_approver.empty())
        HD_TRY(remove_named(policy.approvers, args.remove_approver, "approver"));
    if (!args.add_recipient.empty()) {
        const auto equals = args.add_recipient.find('=');
        if (equals == std::string::npos)
            return Error{ErrorCode::invalid, "--add-recipient wants LABEL=age1..."};
        HD_ASSIGN(const auto age, seal::parse_recipient(args.add_recipient.substr(equals + 1)));
        policy.recipients.push_back({age, args.add_recipient.substr(0, equals)});
    }
    if (args.remove_recipient.empty()) return {};
    const auto before = policy.recipients.size();
    std::erase_if(policy.recipients,
                  [&](const auto& r) { return r.label == args.remove_recipient; });
    if (policy.recipients.size() == before)
        return Error{ErrorCode::not_found,
                     fmt::format("no recipient is called \"{}\"", args.remove_recipient)};
    return {};
}

Result<void> edit_places(Context& ctx, const EditArgs& args, consent::Policy& policy) {
    std::vector<std::string> add = args.add_cameras;
    if (args.all_cameras) {
        HD_ASSIGN(const auto all, all_camera_ids(ctx));
        add.insert(add.end(), all.begin(), all.end());
    }
    for (const std::string& text : add) {
        HD_ASSIGN(const CameraId camera, resolve_camera(ctx, text));
        if (std::find(policy.cameras.begin(), policy.cameras.end(), camera) == policy.cameras.end())
            policy.cameras.push_back(camera);
    }
    for (const std::string& text : args.remove_cameras) {
        HD_ASSIGN(const CameraId camera, resolve_camera(ctx, text));
        if (std::erase(policy.cameras, camera) == 0)
            return Error{ErrorCode::not_found,
                         fmt::format("camera \"{}\" could not be asked about anyway", text)};
    }
    if (args.minimum_age_s >= 0)
        policy.minimum_age_s = static_cast<std::uint32_t>(args.minimum_age_s);
    if (args.cell == "none") policy.cell.reset();
    if (!args.cell.empty() && args.cell != "none") {
        HD_ASSIGN(policy.cell, parse_cell(args.cell));
    }
    return {};
}

// The draft as it is, or the one that follows the ruling policy, or the first.
Result<consent::Policy> draft_to_edit(Context& ctx, const EditArgs& args) {
    if (real_file_system().exists(args.draft)) {
        HD_ASSIGN(const std::string text,
                  read_text(ctx, args.draft, "draft", consent::kMaxPolicyBytes));
        auto draft = consent::parse_policy_text(text, ledger::TextForm::draft);
        if (!draft) return draft.error().in(args.draft);
        return draft;
    }
    HD_ASSIGN(const ledger::NoteKey owner, find_owner_key(ctx, args.owner_card));
    HD_ASSIGN(const auto present, present_policy(ctx, owner));
    if (present) return consent::next_policy(present->policy, present->hash);
    std::string owner_card = args.owner_card;
    if (owner_card.empty()) {
        HD_ASSIGN(const std::string data, find_data_folder(ctx));
        owner_card = hub_file(data, ledger::kOwnerCardFile);
    }
    HD_ASSIGN(const ledger::SignedCard card, load_card(ctx, owner_card, "--owner-card"));
    HD_ASSIGN(const ledger::SignedCard hub, load_hub_card(ctx));
    return consent::first_policy(ledger::hub_id(hub.card.note.key), card);
}

Result<void> open_editor(const std::string& path) {
    const char* visual = std::getenv("VISUAL");                               // NOLINT: one thread
    const char* editor = visual != nullptr ? visual : std::getenv("EDITOR");  // NOLINT: one thread
    std::string command = editor != nullptr && *editor != '\0' ? editor : "vi";
    command += " \"$1\"";  // $EDITOR may hold arguments, so a shell splits it; the path is data
    std::string shell = "/bin/sh", flag = "-c", name = "halfdoor-edit", file = path;
    char* argv[] = {shell.data(), flag.data(), command.data(), name.data(), file.data(), nullptr};
    pid_t child = 0;
    if (const int rc = ::posix_spawn(&child, shell.c_str(), nullptr, nullptr, argv, environ);
        rc != 0)
        return errno_error(rc, "start editor " + command);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return with_next(Error{ErrorCode::invalid, "the editor ended with an error"},
                     "the draft is at " + path + "; set EDITOR to one that you have");
}

Result<int> policy_edit(Context& ctx, EditArgs& args) {
    HD_ASSIGN(consent::Policy policy, draft_to_edit(ctx, args));
    const consent::Policy before = policy;
    HD_TRY(edit_people(ctx, args, policy));
    HD_TRY(edit_places(ctx, args, policy));
    HD_TRY(consent::check_policy(policy));
    HD_TRY(write_file_atomic(args.draft, as_bytes(consent::to_draft(policy)), 0644));
    if (!args.changes_something() && ctx.streams.in_is_terminal) {
        HD_TRY(open_editor(args.draft));
        HD_ASSIGN(const std::string text,
                  read_text(ctx, args.draft, "draft", consent::kMaxPolicyBytes));
        auto edited = consent::parse_policy_text(text, ledger::TextForm::draft);
        if (!edited)
            return with_next(edited.error().in(args.draft),
                             "correct that line: halfdoor policy edit " + args.draft);
        policy = std::move(*edited);
    }
    Json changes = Json::array();
    for (const std::string& change : consent::describe_changes(&before, policy)) {
        ctx.note("  " + change);
        changes.push_back(change);
    }
    ctx.out.facts({{"draft", args.draft},
                   {"number", policy.number},
                   {"changes", changes, fmt::format("{}", changes.size())}});
    ctx.note(
        fmt::format("  next, on the owner's device: halfdoor policy sign {} --key owner.key "
                    "-o policy-{}.note",
                    args.draft, policy.number));
    return kOk;
}

}  // namespace

void add_policy_edit_verb(Frame& frame, CLI::App* policy) {
    auto a = std::make_shared<EditArgs>();
    CLI::App* sub = frame.sub_verb(
        policy,
        {"edit", "Make or change a draft of the next policy",
         R"(Without options it opens $EDITOR. The draft explains each line. A draft changes nothing until
it is signed and applied.

  halfdoor policy edit next.draft --all-cameras --cell 40.71,-74.01
  halfdoor policy edit next.draft --add-requester police.card --name "county police" --level clips
  halfdoor policy edit next.draft --set-level "county police=coverage"
)"});
    sub->add_option("draft", a->draft, "The draft; made from the ruling policy if missing")
        ->required();
    sub->add_option("--owner-card", a->owner_card, "The owner's card, to verify with");
    sub->add_option("--add-requester", a->add_requester, "Card of somebody who may ask");
    sub->add_option("--name", a->name, "Your own name for whom you add (default: the card's)");
    sub->add_option("--level", a->level, "What they learn: silent, coverage or clips");
    sub->add_option("--requests-per-day", a->requests_per_day, "Their quota of requests");
    sub->add_option("--hours-per-day", a->hours_per_day, "Their quota of hours asked for");
    sub->add_option("--set-level", a->set_level, "NAME=LEVEL: change what a requester learns");
    sub->add_option("--remove-requester", a->remove_requester, "Name of who may no longer ask");
    sub->add_option("--add-approver", a->add_approver, "Card of who may approve besides you");
    sub->add_option("--remove-approver", a->remove_approver, "Name of an approver");
    sub->add_option("--add-camera", a->add_cameras, "Id or name that may be asked about");
    sub->add_option("--remove-camera", a->remove_cameras, "Id or name no longer to ask about");
    sub->add_flag("--all-cameras", a->all_cameras, "Every configured camera may be asked about");
    sub->add_option("--add-recipient", a->add_recipient,
                    "LABEL=age1...: who can open what is recorded from then on");
    sub->add_option("--remove-recipient", a->remove_recipient, "Label of a recipient");
    sub->add_option("--cell", a->cell, "LAT,LON of the hub, rounded to about 1 km; or none");
    sub->add_option("--minimum-age", a->minimum_age_s,
                    "Seconds for which a window must be over before it may be asked about");
    frame.on(sub, a, policy_edit);
}

}  // namespace hd::cli
