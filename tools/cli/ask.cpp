// ask: a signed request to one hub, and the answer by level.
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "gateway/consent/answer.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/asks.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/when.hpp"

namespace hd::cli {
namespace {

struct AskArgs {
    std::string from, to, area, around, offence, case_number, contact, text, amends, save;
    std::string again;
    std::string lifetime = "7d";
    std::string owner_card;
};

Result<double> degrees(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    double out = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), out);
    if (read.ec == std::errc{} && read.ptr == text.data() + text.size() && std::abs(out) <= 180)
        return out;
    return Error{ErrorCode::invalid,
                 fmt::format("--area: \"{}\" is not a number of degrees", text.substr(0, 32))};
}

std::int32_t e7(double value) { return static_cast<std::int32_t>(std::llround(value * 1e7)); }

// "40.7128,-74.0060;40.7190,-74.0060;..." in degrees.
Result<consent::Area> parse_degrees(std::string_view text) {
    consent::Area out;
    for (const std::string_view corner : ledger::split(text, ';')) {
        const auto comma = corner.find(',');
        if (comma == std::string_view::npos)
            return with_next(Error{ErrorCode::invalid, fmt::format("--area: \"{}\" is not a corner",
                                                                   corner.substr(0, 32))},
                             "write LAT,LON;LAT,LON;LAT,LON in degrees, or use --around");
        HD_ASSIGN(const double lat, degrees(corner.substr(0, comma)));
        HD_ASSIGN(const double lon, degrees(corner.substr(comma + 1)));
        out.push_back({e7(lat), e7(lon)});
    }
    return out;
}

Result<consent::Area> find_area(const AskArgs& args) {
    if (args.area.empty() == args.around.empty())
        return Error{ErrorCode::invalid, "give either --area or --around"};
    if (!args.area.empty()) return parse_degrees(args.area);
    const auto parts = ledger::split(args.around, ',');
    if (parts.size() != 3)
        return Error{ErrorCode::invalid,
                     "--around wants LAT,LON,METRES, like 40.7128,-74.0060,500"};
    double side_m = 0;
    std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), side_m);
    HD_ASSIGN(const double lat, degrees(parts[0]));
    HD_ASSIGN(const double lon, degrees(parts[1]));
    return consent::square_around(lat, lon, side_m);
}

Result<consent::MadeRequest> make(Context& ctx, const AskArgs& args, const HubId& hub,
                                  const seal::Identity& identity) {
    consent::Asking asking;
    asking.hub = hub;
    HD_ASSIGN(asking.offence, consent::parse_offence(args.offence));
    HD_ASSIGN(TimeSpan window, ctx.window(args.from, args.to));
    asking.window = {WallTime{window.begin.us / 1'000'000 * 1'000'000},
                     WallTime{window.end.us / 1'000'000 * 1'000'000}};
    HD_ASSIGN(asking.area, find_area(args));
    asking.now = ctx.clock.wall();
    HD_ASSIGN(asking.lifetime, parse_length(args.lifetime));
    if (!args.amends.empty()) {
        HD_ASSIGN(const auto digest, ledger::parse_digest(args.amends));
        asking.amends = digest;
    }
    asking.case_number = args.case_number;
    asking.contact = args.contact;
    asking.text = args.text;
    return consent::make_request(asking, identity.secret);
}

Result<void> keep(const std::string& folder, const std::string& name, std::string_view bytes) {
    return write_file_atomic(join(folder, name), as_bytes(bytes), 0600);
}

// The answer page: u32 length, the answer, zeros.
Result<std::string> unpack_page(ByteView page) {
    ByteReader in(page);
    const std::uint32_t size = in.u32();
    const ByteView answer = in.raw(size);
    if (!in.ok()) return Error{ErrorCode::corrupt, "the answer page is shorter than it says"};
    return std::string(as_text(answer));
}

