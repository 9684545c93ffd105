#include "index/store/disk_walk.hpp"

#include <algorithm>
#include <set>
#include <span>

#include <fmt/format.h>

namespace hd::store {
namespace {

constexpr std::string_view kClipEnding = ".clip";
constexpr std::string_view kPartEnding = ".clip.part";
constexpr std::string_view kJournalEnding = ".log";

std::string offset_note(const CameraId& camera) { return "journal/" + to_string(camera); }

// The folder may not be there yet: a hub that never recorded.
Result<std::vector<FileEntry>> list_if_there(FileSystem& fs, const std::string& folder) {
    auto entries = fs.list(folder);
    if (!entries.ok() && entries.error().code == ErrorCode::not_found)
        return std::vector<FileEntry>();
    return entries;
}

}  // namespace

void run_in_turn(std::size_t count, const std::function<void(std::size_t)>& job) {
    for (std::size_t i = 0; i < count; ++i) job(i);
}

std::string_view to_string(FindingKind kind) {
    switch (kind) {
        case FindingKind::row_without_file:
            return "row_without_file";
        case FindingKind::file_without_row:
            return "file_without_row";
        case FindingKind::size_differs:
            return "size_differs";
        case FindingKind::facts_differ:
            return "facts_differ";
        case FindingKind::unreadable_file:
            return "unreadable_file";
        case FindingKind::wrong_name:
            return "wrong_name";
        case FindingKind::strange_file:
            return "strange_file";
        case FindingKind::hash_differs:
            return "hash_differs";
        case FindingKind::journal_damage:
            return "journal_damage";
        case FindingKind::unfinished:
            return "unfinished";
        case FindingKind::gaps_differ:
            return "gaps_differ";
        case FindingKind::other_hub:
            return "other_hub";
    }
    return "unknown";
}

std::string folder_of(const CameraDay& d) { return join(to_string(d.camera), d.day); }

std::optional<WallTime> begin_of_day(const std::string& day) {
    const auto t = parse_rfc3339(day + "T00:00:00Z");
    if (!t.ok() || to_date(*t) != day) return std::nullopt;
    return *t;
}

Result<std::vector<CameraId>> cameras_on_disk(FileSystem& fs, const DataFolders& folders,
                                              Findings* findings) {
    HD_ASSIGN(const auto entries, list_if_there(fs, folders.clips));
    std::vector<CameraId> out;
    for (const FileEntry& e : entries) {
        const auto id = parse_id<CameraId>(e.name, "camera folder");
        if (e.is_folder && id.ok())
            out.push_back(*id);
        else if (findings)
            findings->add({FindingKind::strange_file, e.name, "not a camera's folder"});
    }
    return out;
}

Result<std::vector<CameraDay>> days_on_disk(FileSystem& fs, const DataFolders& folders,
                                            const CameraId& camera, Findings* findings) {
    HD_ASSIGN(const auto entries, list_if_there(fs, join(folders.clips, to_string(camera))));
    std::vector<CameraDay> out;
    for (const FileEntry& e : entries) {
        if (e.is_folder && begin_of_day(e.name))
            out.push_back({camera, e.name});
        else if (findings)
            findings->add(
                {FindingKind::strange_file, join(to_string(camera), e.name), "not a day's folder"});
    }
    return out;
}

std::optional<std::vector<FileEntry>> files_of_day(FileSystem& fs, const DataFolders& folders,
                                                   const CameraDay& day, Findings& findings) {
    auto entries = list_if_there(fs, join(folders.clips, folder_of(day)));
    if (entries.ok()) return std::move(*entries);
    findings.add({FindingKind::unreadable_file, folder_of(day), entries.error().what});
    return std::nullopt;
}

FileKind kind_of(const FileEntry& entry) {
    if (entry.is_folder) return FileKind::strange;
    if (entry.name.ends_with(kPartEnding)) return FileKind::part;
    return entry.name.ends_with(kClipEnding) ? FileKind::clip : FileKind::strange;
}

ClipFile read_clip_file(FileSystem& fs, const DataFolders& folders, const CameraDay& day,
                        const FileEntry& entry) {
    ClipFile out;
    out.finding.path = join(folder_of(day), entry.name);
    out.finding.kind = FindingKind::unreadable_file;
    const std::uint64_t tail = std::min(entry.size, clip::kSummaryReadBytes);
    const auto bytes =
        fs.read_range(join(folders.clips, out.finding.path), entry.size - tail, tail);
    if (!bytes.ok()) {
        out.finding.what = bytes.error().what;
        return out;
    }
    auto summary = clip::decode_summary(*bytes, entry.size);
    if (!summary.ok()) {
        out.finding.what = summary.error().what;
        out.no_footer = true;
        return out;
    }
    if (summary->camera != day.camera ||
        clip::clip_path(summary->camera, summary->name_time, summary->run) != out.finding.path) {
        out.finding.kind = FindingKind::wrong_name;
        out.own_name = clip::ClipName{summary->camera, summary->name_time, summary->run};
        out.finding.what = "by its own account it is " +
                           clip::clip_path(summary->camera, summary->name_time, summary->run);
        return out;
    }
    out.summary = std::move(*summary);
    return out;
}

namespace {

// The causes of one absence of video, from the first GapBegan on. Each ends where the next one
// begins, also one that was found later to lie in front of the others (docs/formats/journal.md).
void end_chain(std::span<GapRecord> chain, const std::optional<journal::Stamp>& end) {
    std::vector<BootId> boots;  // in the order of their first record
    const auto place = [&boots](const GapRecord& gap) {
        auto it = std::ranges::find(boots, gap.begin.boot);
        if (it == boots.end()) it = boots.insert(it, gap.begin.boot);
        return std::pair(it - boots.begin(), gap.begin.at);
    };
    for (const GapRecord& gap : chain) (void)place(gap);
    std::ranges::stable_sort(chain, {}, place);
    for (std::size_t i = 0; i + 1 < chain.size(); ++i) chain[i].end = chain[i + 1].begin;
    if (!chain.empty()) chain.back().end = end;
}

// A cause that lasted no time has given its place to the next one. Told before it, it would end the
// gap for whoever asks in between.
void drop_momentary(std::vector<GapRecord>& gaps, std::size_t chain) {
    if (gaps.size() < chain + 2) return;
    const auto momentary = [](const GapRecord& gap) { return gap.end == gap.begin; };
    gaps.erase(std::remove_if(gaps.begin() + static_cast<std::ptrdiff_t>(chain), gaps.end() - 1,
                              momentary),
               gaps.end() - 1);
}

}  // namespace

Result<JournalPart> read_journal_part(FileSystem& fs, const DataFolders& folders,
                                      const CameraId& camera, std::uint64_t from,
                                      Findings& findings) {
    JournalPart part;
    std::optional<std::uint64_t> open_at;  // the first GapBegan of the gap that is open
    std::size_t chain = 0;                 // that one in part.gaps
    const auto end_gap = [&](const std::optional<journal::Stamp>& end) {
        end_chain(std::span(part.gaps).subspan(chain), end);
        drop_momentary(part.gaps, chain);
        chain = part.gaps.size();
    };
    const std::string name = to_string(camera) + std::string(kJournalEnding);
    const std::string path = join(folders.journal, name);
    // Shorter than what was read of it: a power cut took records that were never durable.
    if (const auto size = fs.size(path); size.ok() && *size < from) from = 0;
    part.whole_until = part.resume_from = from;
    if (!fs.exists(path)) return part;
    const auto visit = [&](const journal::Record& record, std::uint64_t offset) {
        const auto decoded = journal::decode_camera_record(record);
        if (!decoded.ok()) {
            findings.add({FindingKind::journal_damage, name,
                          fmt::format("byte {}: {}", offset, decoded.error().what)});
            return;
        }
        if (const auto* began = std::get_if<journal::GapBegan>(&*decoded)) {
            part.gaps.push_back({.camera = camera, .begin = began->when, .cause = began->cause});
            if (!open_at) open_at = offset;
        } else if (const auto* ended = std::get_if<journal::GapEnded>(&*decoded)) {
            open_at.reset();
            if (part.gaps.empty()) part.ends = ended->when;
            end_gap(ended->when);
        } else if (const auto* closed = std::get_if<journal::ClipClosed>(&*decoded)) {
            part.closed.push_back({camera, closed->name_time, closed->run});
        }
    };
    const auto report = journal::read(fs, path, "camera", from, visit);
    if (!report.ok()) {
        // Not a journal at all, or unreadable: said, and lived without.
        findings.add({FindingKind::journal_damage, name, report.error().what});
        return part;
    }
    if (report->damaged_bytes > 0)
        findings.add({FindingKind::journal_damage, name,
                      fmt::format("{} damaged bytes were passed over", report->damaged_bytes)});
    if (report->whole_until == 0 && report->torn_bytes > 0)
        findings.add({FindingKind::journal_damage, name, "not one whole record"});
    end_gap(std::nullopt);
    part.whole_until = std::max(from, report->whole_until);
    part.resume_from = open_at.value_or(part.whole_until);
    return part;
}

Result<void> put_journal_part(Store& store, const CameraId& camera, const JournalPart& part) {
    // Its begin is damaged or was read by an earlier release; never the end of a younger gap.
    if (part.ends) {
        HD_ASSIGN(const auto open, store.open_gap(camera));
        const auto end = store.utc_of(*part.ends);
        if (!open || (end && *end >= open->begin)) HD_TRY(store.close_gap(camera, *part.ends));
    }
    HD_TRY(store.put_gaps(part.gaps, Durability::buffered));
    if (part.resume_from == journal_offset(store, camera)) return {};
    return store.set_note(offset_note(camera), std::to_string(part.resume_from),
                          Durability::buffered);
}

std::uint64_t journal_offset(const Store& store, const CameraId& camera) {
    const auto text = store.note(offset_note(camera));
    if (!text.ok()) return 0;
    std::uint64_t offset = 0;
    for (const char c : *text) {
        if (c < '0' || c > '9' || offset > UINT64_MAX / 20) return 0;
        offset = offset * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return offset;
}

Result<std::vector<CameraId>> cameras_with_journal(FileSystem& fs, const DataFolders& folders) {
    HD_ASSIGN(const auto entries, list_if_there(fs, folders.journal));
    std::vector<CameraId> out;
    for (const FileEntry& e : entries) {
        if (e.is_folder || !e.name.ends_with(kJournalEnding)) continue;
        const auto id = parse_id<CameraId>(
            std::string_view(e.name).substr(0, e.name.size() - kJournalEnding.size()), "journal");
        if (id.ok()) out.push_back(*id);  // clock.log and others are not cameras'
    }
    return out;
}

Result<std::vector<BootOffset>> boot_offsets(FileSystem& fs, const std::string& clock_log) {
    std::vector<BootOffset> out;
    if (!fs.exists(clock_log)) return out;
    std::set<BootId> known;
    const auto visit = [&](const journal::Record& record, std::uint64_t) {
        const auto decoded = journal::decode_clock_record(record);
        if (!decoded.ok() || decoded->when.quality != ClockQuality::synchronised) return;
        if (known.insert(decoded->when.boot).second)
            out.push_back({decoded->when.boot, Micros(decoded->when.utc.us - decoded->when.at.us)});
    };
    const auto report = journal::read(fs, clock_log, "clock", 0, visit);
    if (!report.ok()) return report.error();
    return out;
}

Result<void> put_boot_offsets(Store& store, FileSystem& fs, const DataFolders& folders,
                              Findings& findings) {
    const auto offsets = boot_offsets(fs, join(folders.journal, "clock.log"));
    if (!offsets.ok()) {
        findings.add({FindingKind::journal_damage, "clock.log", offsets.error().what});
        return {};
    }
    for (const BootOffset& o : *offsets) HD_TRY(store.set_boot_offset(o.boot, o.wall_minus_boot));
    return {};
}

}  // namespace hd::store
