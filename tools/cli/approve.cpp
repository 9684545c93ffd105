// approve: verifies everything on this side, re-wraps the keys of exactly the approved pieces for
// the requester, and gives the hub the signed grant.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "gateway/wire/header_pack.hpp"
#include "index/base/encoding.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/owner_session.hpp"
#include "tools/cli/progress.hpp"

namespace hd::cli {
namespace {

// Of all headers of one approval: four times what a grant can carry. A hub that lies could go on
// for ever.
constexpr std::size_t kMaxHeaderPackBytes = 4 * consent::kMaxHeadersBytes;
constexpr std::size_t kMaxHeaderPages = 2000;

struct ApproveArgs {
    std::string request;
    std::string owner_card;
    std::string from, to;
    std::vector<std::string> cameras;
    std::string not_after = "+7d";
};

// A clip as the hub describes it, with where it belongs in the order of a grant.
struct OfferedClip {
    CameraId camera;
    WallTime begin;
    consent::ClipBundle bundle;
};

// Adds a pack to what came before; a clip that a page boundary split is put together again.
Result<void> take_pack(ByteView pack, std::map<std::string, OfferedClip>& clips) {
    HD_ASSIGN(auto packed, wire::decode_header_pack(pack));
    for (wire::PackedClip& clip : packed) {
        std::size_t size = 0;
        auto header = clip::decode_header(clip.header, size);
        if (!header) return header.error().in(clip.path);
        auto [place, fresh] = clips.try_emplace(clip.path);
        OfferedClip& offered = place->second;
        if (fresh) {
            offered.camera = header->camera;
            offered.begin = header->utc_begin;
            offered.bundle.clip_header = std::move(clip.header);
        } else if (offered.bundle.clip_header != clip.header) {
            return Error{ErrorCode::corrupt, clip.path + ": two headers for one clip"};
        }
        for (wire::PackedPiece& piece : clip.pieces) {
            // The next page may repeat the init piece with the clip record.
            const auto& have = offered.bundle.pieces;
            if (std::any_of(have.begin(), have.end(),
                            [&](const auto& p) { return p.identity == piece.identity; }))
                continue;
            if (have.size() >= clip::kMaxPieces)
                return Error{ErrorCode::corrupt, clip.path + ": more pieces than a clip can have"};
            offered.bundle.pieces.push_back(
                {std::move(piece.identity), std::move(piece.age_header)});
        }
    }
    return {};
}

Result<std::vector<consent::ClipBundle>> fetch_headers(Context& ctx, OwnerSession& session,
                                                       const RequestId& id,
                                                       const std::vector<CameraId>& cameras) {
    std::map<std::string, OfferedClip> clips;
    Progress progress(ctx, "headers fetched", 0);
    std::uint64_t pieces = 0;
    const auto question = [&](wire::JsonWriter& json) {
        json.field("request", id).key("cameras").begin_array();
        for (const CameraId& camera : cameras) json.value(camera);
        json.end_array();
    };
    std::size_t pages = 0, bytes = 0;
    const auto take = [&](const wire::Reply& reply) -> Result<void> {
        bytes += reply.binary.empty() ? 0 : reply.binary.front().size();
        if (++pages > kMaxHeaderPages || bytes > kMaxHeaderPackBytes)
            return Error{ErrorCode::exhausted,
                         "the hub sends headers without end; approve a shorter window or fewer "
                         "cameras, if that is not a lie"};
        if (!reply.binary.empty()) HD_TRY(take_pack(reply.binary.front(), clips));
        pieces +=
            static_cast<std::uint64_t>(std::max<std::int64_t>(0, reply.body.int_or("pieces", 0)));
        progress.update(pieces);
        return {};
    };
    HD_TRY(ask_pages(session.hub, "headers", question, take));
    std::vector<OfferedClip> ordered;
    for (auto& [path, clip] : clips) ordered.push_back(std::move(clip));
    std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
        return a.camera != b.camera ? a.camera < b.camera : a.begin < b.begin;
    });
    std::vector<consent::ClipBundle> out;
    for (OfferedClip& clip : ordered) out.push_back(std::move(clip.bundle));
    return out;
}