void show_answer(Context& ctx, const std::string& id, const consent::Answer& answer,
                 const std::string& folder) {
    Json coverage = Json::array();
    std::size_t covered = 0;
    for (std::size_t i = 0; i < answer.coverage.size(); ++i) {
        if (!answer.coverage[i]) continue;
        ++covered;
        coverage.push_back(
            to_rfc3339(answer.coverage_from + std::chrono::seconds(consent::kCoverageBucketS) *
                                                  static_cast<std::int64_t>(i)));
    }
    Json clips = Json::array();
    for (const auto& clip : answer.clips)
        clips.push_back(Json{{"label", clip.label},
                             {"begin", to_rfc3339(clip.span.begin)},
                             {"end", to_rfc3339(clip.span.end)}});
    ctx.out.facts(
        {{"request", id},
         {"received", answer.received},
         {"quarters_covered", coverage, fmt::format("{} of {}", covered, answer.coverage.size())},
         {"clips", clips, fmt::format("{}", answer.clips.size())},
         {"cut", answer.cut},
         {"kept_in", folder}});
    if (ctx.out.format() != Format::text) return;
    ctx.out.say("");
    for (const auto& clip : answer.clips)
        ctx.out.row({{"label", clip.label},
                     {"begin", clip.span.begin},
                     {"end", clip.span.end},
                     {"length", short_duration(clip.span.length())}});
    ctx.out.end_list(covered > 0
                         ? "No clips are listed at this level; the covered quarters are above."
                         : "Nothing is told. That can mean anything: no video, no wish, no camera, "
                           "or not looked at yet.");
}

// What goes to the hub: exact bytes, and where they are kept.
struct Letter {
    std::string note, body, folder;
};

Result<Letter> write_letter(Context& ctx, const AskArgs& args, const ledger::SignedCard& hub,
                            const seal::Identity& identity) {
    HD_ASSIGN(const consent::MadeRequest made,
              make(ctx, args, ledger::hub_id(hub.card.note.key), identity));
    Letter out{made.request.bytes, made.private_body, args.save};
    if (out.folder.empty()) {
        HD_ASSIGN(out.folder, ask_folder(ctx, ledger::request_id(made.request.hash)));
    } else {
        HD_TRY(real_file_system().make_folders(out.folder, 0700));
        if (real_file_system().exists(join(out.folder, "request.note")))
            return with_next(Error{ErrorCode::invalid, out.folder + " holds a request already"},
                             "choose another folder, or send that one again with --again");
    }
    // Kept before it is sent: an answer that gets lost on the way can be asked for again. Always in
    // this tool's own memory too, so that `fetch` needs nothing but the id.
    HD_ASSIGN(const std::string own, ask_folder(ctx, ledger::request_id(made.request.hash)));
    for (const std::string& folder : {out.folder, own}) {
        HD_TRY(keep(folder, "request.note", out.note));
        HD_TRY(keep(folder, "private.txt", out.body));
        HD_TRY(keep(folder, "hub.card", hub.bytes));
        if (args.owner_card.empty()) continue;
        HD_ASSIGN(const std::string owner,
                  read_text(ctx, args.owner_card, "--owner-card", ledger::kMaxNoteBytes));
        HD_TRY(keep(folder, "owner.card", owner));
    }
    return out;
}

// The same bytes as before: the hub gives the same answer, and counts nothing.
Result<Letter> read_letter(Context& ctx, const AskArgs& args) {
    Letter out{{}, {}, args.again};
    if (parse_id<RequestId>(args.again, "--again")) {
        HD_ASSIGN(const RequestId id, parse_id<RequestId>(args.again, "--again"));
        HD_ASSIGN(out.folder, ask_folder(ctx, id));
    }
    HD_ASSIGN(out.note, read_text(ctx, join(out.folder, "request.note"), "--again",
                                  consent::kMaxRequestBytes));
    HD_ASSIGN(out.body, read_text(ctx, join(out.folder, "private.txt"), "--again",
                                  consent::kMaxPrivateBytes));
    return out;
}

Result<void> require_asking(const AskArgs& args) {
    for (const auto& [name, value] :
         {std::pair<const char*, const std::string&>{"--from", args.from},
          {"--to", args.to},
          {"--offence", args.offence},
          {"--case", args.case_number},
          {"--contact", args.contact}})
        if (value.empty())
            return with_next(Error{ErrorCode::invalid, fmt::format("ask needs {}", name)},
                             "halfdoor ask --help has an example");
    return {};
}

