// Check of index/store/rebuild.hpp: rows and files compared both ways, a camera-day at a time.
#include <algorithm>
#include <map>
#include <set>

#include "index/clip/clip_check.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/store/disk_walk.hpp"
#include "index/store/mend.hpp"
#include "index/store/row_codec.hpp"

namespace hd::store {
namespace {

constexpr std::uint32_t kMaxGarbage = 1'000'000;

}  // namespace

struct Check::State {
    // What is known of one file of a day before anything is decided about it.
    struct Seen {
        FileEntry entry;
        std::string path;  // relative to <data>/clips
        std::optional<clip::ClipName> name;
        std::optional<ClipRow> row;
        bool read = false;  // the file must be read
        ClipFile file;
        std::optional<Finding> damage;  // by its hashes
        std::optional<Finding> foreign;
    };

    Store& store;
    FileSystem& fs;
    DataFolders folders;
    CheckOptions options;
    RunJobs run;
    bool ready = false;
    std::vector<CameraDay> days;
    std::size_t day = 0;
    std::vector<FileEntry> files;  // of the day at hand
    std::size_t file = 0;
    bool listed = false;
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
        HD_TRY(check_journals(on_disk));
        ready = true;
        return {};
    }

    Result<void> check_journals(const std::vector<CameraId>& on_disk) {
        std::set<CameraId> cameras(on_disk.begin(), on_disk.end());
        HD_ASSIGN(const auto journals, cameras_with_journal(fs, folders));
        cameras.insert(journals.begin(), journals.end());
        for (const CameraId& camera : store.cameras()) cameras.insert(camera);
        for (const CameraId& camera : cameras)
            HD_TRY(check_gaps(store, fs, folders, camera, options.repair, findings));
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
            HD_TRY(drop_row(name));
            finding.repaired = true;
        }
        findings.add(std::move(finding));
        return {};
    }
    Result<void> drop_row(const clip::ClipName& name) {
        HD_ASSIGN(const std::uint64_t marked, store.mark_garbage({&name, 1}));
        return marked == 1 ? store.forget({&name, 1}) : Result<void>();
    }

    // Puts what the file says; true if the store then says the same.
    Result<bool> put(const clip::ClipSummary& summary) {
        HD_ASSIGN(const PutReport report, store.put_clips({&summary, 1}, Durability::buffered));
        progress.clips_put += report.added + report.replaced;
        return report.refused.empty();
    }

    // Up to `max` files of the day at hand: rows first, then the files at once, then judgement.
    Result<void> check_files(std::uint32_t max) {
        const CameraDay& at = days[day];
        std::vector<Seen> seen;
        for (; file < files.size() && max > 0; ++file, --max) {
            ++progress.files_seen;
            HD_TRY(look_up(at, files[file], seen));
        }
        run(seen.size(), [&](std::size_t i) { read_file(at, seen[i]); });
        for (Seen& s : seen) HD_TRY(judge(at, s));
        return {};
    }

    Result<void> look_up(const CameraDay& at, const FileEntry& entry, std::vector<Seen>& seen) {
        Seen s{.entry = entry, .path = join(folder_of(at), entry.name)};
        if (garbage.contains(s.path)) return {};
        if (kind_of(entry) == FileKind::strange) {
            findings.add({FindingKind::strange_file, s.path, "not a clip"});
            return {};
        }
        if (kind_of(entry) == FileKind::part) {
            findings.add({FindingKind::unfinished, s.path, "being written, or left by a crash"});
            return {};
        }
        if (const auto name = clip::parse_clip_path(s.path); name.ok()) s.name = *name;
        if (const auto waits = pending.find(s.path); waits != pending.end()) {
            s.row = waits->second;
        } else if (s.name) {
            const auto found = store.find(*s.name);
            if (found.ok())
                s.row = *found;
            else if (found.error().code == ErrorCode::corrupt)
                return found.error();
        }
        // Finished after the walk began: its row is on its way.
        if (const auto it = newest.find(at.camera); !s.row && s.name && it != newest.end() &&
                                                    s.name->name_time > it->second &&
                                                    !options.repair)
            return {};
        s.read = !s.row || options.level != CheckLevel::presence;
        seen.push_back(std::move(s));
        return {};
    }

    // On any thread: touches nothing but `s`.
    void read_file(const CameraDay& at, Seen& s) const {
        if (s.read) s.file = read_clip_file(fs, folders, at, s.entry);
        if (options.level == CheckLevel::presence || !s.file.summary) return;
        if (options.hub) s.foreign = foreign_to(*options.hub, s.path);
        if (options.level != CheckLevel::hash) return;
        const auto checked =
            clip::check_clip(fs, join(folders.clips, s.path), clip::CheckLevel::hash);
        if (!checked.good())
            s.damage = Finding{FindingKind::hash_differs, s.path,
                               "byte " + std::to_string(checked.problems.front().at_byte) + ": " +
                                   checked.problems.front().rule};
    }

    // A recorder that was run by hand knows no hub. A header that cannot be read is for the hashes.
    std::optional<Finding> foreign_to(const HubId& own, const std::string& path) const {
        const auto header = clip::read_header(fs, join(folders.clips, path));
        if (!header.ok() || header->header.hub == own || header->header.hub == HubId{}) return {};
        return Finding{FindingKind::other_hub, path,
                       "recorded by the hub " + to_string(header->header.hub)};
    }

    Result<void> judge(const CameraDay& at, Seen& s) {
        if (!s.read) return {};
        if (!s.file.summary) return mend(at, s);
        const clip::ClipSummary& summary = *s.file.summary;
        Finding finding{FindingKind::file_without_row, s.path,
                        "a finished clip that the index does not know"};
        // The row that this file must have; one that waits for its boot's offset has its facts.
        ClipRow right = store.row_of(summary).value_or(s.row.value_or(ClipRow{}));
        if (s.row && !store.row_of(summary)) {
            right.size_bytes = summary.size_bytes;
            right.frames = summary.frames;
            right.pieces = summary.pieces;
            right.reason = summary.reason;
        }
        if (s.row && s.row->size_bytes != s.entry.size) {
            finding.kind = FindingKind::size_differs;
            finding.what = "row says " + std::to_string(s.row->size_bytes) +
                           " bytes, the file has " + std::to_string(s.entry.size);
        } else if (s.row && *s.row != right) {
            finding.kind = FindingKind::facts_differ;
            finding.what = "row and file disagree on times, frames, pieces, reason or clock";
        } else if (s.row) {
            finding.what.clear();
        }
        if (!finding.what.empty()) {
            if (options.repair) {
                HD_ASSIGN(finding.repaired, put(summary));
            }
            findings.add(std::move(finding));
        }
        if (s.damage) findings.add(std::move(*s.damage));
        if (s.foreign) findings.add(std::move(*s.foreign));
        return {};
    }

    // A file that cannot be believed as it is.
    Result<void> mend(const CameraDay& at, Seen& s) {
        Finding finding = std::move(s.file.finding);
        const bool may = options.repair && options.mend_files;
        std::optional<clip::ClipSummary> mended;
        if (may && s.file.own_name) {
            HD_ASSIGN(finding.repaired, rename_back(fs, folders, s.path, *s.file.own_name));
            if (finding.repaired) {
                const clip::ClipName& own = *s.file.own_name;
                const CameraDay to{at.camera, to_date(own.name_time)};
                const std::string path = clip::clip_path(own.camera, own.name_time, own.run);
                FileEntry entry = s.entry;
                entry.name = path.substr(path.find_last_of('/') + 1);
                mended = read_clip_file(fs, folders, to, entry).summary;
            }
        } else if (may && s.file.no_footer && s.name) {
            HD_ASSIGN(mended, finish_again(fs, folders, s.path));
            // Without a whole piece there is no clip, and its row goes with it.
            if (!mended && s.row) HD_TRY(drop_row(*s.name));
            finding.repaired = true;
        }
        if (mended) {
            HD_ASSIGN(finding.repaired, put(*mended));
        }
        findings.add(std::move(finding));
        return {};
    }

    // Rows that begin on this day against the listing of its folder.
    Result<void> check_rows(const CameraDay& at) {
        std::set<std::string> names;
        for (const FileEntry& e : files) names.insert(e.name);
        const WallTime begin = *begin_of_day(at.day);
        WindowQuery query{.window = {begin, begin + Micros(kDayUs)}, .cameras = {at.camera}};
        query.limit = kMaxPageItems;
        do {
            HD_ASSIGN(const WindowAnswer page, store.window(query));
            for (const ClipRow& row : page.clips) {
                if (row.begin < begin) continue;  // the day before had it
                const std::string path = hd::store::clip_path(row);
                const bool here = parent_folder(path) == folder_of(at);
                // Finished and indexed, or given its name back, after the folder was listed?
                if (!(here && names.contains(path.substr(path.find_last_of('/') + 1))) &&
                    !fs.exists(join(folders.clips, path)))
                    HD_TRY(row_without_file(row));
            }
            query.cursor = page.next_cursor;
        } while (!query.cursor.empty());
        return {};
    }

    // Part of a day; the day is over when its files and rows are.
    Result<void> step_day(std::uint32_t max) {
        const CameraDay& at = days[day];
        if (!listed) {
            auto entries = files_of_day(fs, folders, at, findings);
            if (!entries) return next_day();  // nothing is known of its rows
            files = std::move(*entries);
            file = 0;
            listed = true;
        }
        HD_TRY(check_files(max));
        if (file < files.size()) return {};
        HD_TRY(check_rows(at));
        return next_day();
    }
    Result<void> next_day() {
        ++day;
        listed = false;
        return {};
    }
};

Check::Check(Store& store, FileSystem& fs, DataFolders folders, CheckOptions options, RunJobs run)
    : state_(std::make_unique<State>(State{.store = store,
                                           .fs = fs,
                                           .folders = std::move(folders),
                                           .options = options,
                                           .run = std::move(run)})) {}
Check::~Check() = default;

Result<WalkProgress> Check::step(std::uint32_t max_files) {
    State& s = *state_;
    if (s.progress.done) return s.progress;
    if (!s.ready) HD_TRY(s.prepare());
    const std::uint64_t until = s.progress.files_seen + std::max<std::uint32_t>(max_files, 1);
    while (s.day < s.days.size() && s.progress.files_seen < until)
        HD_TRY(s.step_day(static_cast<std::uint32_t>(until - s.progress.files_seen)));
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
