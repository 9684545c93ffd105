// Check of index/store/rebuild.hpp: rows and files compared both ways, a camera-day at a time.
#include <algorithm>
#include <map>
#include <set>

#include "index/clip/clip_check.hpp"
#include "index/store/disk_walk.hpp"
#include "index/store/row_codec.hpp"

namespace hd::store {
namespace {

constexpr std::uint32_t kMaxGarbage = 1'000'000;

// What a row says about a file, however it was stamped.
struct RowFacts {
    clip::EndReason reason;
    ClockQuality quality;
    std::uint32_t frames, pieces;
    std::uint64_t size_bytes;
    bool operator==(const RowFacts&) const = default;
};
RowFacts facts(const ClipRow& r) { return {r.reason, r.quality, r.frames, r.pieces, r.size_bytes}; }
RowFacts facts(const clip::ClipSummary& s) {
    return {s.reason, s.quality, s.frames, s.pieces, s.size_bytes};
}

}  // namespace

struct Check::State {
    Store& store;
    FileSystem& fs;
    DataFolders folders;
    CheckOptions options;
    bool ready = false;
    std::vector<CameraDay> days;
    std::size_t day = 0;
    std::set<std::string> garbage;           // relative paths
    std::map<std::string, ClipRow> pending;  // by relative path
    std::map<CameraId, WallTime> newest;     // when the walk began
    Findings findings;
    WalkProgress progress;

    Result<void> prepare() {
        HD_ASSIGN(const auto marked, store.garbage(kMaxGarbage));
        for (const auto& g : marked)
            garbage.insert(clip::clip_path(g.name.camera, g.name.name_time, g.name.run));
        HD_ASSIGN(const auto waiting, store.pending(kMaxGarbage));
        for (const auto& p : waiting) pending[hd::store::clip_path(p.row)] = p.row;
        std::set<std::pair<std::string, CameraId>> all;
        HD_ASSIGN(const auto on_disk, cameras_on_disk(fs, folders, &findings));
        for (const CameraId& camera : on_disk) {
            HD_ASSIGN(const auto found, days_on_disk(fs, folders, camera, &findings));
            for (const CameraDay& d : found) all.emplace(d.day, camera);
        }
        // Days of rows too: their folder may be gone.
        for (const CameraTotals& t : store.all_totals()) {
            if (const auto name = store.newest_name(t.camera)) newest[t.camera] = *name;
            if (!t.first || !t.last) continue;
            for (std::int64_t us = t.first->us / kDayUs * kDayUs; us <= t.last->us; us += kDayUs)
                all.emplace(to_date({us}), t.camera);
        }
        for (const auto& [d, camera] : all) days.push_back({camera, d});
        progress.days_total = days.size();
        HD_TRY(check_pending());
        ready = true;
        return {};
    }

    Result<void> check_pending() {
        for (const auto& [path, row] : pending) {
            const auto size = fs.size(join(folders.clips, path));
            if (!size.ok()) HD_TRY(row_without_file(row));
        }
        return {};
    }

    Result<void> row_without_file(const ClipRow& row) {
        // Deleted since the row was read?
        const clip::ClipName name = clip_name(row);
        const std::string path = hd::store::clip_path(row);
        if (!pending.contains(path) && !store.find(name).ok()) return {};
        Finding finding{FindingKind::row_without_file, path, "the file is gone"};
        if (options.repair) {
            HD_ASSIGN(const std::uint64_t marked, store.mark_garbage({&name, 1}));
            if (marked == 1) HD_TRY(store.forget({&name, 1}));
            finding.repaired = true;
        }
        findings.add(std::move(finding));
        return {};
    }

    // Puts what the file says; true if the store then says the same.
    Result<bool> put(const clip::ClipSummary& summary) {
        HD_ASSIGN(const PutReport report, store.put_clips({&summary, 1}, Durability::buffered));
        progress.clips_put += report.added + report.replaced;
        return report.refused.empty();
    }

    Result<void> check_file(const CameraDay& at, const FileEntry& entry) {
        const std::string path = join(folder_of(at), entry.name);
        if (garbage.contains(path)) return {};
        if (kind_of(entry) == FileKind::strange) {
            findings.add({FindingKind::strange_file, path, "not a clip"});
            return {};
        }
        if (kind_of(entry) == FileKind::part) {
            findings.add({FindingKind::unfinished, path, "being written, or left by a crash"});
            return {};
        }
        const auto name = clip::parse_clip_path(path);
        if (!name.ok()) {
            findings.add({FindingKind::wrong_name, path, name.error().what});
            return {};
        }
        const auto waits = pending.find(path);
        std::optional<ClipRow> row;
        if (waits != pending.end()) row = waits->second;
        if (!row) {
            const auto found = store.find(*name);
            if (found.ok())
                row = *found;
            else if (found.error().code == ErrorCode::corrupt)
                return found.error();
        }
        return row ? check_row(at, entry, *row) : file_without_row(at, entry, *name);
    }