Result<wire::Reply> upload(Context& ctx, OwnerSession& session, const RequestId& id,
                           const consent::Approval& approval) {
    wire::JsonWriter begin;
    begin.begin_object().field("request", id);
    begin.field("headers_bytes", static_cast<std::uint64_t>(approval.headers.size())).end_object();
    const std::string& note = approval.grant.bytes;
    HD_ASSIGN(const wire::Reply begun,
              ask_hub(session.hub, "grant.begin", begin.text(), {Bytes(note.begin(), note.end())}));
    const std::string upload_id = begun.body.text_or("upload", "");
    Progress progress(ctx, "bytes of headers sent", approval.headers.size());
    const ByteView headers(approval.headers);
    for (std::size_t at = 0; at < headers.size(); at += wire::kMaxChunkBytes) {
        const ByteView chunk =
            headers.subspan(at, std::min(wire::kMaxChunkBytes, headers.size() - at));
        wire::JsonWriter put;
        put.begin_object().field("upload", upload_id);
        put.field("offset", static_cast<std::uint64_t>(at)).end_object();
        const auto sent =
            ask_hub(session.hub, "grant.put", put.text(), {Bytes(chunk.begin(), chunk.end())});
        if (!sent) return sent.error();
        progress.update(at + chunk.size());
    }
    wire::JsonWriter commit;
    commit.begin_object().field("upload", upload_id).end_object();
    return ask_hub(session.hub, "grant.commit", commit.text());
}

struct Scope {
    std::vector<CameraId> cameras;
    TimeSpan window;
    WallTime not_after;
};

Result<Scope> choose_scope(Context& ctx, const ApproveArgs& args, const OwnerSession& session,
                           const consent::Request& request) {
    Scope out{{}, request.window, {}};
    if (!args.from.empty()) {
        HD_ASSIGN(out.window.begin, ctx.when(args.from, "--from"));
    }
    if (!args.to.empty()) {
        HD_ASSIGN(out.window.end, ctx.when(args.to, "--to"));
    }
    if (out.window.empty() || !request.window.contains(out.window))
        return Error{ErrorCode::invalid,
                     fmt::format("--from and --to must lie inside the request's window, {} to {}",
                                 to_rfc3339(request.window.begin), to_rfc3339(request.window.end))};
    HD_ASSIGN(const WallTime end, ctx.when(args.not_after, "--not-after"));
    out.not_after = WallTime{end.us / 1'000'000 * 1'000'000};
    for (const std::string& text : args.cameras) {
        HD_ASSIGN(const CameraId camera, session.camera(text));
        out.cameras.push_back(camera);
    }
    if (out.cameras.empty()) out.cameras = session.policy.policy.cameras;
    if (out.cameras.empty())
        return with_next(Error{ErrorCode::refused, "the policy names no camera to be asked about"},
                         "halfdoor policy edit next.draft --add-camera NAME");
    return out;
}

Row scope_facts(const OwnerSession& session, const Scope& scope, const consent::Approval& made) {
    std::string cameras;
    Json ids = Json::array();
    for (const CameraId& camera : scope.cameras) {
        cameras += fmt::format("{}{} ({})", cameras.empty() ? "" : ", ", session.name_of(camera),
                               to_string(camera).substr(0, 8));
        ids.push_back(to_string(camera));
    }
    return {{"cameras", ids, cameras},
            {"approved_from", scope.window.begin},
            {"approved_to", scope.window.end},
            {"clips", made.grant.grant.ranges.size()},
            {"pieces", made.pieces},
            {"video_s", made.length.count() / 1'000'000, short_duration(made.length)},
            {"left_out_s", made.before_key.count() / 1'000'000,
             made.before_key == Micros(0)
                 ? "nothing"
                 : fmt::format("{}: recorded inside the window, but a decoder needs a key frame "
                               "from before it (or from another clip), and that does not go out",
                               short_duration(made.before_key))},
            {"audio", false, "no (video only)"},
            {"not_after", scope.not_after}};
}

