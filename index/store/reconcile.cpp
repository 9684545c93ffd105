// reconcile and sweep_garbage of index/store/rebuild.hpp.
#include <algorithm>
#include <map>
#include <set>

#include "index/store/disk_walk.hpp"
#include "index/store/row_codec.hpp"

namespace hd::store {
namespace {

constexpr std::uint32_t kSweepBatch = 1000;

class Reconciling {
  public:
    Reconciling(Store& store, FileSystem& fs, const DataFolders& folders)
        : store_(store), fs_(fs), folders_(folders) {}

    Result<void> camera(const CameraId& id) {
        HD_TRY(read_journal(id));
        HD_ASSIGN(const auto days, days_on_disk(fs_, folders_, id, nullptr));
        for (const CameraDay& day : days)
            if (is_new(id, day, days.back())) HD_TRY(read_day(day));
        return flush();
    }

    ReconcileReport take() && {
        report_.findings = findings_.list();
        return std::move(report_);
    }
    ReconcileReport& report() { return report_; }
    Findings& findings() { return findings_; }

  private:
    // What was closed since the last look, wherever a stepped clock may have put it.
    Result<void> read_journal(const CameraId& id) {
        HD_ASSIGN(const JournalPart part,
                  read_journal_part(fs_, folders_, id, journal_offset(store_, id), findings_));
        for (const clip::ClipName& name : part.closed) {
            if (store_.find(name).ok()) continue;
            const std::string path = clip::clip_path(name.camera, name.name_time, name.run);
            const auto size = fs_.size(join(folders_.clips, path));
            if (!size.ok()) continue;  // deleted since
            const CameraDay day{name.camera, to_date(name.name_time)};
            HD_TRY(read_file(day, {.name = path.substr(path.find_last_of('/') + 1),
                                   .is_folder = false,
                                   .size = *size}));
        }
        HD_TRY(flush());
        return put_journal_part(store_, id, part);
    }

    // Not older than the newest committed clip, less a day for clips that ran over midnight; and
    // what is older than anything known: a clock that was not set yet.
    bool is_new(const CameraId& id, const CameraDay& day, const CameraDay& newest) const {
        const auto begin = begin_of_day(day.day);
        const auto committed = store_.newest_name(id);
        const WallTime known = committed ? *committed : *begin_of_day(newest.day);
        if (begin->us + 2 * kDayUs > known.us) return true;
        const auto first = store_.first(id);
        return first.ok() && begin->us + kDayUs <= first->begin.us;
    }

    Result<void> read_day(const CameraDay& day) {
        HD_ASSIGN(const auto entries, fs_.list(join(folders_.clips, folder_of(day))));
        for (const FileEntry& e : entries) {
            const std::string path = join(folder_of(day), e.name);
            switch (kind_of(e)) {
                case FileKind::part:
                    report_.unfinished.push_back(path);
                    break;
                case FileKind::strange:
                    findings_.add({FindingKind::strange_file, path, "not a clip"});
                    break;
                case FileKind::clip: {
                    const auto name = clip::parse_clip_path(path);
                    if (name.ok() && store_.find(*name).ok()) break;
                    HD_TRY(read_file(day, e));
                }
            }
        }
        return {};
    }

    Result<void> read_file(const CameraDay& day, const FileEntry& entry) {
        ClipFile clip = read_clip_file(fs_, folders_, day, entry);
        if (clip.summary)
            batch_.push_back(std::move(*clip.summary));
        else
            findings_.add(std::move(clip.finding));
        return batch_.size() < kSweepBatch ? Result<void>() : flush();
    }

    Result<void> flush() {
        if (batch_.empty()) return {};
        HD_ASSIGN(const PutReport put, store_.put_clips(batch_, Durability::synced));
        report_.clips_put += put.added + put.replaced;
        for (const std::string& refused : put.refused)
            findings_.add(
                {FindingKind::unreadable_file, refused.substr(0, refused.find(": ")), refused});
        batch_.clear();
        return {};
    }

    Store& store_;
    FileSystem& fs_;
    const DataFolders& folders_;
    Findings findings_;
    ReconcileReport report_;
    std::vector<clip::ClipSummary> batch_;
};

}  // namespace

Result<ReconcileReport> reconcile(Store& store, FileSystem& fs, const DataFolders& folders) {
    Reconciling work(store, fs, folders);
    for (;;) {
        HD_ASSIGN(const std::uint64_t removed, sweep_garbage(store, fs, folders, kSweepBatch));
        work.report().garbage_removed += removed;
        if (removed == 0) break;
    }
    HD_TRY(put_boot_offsets(store, fs, folders, work.findings()));
    HD_ASSIGN(const auto with_clips, cameras_on_disk(fs, folders, &work.findings()));
    HD_ASSIGN(const auto with_journal, cameras_with_journal(fs, folders));
    std::set<CameraId> cameras(with_clips.begin(), with_clips.end());
    cameras.insert(with_journal.begin(), with_journal.end());
    for (const CameraId& id : cameras) HD_TRY(work.camera(id));
    return std::move(work).take();
}

Result<void> follow_journal(Store& store, FileSystem& fs, const DataFolders& folders,
                            const CameraId& camera) {
    Findings findings;  // A check lists them.
    HD_ASSIGN(const JournalPart part,
              read_journal_part(fs, folders, camera, journal_offset(store, camera), findings));
    return put_journal_part(store, camera, part);
}

namespace {

// Only days long over, so that it never races with a recorder that makes its folder for today. A
// folder that is not empty stays; nothing depends on the removal.
void drop_old_folder(const Store& store, FileSystem& fs, const std::string& folder,
                     const std::string& path) {
    const auto camera = parse_id<CameraId>(parent_folder(folder), "camera folder");
    const auto day = begin_of_day(folder.substr(folder.find_last_of('/') + 1));
    if (!camera.ok() || !day) return;
    const auto newest = store.newest_name(*camera);
    if (newest && day->us + 3 * kDayUs < newest->us) fs.remove_empty_folder(path).ignore();
}

}  // namespace

Result<std::uint64_t> sweep_garbage(Store& store, FileSystem& fs, const DataFolders& folders,
                                    std::uint32_t limit) {
    HD_ASSIGN(const auto garbage, store.garbage(limit));
    std::map<std::string, std::vector<clip::ClipName>> by_folder;
    for (const Store::Garbage& g : garbage) {
        const std::string path = clip::clip_path(g.name.camera, g.name.name_time, g.name.run);
        by_folder[parent_folder(path)].push_back(g.name);
    }
    std::uint64_t removed = 0;
    std::optional<Error> failed;
    for (const auto& [folder, names] : by_folder) {
        std::vector<clip::ClipName> gone;
        for (const clip::ClipName& n : names) {
            const auto result =
                fs.remove(join(folders.clips, clip::clip_path(n.camera, n.name_time, n.run)));
            if (result.ok() || result.error().code == ErrorCode::not_found)
                gone.push_back(n);
            else
                failed = result.error();  // stays garbage; the next sweep tries again
        }
        if (gone.empty()) continue;
        const std::string path = join(folders.clips, folder);
        if (fs.exists(path)) {
            HD_TRY(fs.sync_folder(path));
        }
        // Only now: until the folder is synced a power cut could bring the file back.
        HD_TRY(store.forget(gone));
        drop_old_folder(store, fs, folder, path);
        removed += gone.size();
    }
    if (removed == 0 && failed) return *failed;
    return removed;
}

}  // namespace hd::store
