// check and reindex: files and index compared, repaired, rebuilt; on a data folder, or by the hub.
#include <fmt/format.h>

#include "index/store/rebuild.hpp"
#include "tools/cli/app.hpp"
#include "tools/cli/hub.hpp"
#include "tools/cli/progress.hpp"

namespace hd::cli {
namespace {

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

Result<int> check_offline(Context& ctx, const CheckArgs& args) {
    HD_ASSIGN(const OpenedStore opened, open_store(ctx, true));
    const auto level = args.hash   ? store::CheckLevel::hash
                       : args.size ? store::CheckLevel::size
                                   : store::CheckLevel::presence;
    store::Check check(*opened.store, real_file_system(), opened.folders, {level, args.repair});
    Progress progress(ctx, "files checked", 0);
    store::WalkProgress walk;
    while (!walk.done) {
        HD_ASSIGN(walk, check.step());
        progress.update(walk.files_seen);
    }
    HD_TRY(opened.store->sync());
    bool damaged = false, open = false;
    for (const store::Finding& f : check.findings()) {
        print_finding(ctx, f);
        // An unfinished clip is what a crash leaves; the next start of the hub finishes it.
        if (f.kind == store::FindingKind::unfinished) continue;
        open = open || !f.repaired;
        damaged = damaged || f.kind == store::FindingKind::hash_differs ||
                  f.kind == store::FindingKind::unreadable_file ||
                  f.kind == store::FindingKind::journal_damage;
    }
    ctx.out.end_list("");
    ctx.note(fmt::format("{} files checked, {} findings", walk.files_seen, walk.findings_total));
    if (open && !args.repair && !damaged)
        ctx.note("  next: halfdoor check --repair (adds and drops rows, never touches files)");
    return damaged ? kDamaged : open ? kNo : kOk;
}

// Asks until the pass has ended; `verb_json` starts it, later questions only look.
Result<wire::Reply> wait_for_check(Context& ctx, wire::Client& hub) {
    Progress progress(ctx, "clips checked", 0);
    HD_ASSIGN(wire::Reply reply, ask_hub(hub, "check", R"({"wait":false})"));
    while (reply.body.text_or("state", "") == "running") {
        ctx.clock.sleep_until(ctx.clock.boot() + std::chrono::milliseconds(200));
        HD_ASSIGN(reply, ask_hub(hub, "check", R"({"wait":true})"));
        progress.update(
            static_cast<std::uint64_t>(std::max<std::int64_t>(0, reply.body.int_or("checked", 0))));
    }
    return reply;
}

Result<int> check_online(Context& ctx, const CheckArgs& args) {
    if (args.hash || args.size || args.repair)
        return with_next(Error{ErrorCode::invalid,
                               "a running hub checks presence and sizes; hashes and repair are "
                               "for a stopped one"},
                         "stop halfdoord, then run this again with --data FOLDER");
    HD_ASSIGN(wire::Client hub, connect_hub(ctx, Endpoint::owner));
    HD_ASSIGN(const wire::Reply reply, wait_for_check(ctx, hub));
    const auto& problems = reply.body.array_or_empty("problems");
    bool damaged = false;
    for (const wire::Json& p : problems) {
        damaged = damaged || p.text_or("kind", "") == "damaged";
        ctx.out.row({{"kind", p.text_or("kind", "")},
                     {"path", p.text_or("clip", "")},
                     {"what", p.text_or("text", "")},
                     {"repaired", false}});
    }
    ctx.out.end_list("");
    ctx.note(fmt::format("{} clips checked, {} findings", reply.body.int_or("checked", 0),
                         problems.size()));
    return damaged ? kDamaged : problems.empty() ? kOk : kNo;
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
    store::Rebuild rebuild(*opened.store, real_file_system(), opened.folders);
    HD_TRY(rebuild.restart());
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
    return rebuild.findings().empty() ? kOk : kDamaged;
}

}  // namespace

void add_check_verbs(Frame& frame) {
    auto check = std::make_shared<CheckArgs>();
    CLI::App* sub = frame.verb(
        "Files and developers",
        {"check", "Compare files and index; say what is wrong",
         R"(A running hub checks itself; with --data (hub stopped) the folder is read directly.
Exit 0: nothing found. 1: rows and files disagree. 4: damaged files.

  halfdoor check
  halfdoor check --data /var/lib/halfdoor --hash
  halfdoor check --data /var/lib/halfdoor --repair
)"});
    sub->add_flag("--presence", check->presence,
                  "Each row has its file, each file its row (default)");
    sub->add_flag("--size", check->size, "Also sizes and footers");
    sub->add_flag("--hash", check->hash, "Also every byte against its SHA-256");
    sub->add_flag("--repair", check->repair, "Add missing rows, drop rows without a file");
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
