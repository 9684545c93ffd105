// init: makes a hub: data folder, the hub's own keys and card, a first config, the first policy.
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>

#include "gateway/config/config.hpp"
#include "gateway/consent/policy.hpp"
#include "gateway/ledger/hub_folder.hpp"
#include "gateway/wire/keys.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/camera_login.hpp"
#include "tools/cli/cards.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/policy_files.hpp"
#include "tools/cli/where.hpp"

namespace hd::cli {
namespace {

struct InitArgs {
    std::string owner_card;
    bool owner_key_here = false;
    std::string owner_name = "owner";
    std::string recovery_card;
    std::string recovery;
    std::string config_out = "halfdoor.toml";
    std::string hub_name = "hub";
    std::string draft_out;
    std::string cell;
    std::vector<std::string> cameras;
    std::string listen;
    bool force = false;
};

const char* const kKeyLossWords =
    "The owner's key opens the video, and nothing else does. If it is lost and there is no "
    "recovery "
    "key, everything that was recorded is lost: nobody can help.";

struct NamedCamera {
    std::string name;
    CameraUrl at;
};

// Asks for passwords, so before anything is made: half a hub must not stay behind.
Result<std::vector<NamedCamera>> read_cameras(Context& ctx, const InitArgs& args) {
    std::vector<NamedCamera> out;
    for (const std::string& text : args.cameras) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0)
            return Error{ErrorCode::invalid,
                         "--camera wants NAME=URL, like door=rtsp://10.0.0.7/main"};
        NamedCamera camera{text.substr(0, equals), split_url(text.substr(equals + 1))};
        if (!camera.at.password.empty()) {
            ctx.warn(
                fmt::format("the password of camera {} was on the command line, where every user "
                            "of this machine could see it; leave it out of the URL and init asks",
                            camera.name));
        } else if (!camera.at.user.empty()) {
            HD_ASSIGN(camera.at.password, ask_password(ctx, camera.name));
        }
        out.push_back(std::move(camera));
    }
    return out;
}

Result<std::string> camera_toml(const InitArgs& args, const NamedCamera& camera) {
    std::string file;
    if (!camera.at.password.empty()) {
        // Beside the config: a relative name in it is relative to its folder.
        file = camera.name + ".password";
        for (char& c : file)
            if (c == '/' || c == ' ') c = '-';
        HD_TRY(write_new_file({join(parent_folder(args.config_out), file), 0600, args.force},
                              camera.at.password + "\n"));
    }
    return config::camera_block({camera.name, camera.at.url, camera.at.user, file});
}

std::string toml_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
    }
    return out + "\"";
}

Result<void> write_config(const InitArgs& args, const std::vector<NamedCamera>& cameras,
                          const std::string& data) {
    std::string text = fmt::format(
        "# Written by `halfdoor init`. Every key, its default and its effect: "
        "halfdoor.sample.toml\n"
        "[hub]\ndata_folder = {}\n",
        toml_text(std::filesystem::absolute(data).lexically_normal().string()));
    if (!args.listen.empty())
        text += fmt::format("\n[requester]\nlisten = {}\n", toml_text(args.listen));
    for (const NamedCamera& camera : cameras) {
        HD_ASSIGN(const std::string block, camera_toml(args, camera));
        text += "\n" + block;
    }
    const auto read = config::parse_config(text, args.config_out);
    if (!read.ok()) return Error{ErrorCode::invalid, config::errors_text(read)};
    return write_new_file({args.config_out, 0640, args.force}, text);
}

// The owner's card: given, or made with a key that stays on this hub.
struct Owner {
    ledger::SignedCard card;
    std::optional<seal::Identity> identity;  // at hand: policy 1 can be signed now
};
Result<Owner> find_owner(Context& ctx, const InitArgs& args, const std::string& data) {
    if (args.owner_key_here) {
        seal::Identity identity = seal::generate_identity();
        HD_TRY(seal::write_key_file(hub_file(data, ledger::kOwnerKeyHereFile), identity,
                                    ctx.clock.wall()));
        HD_ASSIGN(
            ledger::SignedCard card,
            ledger::make_person_card(identity.secret, ledger::CardKind::owner, args.owner_name));
        return Owner{std::move(card), std::move(identity)};
    }
    HD_ASSIGN(ledger::SignedCard card, load_card(ctx, args.owner_card, "--owner-card"));
    if (card.card.kind != ledger::CardKind::owner)
        return with_next(Error{ErrorCode::invalid, args.owner_card + " is not an owner's card"},
                         "halfdoor card make --kind owner ...");
    if (ctx.opt.key.empty()) return Owner{std::move(card), std::nullopt};
    HD_ASSIGN(seal::Identity identity, load_identity(ctx));
    if (seal::to_string(identity.recipient) != card.card.age_recipient)
        return Error{ErrorCode::invalid, "--key and --owner-card are not of the same person"};
    return Owner{std::move(card), std::move(identity)};
}

