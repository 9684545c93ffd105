// fetch: brings a release, verifying every piece as it comes.
#include <algorithm>

#include <fmt/format.h>

#include "gateway/consent/release.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/asks.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/keys.hpp"
#include "tools/cli/progress.hpp"

namespace hd::cli {
namespace {

struct FetchArgs {
    std::string request;
    std::string output;
    std::int64_t wait_s = 0;
    TrustOptions trust;
};

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
    HD_TRY(use_kept_hub_card(ctx, args.trust, id));
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::requester));
    HD_ASSIGN(wire::Reply first, first_part(ctx, hub, id, args.wait_s));
    HD_ASSIGN(const consent::ReleaseTrust trust,
              release_trust(ctx, args.trust, id, {}, {&identity, 1}));
    if (ledger::request_id_of(trust.request_note) != id)
        return Error{ErrorCode::invalid, "--saved is the folder of another request"};
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

}  // namespace

void add_fetch_verb(Frame& frame) {
    auto f = std::make_shared<FetchArgs>();
    CLI::App* sub = frame.verb(
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
