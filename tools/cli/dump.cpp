// dump: finds out what kind of file it is, from its first bytes, and prints it as JSON lines.
#include "tools/cli/dump.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gateway/ledger/card.hpp"
#include "index/base/encoding.hpp"
#include "index/journal/journal.hpp"
#include "tools/cli/app.hpp"

namespace hd::cli {
namespace {

// Enough for any magic, and for the kind that a journal's header names.
constexpr std::uint64_t kLookBytes = 256;

struct DumpArgs {
    std::vector<std::string> files;
    bool hashes = false;
    bool headers = false;
};

bool looks_like_text(std::string_view head) {
    return !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
        const auto u = static_cast<unsigned char>(c);
        return u == '\n' || u >= 0x20;
    });
}

Result<std::string> journal_kind(const std::string& path) {
    Result<std::string> out = Error{ErrorCode::corrupt, path + ": not a journal"};
    for (const char* kind : {"camera", "clock", "request"}) {
        auto read = journal::read(real_file_system(), path, kind, 0,
                                  [](const journal::Record&, std::uint64_t) {});
        if (read) return std::string(kind);
    }
    return out;
}

Result<int> dump_one(Context& ctx, const std::string& path, const DumpArgs& args) {
    HD_ASSIGN(const Bytes look, real_file_system().read_range(path, 0, kLookBytes));
    const std::string_view head = as_text(look);
    if (head.empty()) return Error{ErrorCode::corrupt, path + ": empty file"};
    if (head.starts_with("age-encryption.org/v1\n")) return dump_age(ctx, path);
    if (head.starts_with("HALFCLIP")) return dump_clip(ctx, path, {args.hashes, args.headers});
    if (looks_like_text(head)) return dump_note(ctx, path);
    if (auto kind = journal_kind(path)) return dump_journal(ctx, path, *kind);
    return with_next(
        Error{ErrorCode::corrupt, path + ": none of our files, or its head is damaged"},
        "dump reads clips, journals, clock.log, requests.log, notes (cards, policies, "
        "requests, answers, grants) and age files");
}

Result<int> dump(Context& ctx, DumpArgs& args) {
    int worst = kOk;
    for (const std::string& path : args.files) {
        if (args.files.size() > 1) ctx.out.json_line(Json{{"file", path}});
        auto code = dump_one(ctx, path, args);
        if (!code && args.files.size() == 1) return code.error();
        if (!code) ctx.warn("halfdoor: " + code.error().what);
        worst = std::max<int>(worst, code ? *code : exit_for(code.error().code));
    }
    return worst;
}

}  // namespace

Result<int> dump_note(Context& ctx, const std::string& path) {
    HD_ASSIGN(const std::string text, read_text(ctx, path, "dump", ledger::kMaxNoteBytes));
    auto note = ledger::parse_note(text);
    if (!note) return note.error().in(path);
    Json lines = Json::array();
    std::string_view rest = note->text;
    std::string_view format;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const auto space = line.find(' ');
        if (format.empty() && lines.empty() && space == std::string_view::npos)
            format = line;
        else if (space == std::string_view::npos)
            lines.push_back(Json::array({line}));
        else
            lines.push_back(Json::array({line.substr(0, space), line.substr(space + 1)}));
    }
    Json signatures = Json::array();
    for (const auto& s : note->signatures)
        signatures.push_back(Json{{"name", s.name}, {"key_id", fmt::format("{:08x}", s.key_id)}});
    Json out{{"note", format},
             {"lines", std::move(lines)},
             {"signatures", std::move(signatures)},
             {"sha256", to_hex(sha256(as_bytes(text)))}};
    // Only a card carries the key that signed it; other notes need the signer's card to verify.
    if (format.starts_with("halfdoor-card/")) {
        const auto card = ledger::parse_card(text);
        out["verified"] = card.ok();
        if (card)
            out["fingerprint"] = ledger::fingerprint(card->hash);
        else
            out["problem"] = card.error().what;
        ctx.out.json_line(out);
        return card ? kOk : kDamaged;
    }
    ctx.out.json_line(out);
    return kOk;
}

void add_dump_verb(Frame& frame) {
    auto args = std::make_shared<DumpArgs>();
    CLI::App* sub = frame.verb(
        "Files and developers",
        {"dump", "Print any of our files as JSON lines",
         R"(Clips (finished or .part), journals, clock.log, requests.log, notes (cards, policies,
requests, answers, grants) and age files. No key is needed: nothing is opened.
Exit 4: a part is damaged; the lines say which.

  halfdoor dump clips/0b1f.../2026-11-22/130000.120000Z-9c01e2aa.clip
  halfdoor dump --headers --hashes FILE.clip | jq 'select(.record=="piece") | .age.stanza_fits'
  halfdoor dump journal/clock.log
)"});
    sub->add_option("file", args->files, "Files")->required();
    sub->add_flag("--hashes", args->hashes, "Clips: read everything and compare every SHA-256");
    sub->add_flag("--headers", args->headers,
                  "Clips: the age header of each piece, and whether its stanza fits");
    frame.on(sub, args, dump);
}

}  // namespace hd::cli
