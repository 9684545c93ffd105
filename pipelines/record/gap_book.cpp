#include "pipelines/record/gap_book.hpp"

#include <algorithm>

#include "index/base/log.hpp"
#include "pipelines/record/confinement.hpp"

namespace hd::record {
namespace {

// A camera whose troubles change with each attempt would fill its journal.
constexpr Micros kLeastPerCause = std::chrono::minutes(1);
constexpr unsigned kMostSoon = 8;
// One open gap with its causes, a minute apart, while the disk takes nothing: beyond four hours of
// that the present cause stands for the rest.
constexpr std::size_t kMostKept = 256;

bool is_ours(journal::GapCause cause) {
    return cause == journal::GapCause::restart || cause == journal::GapCause::disabled;
}

bool is_after(const journal::Stamp& a, const journal::Stamp& b) {
    return a.boot != b.boot || a.at > b.at;
}

}  // namespace

Result<void> GapBook::write(const journal::CameraRecord& record) {
    if (!writer_) {
        HD_ASSIGN(auto writer, journal::Writer::open(*fs_, path_, "camera"));
        writer_.emplace(std::move(writer));
    }
    auto done = writer_->append(journal::encode(record));
    if (done) done = writer_->sync();
    if (!done) writer_.reset();  // A new descriptor for the next record.
    return done;
}

void GapBook::apply(const journal::CameraRecord& record) {
    if (const auto* gap = std::get_if<journal::GapBegan>(&record)) {
        if (!open_) open_ = Open{.first = gap->when, .since = gap->when, .cause = gap->cause};
        if (is_after(open_->first, gap->when) && gap->when.boot == open_->first.boot) {
            open_->first = gap->when;  // Something was lost after all.
        } else {
            open_->since = gap->when;
            open_->cause = gap->cause;
        }
    }
    if (std::holds_alternative<journal::GapEnded>(record)) {
        open_.reset();
        suspect_.reset();
    }
}

Result<void> GapBook::read_others() {
    // What is kept is ours and newer than all that the file says.
    if (!kept_.empty() || !fs_->exists(path_)) return {};
    HD_ASSIGN(const auto report,
              journal::read(*fs_, path_, "camera", read_until_,
                            [this](const journal::Record& record, std::uint64_t) {
                                const auto decoded = journal::decode_camera_record(record);
                                if (decoded) apply(*decoded);
                            }));
    read_until_ = std::max(read_until_, report.whole_until);
    return {};
}

// Made once: a folder that is gone later was on a drive that is gone, and what is there instead is
// not ours to write to.
Result<void> GapBook::need_folder() {
    const std::string folder = parent_folder(path_);
    if (fs_->exists(folder)) {
        made_ = true;
        return {};
    }
    if (made_) return Error{ErrorCode::not_found, folder + " is gone: is the hub's drive mounted?"};
    HD_TRY(fs_->make_folders(folder, kFolderMode));
    made_ = true;
    return {};
}

Result<void> GapBook::flush() {
    HD_TRY(need_folder());
    while (!kept_.empty()) {
        HD_TRY(write(kept_.front()));
        kept_.pop_front();
    }
    return {};
}

void GapBook::put(const journal::CameraRecord& record) {
    apply(record);
    if (kept_.size() < kMostKept) kept_.push_back(record);
    if (auto done = flush(); !done)
        log::error("journal.write_failed", "file={} error=\"{}\" action=\"kept and tried again\"",
                   path_.substr(path_.rfind('/') + 1), done.error().what);
}

void GapBook::put_open(const journal::Stamp& when, journal::GapCause cause,
                       const std::string& detail) {
    put(journal::GapBegan{.when = when, .cause = cause, .detail = detail});
    events_.push_back(GapStands{true, when, cause, detail});
}

bool GapBook::is_open() {
    read_others().ignore();
    return open_.has_value();
}

void GapBook::open(const std::optional<journal::Stamp>& edge, const journal::Stamp& seen,
                   journal::GapCause cause, const std::string& detail) {
    if (!is_open()) return put_open(edge.value_or(seen), cause, detail);
    if (open_->cause == cause) suspect_.reset();
    if (open_->cause == cause || !is_after(seen, open_->since)) return;
    const bool hub = is_ours(open_->cause) || is_ours(cause);
    if (hub || seen.boot != open_->since.boot || seen.at - open_->since.at >= kLeastPerCause)
        return put_open(seen, cause, detail);
    if (!suspect_ || suspect_->cause != cause) {
        suspect_ = Suspect{seen, cause, detail};
    } else if (open_->soon < kMostSoon) {
        const unsigned soon = open_->soon + 1;
        const Suspect first = *std::exchange(suspect_, std::nullopt);
        put_open(first.seen, cause, first.detail);
        open_->soon = soon;
    }
}

void GapBook::close(const journal::Stamp& at) {
    if (!is_open()) return;
    const journal::GapCause cause = open_->cause;
    put(journal::GapEnded{.when = at});
    events_.push_back(GapStands{.open = false, .when = at, .cause = cause, .detail = {}});
}

void GapBook::settle_late(const journal::Stamp& begin, const journal::Stamp& end,
                          journal::GapCause cause) {
    if (!is_open()) return;
    const bool same_boot = begin.boot == open_->first.boot;
    if (!same_boot || (begin.at >= open_->first.at && end.at > open_->first.at)) {
        // It lies in the gap: one before it, one behind it.
        close(begin);
        put_open(end, cause, "a clip was finished late");
    } else if (end.at < open_->first.at) {
        // A gap that begins before the open one ends where that began.
        put_open(end, cause, "the end of a clip was lost");
    }
}

}  // namespace hd::record