Result<ledger::SignedCard> make_hub(const InitArgs& args, const std::string& data) {
    Secret<32> seed;
    random_bytes(seed.mut());
    HD_TRY(ledger::write_hub_seed(hub_file(data, ledger::kHubKeyFile), seed));
    const ledger::NoteSigner signer = ledger::hub_signer(seed);
    ledger::Card card;
    card.kind = ledger::CardKind::hub;
    card.name = args.hub_name;
    card.note = signer.key();
    for (const auto& [use, file] :
         {std::pair{ledger::CurveUse::owner, ledger::kOwnerCurveFile},
          std::pair{ledger::CurveUse::dashboard, ledger::kDashboardCurveFile},
          std::pair{ledger::CurveUse::events, ledger::kEventsCurveFile},
          std::pair{ledger::CurveUse::requester, ledger::kRequesterCurveFile}}) {
        const wire::CurveKey key = wire::CurveKey::generate();
        HD_TRY(wire::write_curve_key(hub_file(data, file), key));
        card.curve.push_back({use, key.public_key});
    }
    ledger::SignedCard done = ledger::sign_card(card, signer);
    HD_TRY(write_file_atomic(hub_file(data, ledger::kHubCardFile), as_bytes(done.bytes), 0644));
    return done;
}

Result<void> add_recovery(Context& ctx, const InitArgs& args, consent::Policy& policy) {
    if (!args.recovery_card.empty()) {
        HD_ASSIGN(const auto card, load_card(ctx, args.recovery_card, "--recovery-card"));
        HD_ASSIGN(const auto age, seal::parse_recipient(card.card.age_recipient));
        policy.recipients.push_back({age, "recovery"});
    }
    if (!args.recovery.empty()) {
        const seal::Identity identity = seal::generate_identity();
        HD_TRY(seal::write_key_file(args.recovery, identity, ctx.clock.wall()));
        policy.recipients.push_back({identity.recipient, "recovery"});
        ctx.warn(fmt::format("Recovery key: {0}. Print it, put the paper away, then: shred -u {0}",
                             args.recovery));
    }
    if (args.cell.empty()) return {};
    HD_ASSIGN(policy.cell, parse_cell(args.cell));
    return {};
}

Result<void> require_empty(const std::string& data) {
    if (!real_file_system().exists(hub_file(data, ledger::kHubKeyFile))) return {};
    return with_next(Error{ErrorCode::refused, data + " is a hub already"},
                     "choose another --data. A hub's key is never replaced: its cameras, cards and "
                     "policies belong to it");
}

void say_what_now(Context& ctx, const InitArgs& args, const std::string& draft, bool signed_now) {
    ctx.warn(kKeyLossWords);
    if (args.owner_key_here)
        ctx.warn(
            "Mind: the owner's key is on this hub (for trying out): a thief of this hub can "
            "open the video. `halfdoor status` will say so too.");
    if (signed_now) {
        ctx.note(fmt::format("  next: halfdoord --config {}", args.config_out));
        return;
    }
    ctx.note(fmt::format(
        "Nothing is recorded before the first policy says who can open it.\n"
        "  next, on the owner's device:  halfdoor policy sign {0} --key owner.key -o "
        "policy-1.note\n"
        "  then here:                    halfdoor policy apply policy-1.note --config {1}\n"
        "  then:                         halfdoord --config {1}",
        draft, args.config_out));
}

Result<std::string> first_policy(Context& ctx, const InitArgs& args, const std::string& data,
                                 const Owner& owner, const ledger::SignedCard& hub) {
    HD_ASSIGN(consent::Policy policy,
              consent::first_policy(ledger::hub_id(hub.card.note.key), owner.card));
    HD_TRY(add_recovery(ctx, args, policy));
    if (owner.identity) {
        HD_ASSIGN(const auto done,
                  consent::sign_policy(policy, ledger::person_signer(owner.identity->secret,
                                                                     ledger::CardKind::owner)));
        HD_TRY(store_policy_in_folder(data, done, nullptr));
        return std::string();
    }
    const std::string draft = args.draft_out.empty()
                                  ? join(parent_folder(args.config_out), "policy-1.draft")
                                  : args.draft_out;
    HD_TRY(write_new_file({draft, 0644, args.force}, consent::to_draft(policy)));
    return draft;
}

