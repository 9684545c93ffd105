// check and reindex: files and index compared, repaired, rebuilt; on a data folder, or by the hub.
#include <fmt/format.h>

#include "gateway/daemon/read_crew.hpp"
#include "gateway/ledger/hub_folder.hpp"
#include "index/store/rebuild.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/progress.hpp"

namespace hd::cli {
namespace {

// More threads than this make a disk seek, not read.
constexpr unsigned kReaders = 4;
constexpr std::uint32_t kStepFiles = 500;
constexpr std::uint32_t kHashStepFiles = 2 * kReaders;

struct CheckArgs {
    bool presence = false, size = false, hash = false;
    bool repair = false;
    bool offline = false;
};

struct OpenedStore {
    std::unique_ptr<store::Store> store;
    store::OpenReport report;
    store::DataFolders folders;
};

// The index of a hub that does not run (RocksDB's own lock refuses a second opener).
Result<OpenedStore> open_store(Context& ctx, bool must_exist) {
    HD_ASSIGN(const std::string data, find_data_folder(ctx));
    const std::string folder = join(data, "index");
    if (must_exist && !real_file_system().exists(folder))
        return with_next(Error{ErrorCode::not_found, data + " has no index"},
                         "halfdoor reindex --data " + data);
    if (!real_file_system().exists(join(data, "clips")))
        return with_next(Error{ErrorCode::invalid, data + " is not a data folder: no clips in it"},
                         "give --data FOLDER or --config FILE");
    OpenedStore out;
    HD_ASSIGN(out.store, store::Store::open(folder, {}, ctx.clock.wall(), out.report));
    out.folders = {join(data, "clips"), join(data, "journal")};
    if (!out.report.moved_aside.empty())
        ctx.warn(fmt::format("The index was damaged ({}): moved aside as {}", out.report.why,
                             out.report.moved_aside));
    return out;
}

void print_finding(Context& ctx, const store::Finding& f) {
    ctx.out.row({{"kind", std::string(store::to_string(f.kind))},
                 {"path", f.path},
                 {"what", f.what},
                 {"repaired", f.repaired}});
}

// Lends threads to a walk; `crew` must outlive it.
store::RunJobs jobs_of(daemon::ReadCrew& crew) {
    return [&crew](std::size_t count, const std::function<void(std::size_t)>& job) {
        crew.run(count, job);
    };
}

std::string_view level_of(const CheckArgs& args) {
    return args.hash ? "hash" : args.size ? "size" : "presence";
}

// What the findings come to, for a script.
struct Verdict {
    bool damaged = false, open = false;
    void add(std::string_view kind, bool repaired) {
        if (repaired) return;
        open = true;
        damaged = damaged || kind == "hash_differs" || kind == "unreadable_file" ||
                  kind == "journal_damage" || kind == "index_failed";
    }
    int code() const { return damaged ? kDamaged : open ? kNo : kOk; }
    void say(Context& ctx, bool repair) const {
        if (open && !repair)
            ctx.note(
                "  next: halfdoor check --repair (rows, names and ends of files; never a "
                "whole piece of video)");
        if (damaged && repair)
            ctx.note(
                "  What is left is damaged video or a damaged journal: the rest of it is "
                "still there, nothing was deleted.");
    }
};

Result<int> check_offline(Context& ctx, const CheckArgs& args) {
    HD_ASSIGN(const OpenedStore opened, open_store(ctx, true));
    const auto level = args.hash   ? store::CheckLevel::hash
                       : args.size ? store::CheckLevel::size
                                   : store::CheckLevel::presence;
    daemon::ReadCrew crew(kReaders);
    const auto hub =
        ledger::read_hub_id(real_file_system(), join(parent_folder(opened.folders.clips), "hub"));
    store::Check check(*opened.store, real_file_system(), opened.folders,
                       {.level = level,
                        .repair = args.repair,
                        .mend_files = args.repair,
                        .hub = hub ? std::optional(*hub) : std::nullopt},
                       jobs_of(crew));
    std::uint64_t rows = 0;
    for (const auto& t : opened.store->all_totals()) rows += t.clips + t.pending_clips;
    Progress progress(ctx, "files checked", rows);
    store::WalkProgress walk;
    while (!walk.done) {
        HD_ASSIGN(walk, check.step(args.hash ? kHashStepFiles : kStepFiles));
        progress.update(walk.files_seen);
    }
    HD_TRY(opened.store->sync());
    Verdict verdict;
    for (const store::Finding& f : check.findings()) {
        print_finding(ctx, f);
        // An unfinished clip is what a crash leaves; the next start of the hub finishes it.
        if (f.kind != store::FindingKind::unfinished)
            verdict.add(store::to_string(f.kind), f.repaired);
    }
    ctx.out.end_list("");
    ctx.note(fmt::format("{} files checked, {} findings", walk.files_seen, walk.findings_total));
    verdict.say(ctx, args.repair);
    return verdict.code();
}

// Starts a pass and asks until it has ended. A pass that somebody else started is waited for.
Result<wire::Reply> wait_for_check(Context& ctx, wire::Client& hub, const CheckArgs& args) {
    Progress progress(ctx, "clips checked", 0);
    wire::JsonWriter json;
    json.begin_object().field("wait", false).field("level", level_of(args));
    json.field("repair", args.repair).end_object();
    HD_ASSIGN(wire::Reply reply, ask_hub(hub, "check", json.text()));
    while (reply.body.text_or("state", "") == "running") {
        ctx.clock.sleep_until(ctx.clock.boot() + std::chrono::milliseconds(200));
        HD_ASSIGN(reply, ask_hub(hub, "check", R"({"wait":true})"));
        progress.update(
            static_cast<std::uint64_t>(std::max<std::int64_t>(0, reply.body.int_or("checked", 0))));
    }
    if (reply.body.text_or("level", "") != level_of(args) ||
        reply.body.bool_or("repair", false) != args.repair)
        return Error{ErrorCode::unavailable,
                     "another check of this hub was running, of another kind: run this again"};
    return reply;
}

Result<int> check_online(Context& ctx, const CheckArgs& args) {
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const wire::Reply reply, wait_for_check(ctx, hub, args));
    Verdict verdict;
    for (const wire::Json& p : reply.body.array_or_empty("problems")) {
        const bool repaired = p.bool_or("repaired", false);
        verdict.add(p.text_or("kind", ""), repaired);
        ctx.out.row({{"kind", p.text_or("kind", "")},
                     {"path", p.text_or("clip", "")},
                     {"what", p.text_or("text", "")},
                     {"repaired", repaired}});
    }
    ctx.out.end_list("");
    const auto total = reply.body.int_or("problems_total", 0);
    if (total > static_cast<std::int64_t>(reply.body.array_or_empty("problems").size()))
        ctx.note("  (the first of them; `halfdoor check --offline` on a stopped hub lists all)");
    ctx.note(fmt::format("{} clips checked, {} findings", reply.body.int_or("checked", 0), total));
    verdict.say(ctx, args.repair);
    return verdict.code();
}

bool use_hub(Context& ctx, const CheckArgs& args) {
    return !args.offline && (!ctx.opt.connect.empty() || hub_is_up(ctx));
}

Result<int> check_verb(Context& ctx, CheckArgs& args) {
    return use_hub(ctx, args) ? check_online(ctx, args) : check_offline(ctx, args);
}

Result<int> reindex_verb(Context& ctx, CheckArgs& args) {
    if (use_hub(ctx, args)) {
        HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
        HD_ASSIGN(const wire::Reply reply, ask_hub(hub, "reindex"));
        ctx.out.facts({{"state", reply.body.text_or("state", "")}, {"by", "the running hub"}});
        ctx.note("It records and answers meanwhile; `halfdoor status` shows when it is done.");
        return kOk;
    }
    HD_ASSIGN(const OpenedStore opened, open_store(ctx, false));
    daemon::ReadCrew crew(kReaders);
    store::Rebuild rebuild(*opened.store, real_file_system(), opened.folders, jobs_of(crew));
    // One that was cut short goes on where it was.
    if (!opened.report.rebuild_unfinished) HD_TRY(rebuild.restart());
    Progress progress(ctx, "files read", 0);
    store::WalkProgress walk;
    while (!walk.done) {
        HD_ASSIGN(walk, rebuild.step());
        progress.update(walk.files_seen);
    }
    HD_TRY(opened.store->sync());
    for (const store::Finding& f : rebuild.findings()) print_finding(ctx, f);
    ctx.out.end_list("");
    ctx.note(fmt::format("{} files read, {} rows written, {} findings", walk.files_seen,
                         walk.clips_put, walk.findings_total));
    Verdict verdict;
    for (const store::Finding& f : rebuild.findings())
        verdict.add(store::to_string(f.kind), f.repaired);
    return verdict.open ? kDamaged : kOk;
}

}  // namespace

