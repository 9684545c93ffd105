#include "gateway/daemon/last_video.hpp"

#include <algorithm>
#include <deque>

#include "index/clip/clip_reader.hpp"
#include "index/clip/clip_writer.hpp"

namespace hd::daemon {
namespace {

constexpr Micros kDay = std::chrono::hours(24);
// Clips that the journal does not know. One, unless a crash came at an odd moment.
constexpr int kMostFollowing = 4;
constexpr std::string_view kPart = ".part";

VideoSpan span_of(const clip::ClipSummary& s) {
    return {.begin = {s.boot, s.boot_begin, s.utc_begin, s.quality},
            .end = {s.boot, s.boot_end, s.utc_end, s.quality}};
}

// What a file may hold that was never synced: syncs are a second apart, and a disk may be slow.
constexpr Micros kUnsynced = std::chrono::seconds(3);

// Whether the newest pieces of an unfinished file have the bytes that their heads promise.
bool newest_are_whole(FileSystem& fs, const std::string& path) {
    const auto reader = clip::ClipReader::open(fs, path);
    if (!reader) return false;
    const std::vector<clip::PieceEntry>& table = reader->table();
    for (std::size_t i = table.size(); i > 0; --i) {
        const clip::PieceIdentity& piece = table[i - 1].identity;
        if (table.back().identity.boot_end - piece.boot_end > kUnsynced) break;
        if (!reader->read_piece(i - 1)) return false;
    }
    return true;
}

std::optional<VideoSpan> video_of(FileSystem& fs, const std::string& path, const BootId& boot) {
    if (auto summary = clip::read_summary(fs, path); summary) {
        if (summary->frames == 0) return std::nullopt;
        return span_of(*summary);
    }
    if (!path.ends_with(kPart)) return std::nullopt;
    auto walked = clip::walk(fs, path, clip::WalkDepth::heads);
    // A power cut, or a drive that was pulled and is back, may leave a piece with a head and
    // without its bytes; recovery looks at the hashes, so this does too. Within a boot that is
    // rare, and a long clip takes long to read.
    if (walked && (walked->header.header.boot != boot || !newest_are_whole(fs, path)))
        walked = clip::walk(fs, path, clip::WalkDepth::hashes);
    if (!walked) return std::nullopt;
    const clip::ClipSummary summary = clip::summarise(walked->header.header, walked->table,
                                                      WallTime{}, clip::EndReason::recovered, "");
    if (summary.frames == 0) return std::nullopt;
    return span_of(summary);
}

// The two newest by name, and those in which the journal's last word and the present lie: a clock
// that was stepped puts clips into days that are not the newest.
std::set<std::string> days_to_read(FileSystem& fs, const std::string& folder,
                                   const std::optional<journal::Stamp>& edge,
                                   const journal::Stamp& now) {
    std::set<std::string> days;
    const auto entries = fs.list(folder);
    if (!entries) return days;
    std::set<std::string> there;
    for (const FileEntry& entry : *entries)
        if (entry.is_folder) there.insert(entry.name);
    int newest = 2;
    for (auto day = there.rbegin(); day != there.rend() && newest > 0; ++day, --newest)
        days.insert(*day);
    std::vector<WallTime> moments{now.utc, now.utc - kDay};
    if (edge) moments.insert(moments.end(), {edge->utc, edge->utc + kDay});
    for (const WallTime t : moments)
        if (t.us >= 0 && there.contains(to_date(t))) days.insert(to_date(t));
    return days;
}

// Unfinished ones, the newest by name, and those that were finished and not written down: they
// follow the journal's edge by name, unless the clock was set back, and are of its newest run or of
// the newest that has video, unless that was not written down either.
std::vector<std::string> files_to_read(FileSystem& fs, const std::string& clips,
                                       const std::string& day, const JournalWord& known) {
    std::vector<std::string> out;
    const auto files = fs.list(join(clips, day));
    if (!files) return out;
    std::string newest;
    int following = 0;
    std::deque<std::string> unsaid;
    const auto may_be_unsaid = [&](const clip::ClipName& name) {
        if (name.run == known.edge_run) return !known.closed.contains(name.name_time);
        return name.run == known.run;
    };
    for (const FileEntry& file : *files) {
        const std::string path = join(day, file.name);
        const auto name = clip::parse_clip_path(path);
        if (!name) continue;
        if (path.ends_with(kPart)) {
            out.push_back(path);
            continue;
        }
        newest = path;
        if (known.edge && name->name_time >= known.edge->utc && following < kMostFollowing) {
            ++following;
            out.push_back(path);
        } else if (may_be_unsaid(*name)) {
            unsaid.push_back(path);
            if (unsaid.size() > kMostFollowing) unsaid.pop_front();
        }
    }
    out.insert(out.end(), unsaid.begin(), unsaid.end());
    if (!newest.empty()) out.push_back(newest);
    return out;
}

}  // namespace

std::optional<VideoSpan> newest_video(FileSystem& fs, const std::string& clips_folder,
                                      const CameraId& camera, const JournalWord& known,
                                      const journal::Stamp& now) {
    const std::string folder = to_string(camera);
    std::optional<VideoSpan> best;
    // Not by the journal's edge: a boot whose only clip was not closed has none there.
    const auto rank = [&](const BootId& boot) {
        const auto order = std::ranges::find(known.boots, boot) - known.boots.begin();
        return std::pair(boot == now.boot, order);
    };
    for (const std::string& day : days_to_read(fs, join(clips_folder, folder), known.edge, now)) {
        for (const std::string& file : files_to_read(fs, clips_folder, join(folder, day), known)) {
            const auto span = video_of(fs, join(clips_folder, file), now.boot);
            if (!span) continue;
            const bool newer = !best || rank(span->end.boot) > rank(best->end.boot) ||
                               (span->end.boot == best->end.boot && span->end.at > best->end.at);
            if (newer) best = span;
        }
    }
    return best;
}

}  // namespace hd::daemon