Result<int> init(Context& ctx, InitArgs& args) {
    if (args.owner_card.empty() == !args.owner_key_here)
        return with_next(Error{ErrorCode::invalid, "init needs to know the owner"},
                         "give --owner-card FILE (made with `halfdoor keygen` and `halfdoor card "
                         "make` on the owner's device), or --owner-key-here for trying out");
    const std::string data =
        ctx.opt.data.empty() ? config::HubSettings{}.data_folder : ctx.opt.data;
    HD_TRY(require_empty(data));
    if (!args.force && real_file_system().exists(args.config_out))
        return with_next(Error{ErrorCode::invalid, args.config_out + " exists already"},
                         "choose another with --config-out, or add --force to replace it");
    HD_ASSIGN(const std::vector<NamedCamera> cameras, read_cameras(ctx, args));
    for (const char* folder : {"hub", "policy", "clips", "journal", "requests", "releases"})
        HD_TRY(real_file_system().make_folders(join(data, folder), 0700));
    HD_ASSIGN(const Owner owner, find_owner(ctx, args, data));
    HD_TRY(write_file_atomic(hub_file(data, ledger::kOwnerCardFile), as_bytes(owner.card.bytes),
                             0644));
    HD_TRY(write_config(args, cameras, data));
    HD_ASSIGN(const ledger::SignedCard hub, make_hub(args, data));
    HD_ASSIGN(const std::string draft, first_policy(ctx, args, data, owner, hub));
    ctx.out.facts({{"data_folder", data},
                   {"config", args.config_out},
                   {"hub", to_string(ledger::hub_id(hub.card.note.key))},
                   {"hub_card", hub_file(data, ledger::kHubCardFile)},
                   {"hub_fingerprint", ledger::fingerprint(hub.hash)},
                   {"owner", owner.card.card.name},
                   {"owner_fingerprint", ledger::fingerprint(owner.card.hash)},
                   {"cameras", args.cameras.size()},
                   {"policy", draft.empty() ? "1, signed and applied" : draft + ", to be signed"}});
    say_what_now(ctx, args, draft, draft.empty());
    return kOk;
}

}  // namespace

void add_init_verb(Frame& frame) {
    auto a = std::make_shared<InitArgs>();
    CLI::App* sub = frame.verb(
        "The hub",
        {"init", "Make a hub: data folder, its keys and card, config, first policy",
         R"(The owner's secret is made on the owner's own device; the hub takes the card only. With --key
(the owner's key at hand) policy 1 is signed at once; without it, init prints the two commands for
the owner's device.

  halfdoor init --owner-card owner.card --data /var/lib/halfdoor --config-out halfdoor.toml \
      --camera door=rtsp://10.0.0.7/main --camera yard=rtsp://user@10.0.0.8/h264
  halfdoor init --owner-key-here --data ./try --camera door=rtsp://127.0.0.1:8554/cam0

A camera with a user: its password is asked for, or read as a line of standard input, and goes into
a file of its own (0600), not into the config.
)"});
    sub->add_option("--owner-card", a->owner_card, "The owner's card");
    sub->add_flag("--owner-key-here", a->owner_key_here,
                  "Make the owner's key on this hub, for trying out: whoever steals the hub can "
                  "open the video");
    sub->add_option("--owner-name", a->owner_name, "Name in the card of --owner-key-here");
    sub->add_option("--recovery-card", a->recovery_card,
                    "Card of a second key that can open video");
    sub->add_option("--recovery", a->recovery,
                    "Make a second key that can open video, in this new file, to print");
    sub->add_option("--camera", a->cameras, "NAME=URL; may be repeated");
    sub->add_option("--cell", a->cell, "LAT,LON of the hub, rounded to about 1 km");
    sub->add_option("--hub-name", a->hub_name, "Name in the hub's card");
    sub->add_option("--requester-listen", a->listen,
                    "tcp://ADDRESS:PORT for requesters; opens only when a policy names one");
    sub->add_option("--config-out", a->config_out, "Config to write (default halfdoor.toml)");
    sub->add_option("--draft-out", a->draft_out, "Draft of policy 1 (default beside the config)");
    sub->add_flag("--force", a->force, "Replace an existing config (never a hub's keys)");
    frame.on(sub, a, init);
}

}  // namespace hd::cli