Result<int> approve_verb(Context& ctx, ApproveArgs& args) {
    HD_ASSIGN(const RequestId id, parse_id<RequestId>(args.request, "request"));
    if (ctx.opt.key.empty())
        return with_next(Error{ErrorCode::invalid, "approving needs the owner's secret key"},
                         "add --key FILE, or --key - to read it from standard input");
    HD_ASSIGN(OwnerSession session, open_owner_session(ctx, args.owner_card));
    HD_ASSIGN(const FetchedRequest fetched, fetch_request(session, id));
    HD_ASSIGN(const Scope scope, choose_scope(ctx, args, session, fetched.trusted.request.request));
    HD_ASSIGN(const auto clips, fetch_headers(ctx, session, id, scope.cameras));
    consent::ApprovalInput input{.request = fetched.trusted,
                                 .policy = session.policy,
                                 .cameras = scope.cameras,
                                 .window = scope.window,
                                 .clips = clips,
                                 .identities = {&*session.identity, 1},
                                 .not_after = scope.not_after,
                                 .progress = {}};
    auto made = consent::approve(input, *session.signer);
    if (!made && made.error().code == ErrorCode::not_found)
        return with_next(made.error(),
                         "look at `halfdoor clips` for that window; nothing was sent");
    if (!made) return made.error();
    Row facts = request_facts(fetched);
    for (Cell& cell : scope_facts(session, scope, *made)) facts.push_back(std::move(cell));
    if (ctx.out.format() == Format::text) ctx.out.facts(facts);
    HD_ASSIGN(const bool yes,
              ctx.ask_yes_no(fmt::format(
                  "\nLet {} have this video? It cannot be taken back once fetched, and it tells "
                  "them that this home has it.",
                  fetched.trusted.who.name)));
    if (!yes) {
        ctx.note("Nothing was sent.");
        return kNo;
    }
    HD_ASSIGN(const wire::Reply done, upload(ctx, session, id, *made));
    facts.emplace_back("grant_sha256", to_hex(made->grant.hash));
    facts.emplace_back("granted", true);
    if (ctx.out.format() != Format::text) ctx.out.facts(facts);
    ctx.out.say(
        fmt::format("Granted: {} pieces, until {}. Nothing can be recalled after the first "
                    "fetch.",
                    done.body.int_or("pieces", 0), short_time(scope.not_after)));
    return kOk;
}

}  // namespace

void add_approve_verb(Frame& frame) {
    auto a = std::make_shared<ApproveArgs>();
    CLI::App* sub = frame.verb(
        "Keys and consent",
        {"approve", "Let a requester have the video of their request, or a part of it",
         R"(Trusts nothing that the hub says: the request is verified against your signed policy, each piece
against its seal, and the keys go to the requester that your policy names, to nobody else. Shows
what would go out, and asks.

  halfdoor approve 5f0c... --key owner.key
  halfdoor approve 5f0c... --key owner.key --camera door --from 2026-11-22T13:05:00Z \
      --to 2026-11-22T13:10:00Z --not-after +2d --yes
)"});
    sub->add_option("request", a->request, "Request id (32 hex digits)")->required();
    sub->add_option("--from", a->from, "Later begin than the request's");
    sub->add_option("--to", a->to, "Earlier end than the request's");
    sub->add_option("--camera,--cameras", a->cameras,
                    "Id or name; may be repeated (default: all that may be asked about)");
    sub->add_option("--not-after", a->not_after,
                    "When the release is erased from the hub (default +7d, at most +30d)");
    sub->add_option("--owner-card", a->owner_card, "For approvers: the owner's card");
    frame.on(sub, a, approve_verb);
}

}  // namespace hd::cli