void add_check_verbs(Frame& frame) {
    auto check = std::make_shared<CheckArgs>();
    CLI::App* sub = frame.verb(
        "Files and developers",
        {"check", "Compare files and index; say what is wrong",
         R"(A running hub checks itself and goes on recording; with --data (hub stopped) the folder is read directly.
Exit 0: nothing found, or all of it repaired. 1: rows and files disagree. 4: damaged files.

  halfdoor check --hash
  halfdoor check --repair --tsv
  halfdoor check --data /var/lib/halfdoor --repair
)"});
    sub->add_flag("--presence", check->presence,
                  "Each row has its file, each file its row (default)");
    sub->add_flag("--size", check->size, "Also sizes and footers");
    sub->add_flag("--hash", check->hash, "Also every byte against its SHA-256");
    sub->add_flag(
        "--repair", check->repair,
        "Add missing rows, drop rows without a file, give misnamed files their name back, "
        "finish files that lost their end");
    sub->add_flag("--offline", check->offline, "Read the data folder even if a hub seems to run");
    frame.on(sub, check, check_verb);

    auto reindex = std::make_shared<CheckArgs>();
    sub = frame.verb("Files and developers",
                     {"reindex", "Make the index again from clips and journals",
                      R"(Files are the truth; the index may be deleted at any time.

  halfdoor reindex
  halfdoor reindex --data /var/lib/halfdoor
)"});
    sub->add_flag("--offline", reindex->offline, "Use the data folder even if a hub seems to run");
    frame.on(sub, reindex, reindex_verb);
}

}  // namespace hd::cli
