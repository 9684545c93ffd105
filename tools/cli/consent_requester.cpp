// ask and fetch: the requester's side.
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "gateway/consent/answer.hpp"
#include "gateway/consent/release.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/asks.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/progress.hpp"
#include "tools/cli/when.hpp"

namespace hd::cli {
namespace {

struct AskArgs {
    std::string from, to, area, around, offence, case_number, contact, text, amends, save;
    std::string lifetime = "7d";
    std::string owner_card;
};

struct FetchArgs {
    std::string request;
    std::string output;
    std::int64_t wait_s = 0;
    TrustOptions trust;
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

Result<int> ask(Context& ctx, AskArgs& args) {
    if (ctx.opt.hub_card.empty())
        return with_next(Error{ErrorCode::invalid, "ask needs to know the hub"},
                         "add --hub-card FILE (its owner sends it; compare its fingerprint)");
    HD_ASSIGN(const ledger::SignedCard hub_card, load_hub_card(ctx));
    HD_ASSIGN(const seal::Identity identity, load_identity(ctx));
    HD_ASSIGN(const consent::MadeRequest made,
              make(ctx, args, ledger::hub_id(hub_card.card.note.key), identity));
    const RequestId id = ledger::request_id(made.request.hash);
    std::string folder = args.save;
    if (folder.empty()) {
        HD_ASSIGN(folder, ask_folder(ctx, id));
    } else {
        HD_TRY(real_file_system().make_folders(folder, 0700));
    }
    // Kept before it is sent: an answer that gets lost on the way can be asked for again.
    HD_TRY(keep(folder, "request.note", made.request.bytes));
    HD_TRY(keep(folder, "private.txt", made.private_body));
    HD_TRY(keep(folder, "hub.card", hub_card.bytes));
    if (!args.owner_card.empty()) {
        HD_ASSIGN(const std::string owner,
                  read_text(ctx, args.owner_card, "--owner-card", ledger::kMaxNoteBytes));
        HD_TRY(keep(folder, "owner.card", owner));
    }
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::requester));
    const std::string& note = made.request.bytes;
    const std::string& body = made.private_body;
    HD_ASSIGN(const wire::Reply reply,
              ask_hub(hub, "ask", "{}",
                      {Bytes(note.begin(), note.end()), Bytes(body.begin(), body.end())}));
    if (reply.binary.empty()) return Error{ErrorCode::corrupt, "the hub sent no answer"};
    HD_ASSIGN(const std::string bytes, unpack_page(reply.binary.front()));
    HD_ASSIGN(const consent::Answer answer, consent::parse_answer(bytes, hub_card.card.note));
    if (answer.request != made.request.hash)
        return Error{ErrorCode::refused, "the hub answered another request than this one"};
    HD_TRY(keep(folder, "answer.note", bytes));
    show_answer(ctx, to_string(id), answer, folder);
    ctx.note(fmt::format("  next, if the owner approves: halfdoor fetch {} -o release ...",
                         to_string(id)));
    return kOk;
}

// Asks for part 0 until there is a release or the time is over. not_found: there is none.
Result<wire::Reply> first_part(Context& ctx, wire::Client& hub, const RequestId& id,
                               std::int64_t wait_s) {
    const BootTime end = ctx.clock.boot() + std::chrono::seconds(wait_s);
    while (true) {
        wire::JsonWriter json;
        json.begin_object().field("request", id).field("part", 0).end_object();
        HD_ASSIGN(wire::Reply reply, ask_hub(hub, "fetch", json.text()));
        if (reply.body.bool_or("released", false)) return reply;
        if (ctx.clock.boot() >= end)
            return with_next(
                Error{ErrorCode::not_found, "there is no release for this request"},
                "it may be waiting, put away, over, or unknown: that looks the same. Try later");
        ctx.clock.sleep_until(ctx.clock.boot() + std::chrono::seconds(1));
    }
}

Result<consent::ReleaseSummary> fetch_release(Context& ctx, wire::Client& hub, const RequestId& id,
                                              wire::Reply first, consent::ReleaseReader& reader) {
    const std::int64_t parts = first.body.int_or("parts", 0);
    Progress progress(ctx, "parts fetched",
                      static_cast<std::uint64_t>(std::max<std::int64_t>(parts, 0)));
    wire::Reply reply = std::move(first);
    for (std::int64_t part = 0; part < parts; ++part) {
        if (part > 0) {
            wire::JsonWriter json;
            json.begin_object().field("request", id).field("part", part).end_object();
            HD_ASSIGN(reply, ask_hub(hub, "fetch", json.text()));
            if (!reply.body.bool_or("released", false))
                return Error{ErrorCode::not_found, "the release ended while it was being fetched"};
        }
        if (reply.binary.empty()) return Error{ErrorCode::corrupt, "the hub sent an empty part"};
        HD_TRY(reader.feed(reply.binary.front()));
        progress.update(static_cast<std::uint64_t>(part) + 1);
    }
    return reader.finish();
}

Result<int> fetch(Context& ctx, FetchArgs& args) {
    HD_ASSIGN(const RequestId id, parse_id<RequestId>(args.request, "request"));
    HD_ASSIGN(seal::Identity identity, load_identity(ctx));
    HD_ASSIGN(const consent::ReleaseTrust trust,
              release_trust(ctx, args.trust, id, {}, {&identity, 1}));
    if (ledger::request_id_of(trust.request_note) != id)
        return Error{ErrorCode::invalid, "--saved is the folder of another request"};
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::requester));
    HD_ASSIGN(wire::Reply first, first_part(ctx, hub, id, args.wait_s));
    HD_ASSIGN(consent::ReleaseFolderWriter folder,
              consent::ReleaseFolderWriter::create(real_file_system(), args.output));
    consent::ReleaseReader reader(
        trust,
        [&](std::string_view request, std::string_view answer, std::string_view grant) {
            return folder.notes(request, answer, grant);
        },
        [&](const consent::VerifiedPiece& piece) { return folder.piece(piece); });
    auto summary = fetch_release(ctx, hub, id, std::move(first), reader);
    if (!summary) {
        // A release that does not verify must not lie around looking like one.
        real_file_system().remove_tree(args.output).ignore();
        return summary.error();
    }
    HD_TRY(folder.finish(*summary));
    ctx.out.facts({{"release", args.output},
                   {"request", to_string(id)},
                   {"granted_by", summary->granter},
                   {"clips", summary->clips},
                   {"pieces", summary->pieces},
                   {"frames", summary->frames},
                   {"bytes", summary->video_bytes, short_bytes(summary->video_bytes)},
                   {"verified", "signatures, hashes, header MACs, identities, windows"}});
    ctx.note(fmt::format("  next: halfdoor open {} --key ... -o released.mp4", args.output));
    return kOk;
}

