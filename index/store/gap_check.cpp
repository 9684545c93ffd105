// check_gaps of index/store/disk_walk.hpp.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "index/store/disk_walk.hpp"
#include "index/store/row_codec.hpp"

namespace hd::store {
namespace {

// As the store would keep them.
std::vector<GapRow> gaps_by_journal(const Store& store, const CameraId& camera,
                                    const JournalPart& whole) {
    std::map<WallTime, GapRow> told;
    std::set<WallTime> open;
    std::vector<WallTime> dark_ends;  // of gaps that began at nobody knows when
    for (const GapRecord& gap : whole.gaps) {
        const auto end = gap.end ? store.utc_of(*gap.end) : std::nullopt;
        if (end && !store.utc_of(gap.begin)) dark_ends.push_back(*end);
    }
    std::ranges::sort(dark_ends);
    for (const GapRecord& gap : whole.gaps) {
        const auto begin = store.utc_of(gap.begin);
        if (!begin) continue;  // waits for the offset of its boot
        GapRow row{.camera = camera, .begin = *begin, .end = {}, .cause = gap.cause};
        if (gap.end) {
            const auto dark = std::ranges::lower_bound(dark_ends, *begin);
            if (const auto end = store.utc_of(*gap.end))
                row.end = gap_end(gap, *begin, *end);
            else if (dark != dark_ends.end())
                row.end = *dark;
        }
        const auto [there, is_new] = told.try_emplace(*begin, row);
        if (!is_new) {
            row = retold(there->second, row);
            if (row == std::exchange(there->second, row)) continue;
        }
        while (!open.empty() && *open.begin() < *begin) {
            told.at(*open.begin()).end = *begin;
            open.erase(open.begin());
        }
        open.erase(*begin);
        if (!there->second.end) open.insert(*begin);
    }
    std::vector<GapRow> out;
    for (const auto& [begin, row] : told) out.push_back(row);
    return out;
}

Result<std::vector<GapRow>> gaps_by_store(const Store& store, const CameraId& camera) {
    std::vector<GapRow> out;
    GapQuery query{.window = {{0}, {kEndTimeUs}}, .cameras = {camera}};
    for (;;) {
        HD_ASSIGN(const GapAnswer page, store.gaps(query));
        for (const GapRow& gap : page.gaps)
            if (out.empty() || gap.begin > out.back().begin) out.push_back(gap);
        if (!page.until) return out;
        query.window.begin = *page.until;
    }
}

}  // namespace

Result<void> check_gaps(Store& store, FileSystem& fs, const DataFolders& folders,
                        const CameraId& camera, bool repair, Findings& findings) {
    const std::string name = to_string(camera) + ".log";
    // First what is on its way: the notice of a gap comes after its record.
    Findings damage;
    HD_ASSIGN(const JournalPart fresh,
              read_journal_part(fs, folders, camera, journal_offset(store, camera), damage));
    HD_TRY(put_journal_part(store, camera, fresh));
    damage = Findings();
    HD_ASSIGN(const JournalPart whole, read_journal_part(fs, folders, camera, 0, damage));
    HD_ASSIGN(const auto kept, gaps_by_store(store, camera));
    const auto expected = gaps_by_journal(store, camera, whole);
    if (!fs.exists(join(folders.journal, name)) && !kept.empty())
        damage.add({FindingKind::journal_damage, name, "it is gone; the index still has its gaps"});
    for (const Finding& f : damage.list()) findings.add(f);
    // Written to while we read it: whoever asks again finds the rest.
    if (kept == expected || whole.whole_until != fresh.whole_until) return {};
    Finding finding{FindingKind::gaps_differ, name,
                    fmt::format("the journal tells {} gaps, the index {}, not the same",
                                expected.size(), kept.size())};
    // What a damaged journal does not tell any more only the index knows.
    if (repair && damage.total() == 0) {
        HD_TRY(store.drop_gaps(camera));
        HD_TRY(put_journal_part(store, camera, whole));
        finding.repaired = true;
    }
    findings.add(std::move(finding));
    return {};
}

}  // namespace hd::store
