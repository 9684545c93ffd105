#include "gateway/daemon/journal_keeper.hpp"

#include <algorithm>
#include <type_traits>

#include "index/clip/clip_format.hpp"

namespace hd::daemon {
namespace {

// Days of clips: those of the days in which a last clip is looked for.
constexpr std::size_t kMostClosed = 4096;

}  // namespace

using journal::CameraRecord;
using journal::GapCause;
using journal::Stamp;

Result<JournalKeeper> JournalKeeper::open(FileSystem& fs, std::string path, CameraId camera) {
    HD_TRY(fs.make_folders(parent_folder(path), 0700));
    HD_ASSIGN(auto writer, journal::Writer::open(fs, path, "camera"));
    JournalKeeper keeper(fs, std::move(path), camera, std::move(writer));
    HD_TRY(keeper.catch_up());
    return keeper;
}

Result<void> JournalKeeper::catch_up() {
    HD_ASSIGN(const auto report,
              journal::read(*fs_, path_, "camera", read_until_,
                            [this](const journal::Record& record, std::uint64_t) {
                                auto decoded = journal::decode_camera_record(record);
                                // A record of a later version is somebody else's to understand.
                                if (decoded) take(*decoded);
                            }));
    if (report.whole_until > read_until_) read_until_ = report.whole_until;
    return {};
}

// By BOOTTIME within a boot; boots follow each other as the journal met them.
bool JournalKeeper::is_after(const Stamp& a, const Stamp& b) const {
    if (a.boot == b.boot) return a.at > b.at;
    return std::ranges::find(word_.boots, a.boot) > std::ranges::find(word_.boots, b.boot);
}

void JournalKeeper::take_gap(const journal::GapBegan& gap) {
    if (!open_) open_ = Open{.first = gap.when, .since = gap.when, .cause = gap.cause};
    if (is_after(open_->first, gap.when)) {
        open_->first = gap.when;  // Something was lost after all; the cause is the later one's.
    } else {
        open_->since = gap.when;
        open_->cause = gap.cause;
    }
}

// A run that has only begun takes no clips from the one before: the power may go before its first
// frame is durable, and what recovery made of the other's last clip is in no record.
void JournalKeeper::take_video_of(RunId run) {
    if (run == word_.edge_run) return;
    word_.edge_run = run;
    word_.closed.clear();
}

// The open gap has this cause from now on: never from before its own begin, which a last picture
// may put a moment ahead of us.
Result<void> JournalKeeper::change_cause(const Stamp& now, GapCause cause,
                                         const std::string& detail) {
    return begin_gap(open_ && is_after(open_->since, now) ? open_->since : now, cause, detail);
}

void JournalKeeper::take(const CameraRecord& record) {
    std::visit(
        [this](const auto& r) {
            using T = std::decay_t<decltype(r)>;
            if (std::ranges::find(word_.boots, r.when.boot) == word_.boots.end())
                word_.boots.push_back(r.when.boot);
            if constexpr (std::is_same_v<T, journal::Configured>) {
                name_ = r.name;
                disabled_ = false;
                if (!word_.edge) word_.edge = r.when;
            } else if constexpr (std::is_same_v<T, journal::Disabled>) {
                disabled_ = true;
            } else if constexpr (std::is_same_v<T, journal::GapBegan>) {
                take_gap(r);
            } else if constexpr (std::is_same_v<T, journal::GapEnded>) {
                open_.reset();
                word_.edge = r.when;
                take_video_of(word_.run);
            } else if constexpr (std::is_same_v<T, journal::RunBegan>) {
                word_.run = r.run;
            } else if constexpr (std::is_same_v<T, journal::ClipClosed>) {
                if (!word_.edge || is_after(r.when, *word_.edge)) word_.edge = r.when;
                word_.run = r.run;
                take_video_of(r.run);
                word_.closed.insert(r.name_time);
                if (word_.closed.size() > kMostClosed) word_.closed.erase(word_.closed.begin());
            }
        },
        record);
}

Result<void> JournalKeeper::write(const CameraRecord& record) {
    HD_TRY(writer_.append(journal::encode(record)));
    HD_TRY(writer_.sync());
    // Read it back with the rest: what counts is what the file says.
    return catch_up();
}

Result<void> JournalKeeper::begin_gap(const Stamp& when, GapCause cause,
                                      const std::string& detail) {
    HD_TRY(write(journal::GapBegan{.when = when, .cause = cause, .detail = detail}));
    marks_.push_back({.open = true, .when = when, .cause = cause, .detail = detail});
    return {};
}

Result<void> JournalKeeper::configured(const Stamp& now, const std::string& name) {
    HD_TRY(catch_up());
    const bool first = !word_.edge, again = disabled_;
    if (!again && name_ == name && !name.empty()) return {};
    HD_TRY(write(journal::Configured{.when = now, .camera = camera_, .name = name}));
    if (first) return begin_gap(now, GapCause::restart, "not recorded before");
    if (again && open_ && open_->cause == GapCause::disabled)
        return change_cause(now, GapCause::restart, "enabled again");
    return {};
}

Result<void> JournalKeeper::disabled(const Stamp& now) {
    HD_TRY(catch_up());
    if (disabled_ || name_.empty()) return {};
    HD_TRY(write(journal::Disabled{.when = now}));
    if (open_ && open_->cause == GapCause::disabled) return {};
    return change_cause(now, GapCause::disabled, "disabled by the owner");
}

Result<void> JournalKeeper::video_ended(const std::optional<VideoSpan>& newest, GapCause cause,
                                        const std::string& detail) {
    HD_TRY(catch_up());
    if (!word_.edge) return {};
    if (!open_) {
        const bool files_know_more = newest && is_after(newest->end, *word_.edge);
        return begin_gap(files_know_more ? newest->end : *word_.edge, cause, detail);
    }
    if (!newest) return {};
    if (is_after(newest->end, open_->first)) {
        // Its recorder died after the first durable frame and before it could say so.
        HD_TRY(write(journal::GapEnded{.when = newest->begin}));
        marks_.push_back({.open = false, .when = newest->begin, .cause = cause, .detail = {}});
        return begin_gap(newest->end, cause, detail);
    }
    // The power took what a failing disk had not made durable: the end of a clip, or all of the one
    // behind the last that was closed.
    const Stamp first = open_->first;
    if (newest->end.boot == first.boot && newest->end.at < first.at &&
        first.at - newest->end.at <= clip::kMaxClipLength && !is_after(*word_.edge, newest->end))
        return begin_gap(newest->end, open_->cause, "the end of a clip was lost");
    return {};
}

}  // namespace hd::daemon