    Result<void> file_without_row(const CameraDay& at, const FileEntry& entry,
                                  const clip::ClipName& name) {
        // Finished after the walk began: its row is on its way.
        if (const auto it = newest.find(at.camera);
            it != newest.end() && name.name_time > it->second && !options.repair)
            return {};
        ClipFile file = read_clip_file(fs, folders, at, entry);
        if (!file.summary) {
            findings.add(std::move(file.finding));
            return {};
        }
        Finding finding{FindingKind::file_without_row, join(folder_of(at), entry.name),
                        "a finished clip that the index does not know"};
        if (options.repair) {
            HD_ASSIGN(finding.repaired, put(*file.summary));
        }
        findings.add(std::move(finding));
        return {};
    }

    Result<void> check_row(const CameraDay& at, const FileEntry& entry, const ClipRow& row) {
        if (options.level == CheckLevel::presence) return {};
        const std::string path = join(folder_of(at), entry.name);
        ClipFile file = read_clip_file(fs, folders, at, entry);
        if (!file.summary) {
            findings.add(std::move(file.finding));
            return {};
        }
        if (facts(row) != facts(*file.summary) || row.size_bytes != entry.size) {
            const bool size = row.size_bytes != entry.size;
            Finding finding{size ? FindingKind::size_differs : FindingKind::facts_differ, path,
                            size ? "row says " + std::to_string(row.size_bytes) +
                                       " bytes, the file has " + std::to_string(entry.size)
                                 : "row and file disagree on frames, pieces, reason or clock"};
            if (options.repair) {
                HD_ASSIGN(finding.repaired, put(*file.summary));
            }
            findings.add(std::move(finding));
        }
        if (options.level != CheckLevel::hash) return {};
        const auto checked =
            clip::check_clip(fs, join(folders.clips, path), clip::CheckLevel::hash);
        if (!checked.good())
            findings.add({FindingKind::hash_differs, path,
                          "byte " + std::to_string(checked.problems.front().at_byte) + ": " +
                              checked.problems.front().rule});
        return {};
    }

    // Rows that begin on this day against the listing of its folder.
    Result<void> check_rows(const CameraDay& at, const std::set<std::string>& names) {
        const WallTime begin = *begin_of_day(at.day);
        WindowQuery query{.window = {begin, begin + Micros(kDayUs)}, .cameras = {at.camera}};
        query.limit = kMaxPageItems;
        do {
            HD_ASSIGN(const WindowAnswer page, store.window(query));
            for (const ClipRow& row : page.clips) {
                if (row.begin < begin) continue;  // the day before had it
                const std::string path = hd::store::clip_path(row);
                const bool here = parent_folder(path) == folder_of(at);
                const bool there = here ? names.contains(path.substr(path.find_last_of('/') + 1))
                                        : fs.exists(join(folders.clips, path));
                // Finished and indexed after the folder was listed?
                if (!there && !(here && fs.exists(join(folders.clips, path))))
                    HD_TRY(row_without_file(row));
            }
            query.cursor = page.next_cursor;
        } while (!query.cursor.empty());
        return {};
    }

    Result<void> check_day(const CameraDay& at) {
        const auto entries = fs.list(join(folders.clips, folder_of(at)));
        std::set<std::string> names;
        if (entries.ok()) {
            for (const FileEntry& e : *entries) {
                names.insert(e.name);
                ++progress.files_seen;
                HD_TRY(check_file(at, e));
            }
        } else if (entries.error().code != ErrorCode::not_found) {
            findings.add({FindingKind::unreadable_file, folder_of(at), entries.error().what});
            return {};
        }
        return check_rows(at, names);
    }
};

Check::Check(Store& store, FileSystem& fs, DataFolders folders, CheckOptions options)
    : state_(std::make_unique<State>(
          State{.store = store, .fs = fs, .folders = std::move(folders), .options = options})) {}
Check::~Check() = default;

Result<WalkProgress> Check::step(std::uint32_t max_files) {
    State& s = *state_;
    if (s.progress.done) return s.progress;
    if (!s.ready) HD_TRY(s.prepare());
    const std::uint64_t until = s.progress.files_seen + max_files;
    while (s.day < s.days.size()) {
        HD_TRY(s.check_day(s.days[s.day++]));
        if (s.progress.files_seen >= until) break;
    }
    s.progress.days_left = s.days.size() - s.day;
    if (s.day == s.days.size()) {
        if (s.options.repair) HD_TRY(s.store.sync());
        s.progress.done = true;
    }
    s.progress.findings_total = s.findings.total();
    return s.progress;
}

const std::vector<Finding>& Check::findings() const { return state_->findings.list(); }

}  // namespace hd::store