std::string offence_list() {
    std::string out;
    for (const auto offence : consent::all_offences())
        out += fmt::format("{}{}", out.empty() ? "" : " ", consent::to_string(offence));
    return out;
}

void add_ask_options(CLI::App* sub, AskArgs& a) {
    sub->add_option("--from", a.from, "Begin of the window")->required();
    sub->add_option("--to", a.to, "End of the window, not included")->required();
    sub->add_option("--area", a.area, "Corners in degrees: \"LAT,LON;LAT,LON;LAT,LON\"");
    sub->add_option("--around", a.around, "LAT,LON,METRES: a square of so many metres");
    sub->add_option("--offence", a.offence, "One of the list below")->required();
    sub->add_option("--case", a.case_number, "Your case number; private")->required();
    sub->add_option("--contact", a.contact, "How the owner reaches you; private")->required();
    sub->add_option("--text", a.text, "A few words to the owner; private");
    sub->add_option("--expires", a.lifetime,
                    "How long the request stands (default 7d, at most 30d)");
    sub->add_option("--amends", a.amends, "SHA-256 of an earlier request that this one corrects");
    sub->add_option("--save", a.save,
                    "Folder for note and answer (default: remembered in --state)");
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

    auto f = std::make_shared<FetchArgs>();
    sub = frame.verb(
        "Requesters",
        {"fetch", "Fetch and verify what the owner released",
         R"(Verifies while it comes: the owner's grant for this very request, every hash and every seal.

  halfdoor fetch 5f0c... --connect tcp://192.0.2.7:7443 --hub-card hub.card --key police.key \
      --owner-card owner.card -o release
  halfdoor open release --key police.key -o released.mp4

Exit 1: there is nothing to fetch. Whether it is waiting, put away or over looks the same.
)"});
    sub->add_option("request", f->request, "Request id, as `ask` printed it")->required();
    sub->add_option("-o,--output", f->output, "Folder to make")->required();
    sub->add_option("--wait", f->wait_s, "Try for so many seconds");
    add_trust_options(sub, f->trust);
    frame.on(sub, f, fetch);
}

}  // namespace hd::cli
