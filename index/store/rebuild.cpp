#include "index/store/rebuild.hpp"

#include <algorithm>

#include "index/store/disk_walk.hpp"
#include "index/store/row_codec.hpp"

namespace hd::store {
namespace {

// Holds the name of the last day folder that was finished; kBegun before the first.
constexpr const char* kProgressNote = "rebuild";
constexpr const char* kBegun = "begun";
// Set while a store that has rows is gone over again: what nobody knows any more goes at the end.
constexpr const char* kAgainNote = "reindex";

// The clips of a day may reach this far into the next one, whose folder is done before.
Micros reach() { return clip::kMaxClipLength; }

}  // namespace

struct Rebuild::State {
    Store& store;
    FileSystem& fs;
    DataFolders folders;
    RunJobs run;
    bool ready = false;
    bool again = false;             // rows and gaps of before are there
    std::unique_ptr<Check> strays;  // then: looks for those without a file, at the end
    std::vector<CameraDay> days;    // newest first; those of one day together
    std::size_t day = 0;            // in days
    std::vector<FileEntry> files;
    std::size_t file = 0;  // in files
    bool listed = false;
    Findings findings;
    std::vector<std::string> unfinished;
    WalkProgress progress;

    Result<void> prepare() {
        HD_ASSIGN(const std::string done, store.note(kProgressNote));
        // From the first moment: whoever asks now is told that the answer is not whole.
        if (done.empty()) store.set_complete_from(WallTime{kLastTimeUs});
        if (done.empty()) HD_TRY(store.set_note(kProgressNote, kBegun, Durability::synced));
        HD_ASSIGN(const std::string over, store.note(kAgainNote));
        again = !over.empty();
        HD_TRY(put_boot_offsets(store, fs, folders, findings));
        if (again && done.empty())
            for (const CameraId& camera : store.cameras()) HD_TRY(store.drop_gaps(camera));
        HD_ASSIGN(const auto journals, cameras_with_journal(fs, folders));
        for (const CameraId& camera : journals) {
            HD_ASSIGN(const JournalPart part, read_journal_part(fs, folders, camera, 0, findings));
            HD_TRY(put_journal_part(store, camera, part));
        }
        HD_ASSIGN(const auto cameras, cameras_on_disk(fs, folders, &findings));
        for (const CameraId& camera : cameras) {
            HD_ASSIGN(const auto found, days_on_disk(fs, folders, camera, &findings));
            days.insert(days.end(), found.begin(), found.end());
        }
        std::stable_sort(days.begin(), days.end(),
                         [](const CameraDay& a, const CameraDay& b) { return a.day > b.day; });
        if (!done.empty() && done != kBegun)
            std::erase_if(days, [&](const CameraDay& d) { return d.day >= done; });
        if (done.empty() && !days.empty())
            store.set_complete_from(*begin_of_day(days.front().day) + Micros(kDayUs) + reach());
        progress.days_total = days.size();
        progress.days_left = days.size();
        ready = true;
        return {};
    }

    // Reads up to `max` files of the folder at hand; true if it is done.
    Result<bool> read_files(std::uint32_t max, std::vector<clip::ClipSummary>& batch) {
        const CameraDay& at = days[day];
        if (!listed) {
            files = files_of_day(fs, folders, at, findings).value_or(std::vector<FileEntry>{});
            file = 0;
            listed = true;
        }
        const std::size_t count = std::min<std::size_t>(max, files.size() - file);
        std::vector<ClipFile> read(count);
        run(count, [&](std::size_t i) {
            const FileEntry& e = files[file + i];
            if (kind_of(e) == FileKind::clip) read[i] = read_clip_file(fs, folders, at, e);
        });
        for (std::size_t i = 0; i < count; ++i) {
            const FileEntry& e = files[file + i];
            const std::string path = join(folder_of(at), e.name);
            if (kind_of(e) == FileKind::part)
                unfinished.push_back(path);
            else if (kind_of(e) == FileKind::strange)
                findings.add({FindingKind::strange_file, path, "not a clip"});
            else if (read[i].summary)
                batch.push_back(std::move(*read[i].summary));
            else if (fs.exists(join(folders.clips, path)))  // not deleted since it was listed
                findings.add(std::move(read[i].finding));
        }
        file += count;
        progress.files_seen += count;
        return file == files.size();
    }