Result<int> ask(Context& ctx, AskArgs& args) {
    if (ctx.opt.hub_card.empty())
        return with_next(Error{ErrorCode::invalid, "ask needs to know the hub"},
                         "add --hub-card FILE (its owner sends it; compare its fingerprint)");
    if (args.again.empty()) HD_TRY(require_asking(args));
    HD_ASSIGN(const ledger::SignedCard hub_card, load_hub_card(ctx));
    HD_ASSIGN(const seal::Identity identity, load_identity(ctx));
    HD_ASSIGN(const Letter letter, args.again.empty() ? write_letter(ctx, args, hub_card, identity)
                                                      : read_letter(ctx, args));
    const Digest hash = ledger::note_hash(letter.note);
    const std::string id = to_string(ledger::request_id(hash));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::requester));
    HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "ask", "{}",
                                               {Bytes(letter.note.begin(), letter.note.end()),
                                                Bytes(letter.body.begin(), letter.body.end())}));
    if (reply.binary.empty()) return Error{ErrorCode::corrupt, "the hub sent no answer"};
    HD_ASSIGN(const std::string bytes, unpack_page(reply.binary.front()));
    HD_ASSIGN(const consent::Answer answer, consent::parse_answer(bytes, hub_card.card.note));
    if (answer.request != hash)
        return Error{ErrorCode::refused, "the hub answered another request than this one"};
    HD_TRY(keep(letter.folder, "answer.note", bytes));
    show_answer(ctx, id, answer, letter.folder);
    ctx.note(fmt::format("  next, if the owner approves: halfdoor fetch {} -o release ...", id));
    return kOk;
}

std::string offence_list() {
    std::string out;
    for (const auto offence : consent::all_offences())
        out += fmt::format("{}{}", out.empty() ? "" : " ", consent::to_string(offence));
    return out;
}

void add_ask_options(CLI::App* sub, AskArgs& a) {
    sub->add_option("--from", a.from, "Begin of the window");
    sub->add_option("--to", a.to, "End of the window, not included");
    sub->add_option("--area", a.area, "Corners in degrees: \"LAT,LON;LAT,LON;LAT,LON\"");
    sub->add_option("--around", a.around, "LAT,LON,METRES: a square of so many metres");
    sub->add_option("--offence", a.offence, "One of the list below");
    sub->add_option("--case", a.case_number, "Your case number; private");
    sub->add_option("--contact", a.contact, "How the owner reaches you; private");
    sub->add_option("--text", a.text, "A few words to the owner; private");
    sub->add_option("--expires", a.lifetime,
                    "How long the request stands (default 7d, at most 30d)");
    sub->add_option("--amends", a.amends, "SHA-256 of an earlier request that this one corrects");
    sub->add_option("--save", a.save,
                    "Folder for note and answer (default: remembered in --state)");
    sub->add_option("--again", a.again,
                    "Folder or id of an earlier request: send it again, for the same answer");
    sub->add_option("--owner-card", a.owner_card,
                    "The owner's card: kept, to verify the release with");
}

}  // namespace

void add_requester_verbs(Frame& frame) {
    auto a = std::make_shared<AskArgs>();
    CLI::App* sub = frame.verb("Requesters", {"ask", "Ask a hub whether it has video of a window",
                                              std::string(kWhenHelp) + R"(
A request is signed and logged by the hub. Rules: a window of 15 minutes to 12 hours that is over;
an area of 64,750 to 1,294,994 m2; at most two requests a case. The answer tells as much as the
owner chose for you, possibly nothing, and never video.

  halfdoor ask --connect tcp://192.0.2.7:7443 --hub-card hub.card --key police.key \
      --from 2026-11-22T13:00:00Z --to 2026-11-22T13:30:00Z --around 40.7128,-74.0060,500 \
      --offence burglary --case 2026-1142 --contact "desk@police.example"

Offences: )" + offence_list() + "\n"});
    add_ask_options(sub, *a);
    frame.on(sub, a, ask);
    add_fetch_verb(frame);
}

}  // namespace hd::cli
