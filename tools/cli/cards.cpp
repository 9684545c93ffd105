// card make | show | verify: public keys under a signature, and the fingerprint that people
// compare.
#include "tools/cli/cards.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/keys.hpp"

namespace hd::cli {
namespace {

struct MakeArgs {
    std::string kind = "owner";
    std::string name;
    std::string output;
    bool force = false;
};

struct ShowArgs {
    std::string file;
    std::string fingerprint;
};

// People type fingerprints with or without dashes, in either case, and write O for 0 or I for 1.
std::string plain_fingerprint(std::string_view text) {
    std::string out;
    for (const char raw : text) {
        const char c = static_cast<char>(std::toupper(static_cast<unsigned char>(raw)));
        if (c == '-' || c == ' ') continue;
        out.push_back(c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c);
    }
    return out;
}

Result<int> card_make(Context& ctx, MakeArgs& args) {
    HD_ASSIGN(const ledger::CardKind kind, ledger::parse_card_kind(args.kind));
    if (kind == ledger::CardKind::hub)
        return with_next(Error{ErrorCode::invalid, "a hub's card is made on the hub"},
                         "run `halfdoor init` there; its card is then <data>/hub/hub.card");
    HD_ASSIGN(const seal::Identity identity, load_identity(ctx));
    HD_ASSIGN(const ledger::SignedCard card,
              ledger::make_person_card(identity.secret, kind, args.name));
    if (args.output == "-") {
        ctx.out.raw(card.bytes);
        ctx.note("Fingerprint: " + ledger::fingerprint(card.hash));
        return kOk;
    }
    HD_TRY(write_new_file({args.output, 0644, args.force}, card.bytes));
    Row facts = card_facts(card);
    facts.insert(facts.begin(), Cell{"file", args.output});
    ctx.out.facts(facts);
    ctx.note(
        "A card holds no secret: send it by mail. The other side compares the fingerprint "
        "with what you read out over the telephone.");
    return kOk;
}

Result<int> card_show(Context& ctx, ShowArgs& args) {
    HD_ASSIGN(const ledger::SignedCard card, load_card(ctx, args.file, "card"));
    ctx.out.facts(card_facts(card));
    return kOk;
}

Result<int> card_verify(Context& ctx, ShowArgs& args) {
    HD_ASSIGN(const ledger::SignedCard card, load_card(ctx, args.file, "card"));
    const std::string seen = ledger::fingerprint(card.hash);
    Row facts = card_facts(card);
    if (args.fingerprint.empty()) {
        facts.emplace_back("verified", "signature");
        ctx.out.facts(facts);
        ctx.note(
            "The signature is the card's own. Whose card it is, only the fingerprint tells: "
            "have it read out to you, then add --fingerprint.");
        return kOk;
    }
    const bool same = plain_fingerprint(seen) == plain_fingerprint(args.fingerprint);
    facts.emplace_back("verified", same ? "signature and fingerprint" : "signature only");
    ctx.out.facts(facts);
    if (same) return kOk;
    return with_next(
        Error{ErrorCode::refused, fmt::format("the fingerprint of {} is {}, not {}", args.file,
                                              seen, args.fingerprint.substr(0, 64))},
        "do not use this card; ask its owner to send it again and to read the fingerprint out");
}

}  // namespace

Result<ledger::SignedCard> load_card(Context& ctx, const std::string& path, std::string_view what) {
    HD_ASSIGN(const std::string text, read_text(ctx, path, what, ledger::kMaxNoteBytes));
    auto card = ledger::parse_card(text);
    if (!card) return card.error().in(path);
    return card;
}

Row card_facts(const ledger::SignedCard& card) {
    Row out{{"kind", std::string(ledger::to_string(card.card.kind))}, {"name", card.card.name}};
    if (card.card.kind == ledger::CardKind::hub)
        out.emplace_back("hub", to_string(ledger::hub_id(card.card.note.key)));
    if (!card.card.age_recipient.empty()) out.emplace_back("recipient", card.card.age_recipient);
    out.emplace_back("note_key", ledger::to_vkey(card.card.note));
    for (const ledger::CurveKey& key : card.card.curve)
        out.emplace_back(fmt::format("curve_{}", ledger::to_string(key.use)), to_z85(key.key));
    out.emplace_back("sha256", to_hex(card.hash));
    out.emplace_back("fingerprint", ledger::fingerprint(card.hash));
    return out;
}

void add_card_verbs(Frame& frame) {
    CLI::App* card = frame.verb(
        "Keys and consent",
        {"card", "Make, show or verify a card (public keys)",
         R"(A card is a signed note with a name and public keys. It holds no secret. Its fingerprint,
read out over a telephone, is the only thing that people ever compare.

  halfdoor card make --key owner.key --kind owner --name "Ada" -o owner.card
  halfdoor card show police.card
  halfdoor card verify police.card --fingerprint 7K2M-...
)"});
    card->require_subcommand(1);
    auto make = std::make_shared<MakeArgs>();
    CLI::App* sub = frame.sub_verb(
        card,
        {"make", "Make a card from your secret key",
         R"(  halfdoor card make --key police.key --kind requester --name "County Police" -o police.card
)"});
    sub->add_option("--kind", make->kind, "owner, approver (household) or requester")
        ->check(CLI::IsMember({"owner", "approver", "requester"}));
    sub->add_option("--name", make->name, "Your name, printable ASCII, at most 64 characters")
        ->required();
    sub->add_option("-o,--output", make->output, "File to write; - prints the card")->required();
    sub->add_flag("--force", make->force, "Replace an existing file");
    frame.on(sub, make, card_make);

    auto show = std::make_shared<ShowArgs>();
    sub = frame.sub_verb(card, {"show", "Show a card, its signature checked", ""});
    sub->add_option("file", show->file, "The card")->required();
    frame.on(sub, show, card_show);

    auto verify = std::make_shared<ShowArgs>();
    sub = frame.sub_verb(card, {"verify", "Check a card and compare its fingerprint",
                                "Exit 0: it is that card. 1: another fingerprint. 4: damaged.\n"});
    sub->add_option("file", verify->file, "The card")->required();
    sub->add_option("--fingerprint", verify->fingerprint, "What its owner read out to you");
    frame.on(sub, verify, card_verify);
}

}  // namespace hd::cli
