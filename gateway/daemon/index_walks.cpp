// The half of IndexWorker that goes over all clips because somebody asked: reindex and check.
#include <algorithm>

#include "gateway/daemon/index_worker.hpp"
#include "gateway/ledger/hub_folder.hpp"
#include "index/base/log.hpp"

namespace hd::daemon {

namespace {

// Files per step of a check: about 20 ms, so that notices wait no longer; at level hash as many as
// are read at once.
constexpr std::uint32_t kCheckFiles = 200;
constexpr std::uint32_t kHashedFiles = 2;
constexpr unsigned kReaders = 2;

bool damages(store::FindingKind kind) { return kind != store::FindingKind::unfinished; }

}  // namespace

store::RunJobs IndexWorker::read_in_parallel() {
    return [this](std::size_t count, const std::function<void(std::size_t)>& job) {
        if (!crew_) crew_ = std::make_unique<ReadCrew>(kReaders);
        crew_->run(count, job);
    };
}

void IndexWorker::take(const ReindexWanted&) {
    if (!rebuild_)
        rebuild_ =
            std::make_unique<store::Rebuild>(*store_, wiring_.fs, folders_, read_in_parallel());
    if (auto restarted = rebuild_->restart(); !restarted) {
        return complain("index.reindex_failed", restarted.error());
    }
    log::info("index.rebuild_began", "why=reindex");
    publish_status();
}

void IndexWorker::take(const CheckWanted& wanted) {
    const auto hub = ledger::read_hub_id(wiring_.fs, join(places_.data_folder, "hub"));
    check_ = std::make_unique<store::Check>(
        *store_, wiring_.fs, folders_,
        store::CheckOptions{.level = wanted.level,
                            .repair = wanted.repair,
                            .mend_files = wanted.repair,
                            .hub = hub ? std::optional(*hub) : std::nullopt},
        read_in_parallel());
    check_state_ = wiring_.checks.get();
    for (const store::CameraTotals& totals : store_->all_totals())
        check_state_.total += totals.clips + totals.pending_clips;
}

void IndexWorker::step_check() {
    // While a rebuild runs, rows that it has not reached yet are no findings.
    if (rebuild_) return;
    auto progress = check_->step(check_state_.level == "hash" ? kHashedFiles : kCheckFiles);
    CheckState& state = check_state_;
    if (!progress) {
        state.state = "done";
        ++state.problems_total;
        state.problems.push_back({.kind = "index_failed", .text = progress.error().what});
    } else {
        state.checked = progress->files_seen;
        state.total = std::max(state.total, state.checked);
        if (progress->done) state.state = "done";
        state.problems.clear();
        state.problems_total = 0;
        for (const store::Finding& finding : check_->findings()) {
            if (!damages(finding.kind)) continue;
            ++state.problems_total;
            if (state.problems.size() < kMaxCheckProblems)
                state.problems.push_back({.kind = std::string(to_string(finding.kind)),
                                          .clip = finding.path,
                                          .text = finding.what,
                                          .repaired = finding.repaired});
        }
    }
    if (state.state == "done") {
        log::info("index.checked", "level={} repair={} files={} problems={}", state.level,
                  state.repair, state.checked, state.problems_total);
        check_.reset();
    }
    wiring_.checks.set(state);
}

}  // namespace hd::daemon