    Result<void> put(const std::vector<clip::ClipSummary>& batch) {
        if (batch.empty()) return {};
        HD_ASSIGN(const PutReport report, store.put_clips(batch, Durability::buffered));
        progress.clips_put += report.added + report.replaced;
        for (const std::string& refused : report.refused)
            findings.add({FindingKind::unreadable_file, refused.substr(0, refused.find(": ")),
                          refused.substr(std::min(refused.size(), refused.find(": ") + 2))});
        return {};
    }

    // The last camera of a day is done: everything from that day on is complete.
    Result<void> end_day() {
        const std::string& done = days[day].day;
        if (day + 1 < days.size() && days[day + 1].day == done) return {};
        store.set_complete_from(*begin_of_day(done) + reach());
        return store.set_note(kProgressNote, done, Durability::buffered);
    }

    // True when no row of before is left that has no file.
    Result<bool> drop_strays(std::uint32_t max_files) {
        if (!again) return true;
        if (!strays)
            strays = std::make_unique<Check>(
                store, fs, folders, CheckOptions{.level = CheckLevel::presence, .repair = true},
                run);
        HD_ASSIGN(const WalkProgress p, strays->step(max_files));
        if (!p.done) return false;
        for (const Finding& f : strays->findings())
            if (f.repaired) findings.add(f);
        return true;
    }

    Result<void> finish() {
        store.set_complete_from(std::nullopt);
        progress.done = true;
        if (again) HD_TRY(store.set_note(kAgainNote, "", Durability::buffered));
        return store.set_note(kProgressNote, "", Durability::synced);
    }
};

Rebuild::Rebuild(Store& store, FileSystem& fs, DataFolders folders, RunJobs run)
    : state_(std::make_unique<State>(
          State{.store = store, .fs = fs, .folders = std::move(folders), .run = std::move(run)})) {}
Rebuild::~Rebuild() = default;

Result<void> Rebuild::restart() {
    HD_TRY(state_->store.set_note(kAgainNote, "yes", Durability::buffered));
    HD_TRY(state_->store.set_note(kProgressNote, "", Durability::buffered));
    state_ = std::make_unique<State>(State{
        .store = state_->store, .fs = state_->fs, .folders = state_->folders, .run = state_->run});
    return {};
}

Result<WalkProgress> Rebuild::step(std::uint32_t max_files) {
    State& s = *state_;
    if (s.progress.done) return s.progress;
    if (!s.ready) HD_TRY(s.prepare());
    const std::uint64_t until = s.progress.files_seen + std::max<std::uint32_t>(max_files, 1);
    std::vector<clip::ClipSummary> batch;
    while (s.day < s.days.size() && s.progress.files_seen < until) {
        HD_ASSIGN(const bool done,
                  s.read_files(static_cast<std::uint32_t>(until - s.progress.files_seen), batch));
        if (!done) break;
        HD_TRY(s.put(batch));
        batch.clear();
        HD_TRY(s.end_day());
        ++s.day;
        s.listed = false;
        s.progress.days_left = s.days.size() - s.day;
    }
    HD_TRY(s.put(batch));
    if (s.day == s.days.size()) {
        HD_ASSIGN(const bool done, s.drop_strays(max_files));
        if (done) HD_TRY(s.finish());
    }
    s.progress.findings_total = s.findings.total();
    s.progress.complete_from = s.store.complete_from();
    return s.progress;
}

const std::vector<Finding>& Rebuild::findings() const { return state_->findings.list(); }
const std::vector<std::string>& Rebuild::unfinished() const { return state_->unfinished; }

}  // namespace hd::store
