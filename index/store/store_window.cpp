// The window query.
#include <algorithm>
#include <deque>

#include "index/store/page_cursor.hpp"
#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {

// One camera's part of a query: the hours in which its clips can be.
struct Lane {
    CameraId camera;
    Hour first = 1, last = 0;  // none
};

Lane lane_of(const CameraId& camera, const CameraState& state, TimeSpan window, WallTime from) {
    Lane lane{.camera = camera};
    if (!state.first || window.empty()) return lane;
    // Nothing is longer than the longest clip, so nothing that begins earlier reaches in.
    const std::int64_t reach =
        std::max<std::int64_t>(state.longest_us, clip::kMaxClipLength.count());
    const std::int64_t begin =
        std::max({window.begin.us - reach, from.us, state.first->begin.us, std::int64_t{0}});
    const std::int64_t end = std::min(window.end.us - 1, state.last->begin.us);
    if (begin > end && hour_of({begin}) > hour_of({std::max<std::int64_t>(end, 0)})) return lane;
    if (end < 0) return lane;
    lane.first = hour_of({begin});
    lane.last = hour_of({end});
    return lane;
}

// One camera's clips in answer order. The first hours come by point reads, which are quicker; who
// needs more hours gets an iterator, which passes empty ones for nothing.
class LaneReader {
  public:
    LaneReader(const Store::Impl& impl, const Lane& lane, const rocksdb::Snapshot* snapshot)
        : impl_(impl), lane_(lane), snapshot_(snapshot), next_hour_(lane.first) {}
    LaneReader(const LaneReader&) = delete;  // the iterator borrows `upper_`
    LaneReader& operator=(const LaneReader&) = delete;

    // The row at hand; nothing after the last one.
    const ClipRow* row() const { return at_ < rows_.size() ? &rows_[at_] : nullptr; }
    void pass() { ++at_; }
    // Loads hours until there is a row at hand or the lane is over.
    Result<void> load() {
        while (!row() && next_hour_ <= lane_.last) {
            rows_.clear();
            rows_.reserve(kRowsOfAnHour);
            at_ = 0;
            if (point_reads_ < kMaxPointReads) {
                ++point_reads_;
                HD_TRY(impl_.read_hour(lane_.camera, next_hour_, rows_, snapshot_));
                ++next_hour_;
            } else {
                HD_TRY(load_next());
            }
            if (!std::is_sorted(rows_.begin(), rows_.end(), answer_order))
                std::sort(rows_.begin(), rows_.end(), answer_order);
        }
        return {};
    }

  private:
    static constexpr int kMaxPointReads = 6;
    static constexpr std::size_t kRowsOfAnHour = 64;  // clips of a minute, and a little more

    Result<void> load_next() {
        if (!it_) {
            bound_ = hour_key(lane_.camera, lane_.last).u32(UINT32_MAX);
            upper_ = slice(bound_.view());
            rocksdb::ReadOptions read;
            read.snapshot = snapshot_;
            read.iterate_upper_bound = &upper_;
            it_ = impl_.iterate(read);
            it_->Seek(slice(hour_key(lane_.camera, next_hour_).view()));
        } else {
            it_->Next();
        }
        if (!it_->Valid()) {
            if (!it_->status().ok()) return impl_.fail(it_->status(), "window");
            next_hour_ = lane_.last + 1;
            return {};
        }
        const auto key = parse_camera_key(text_of(it_->key()), 4);
        if (!key) {
            impl_.damaged = true;
            return Error{ErrorCode::corrupt, "index: a key of an hour is malformed"};
        }
        const Hour hour = static_cast<Hour>(key->number);
        next_hour_ = hour + 1;
        return impl_.noted(decode_rows(bytes_of(it_->value()), lane_.camera, hour, rows_));
    }

    const Store::Impl& impl_;
    const Lane lane_;
    const rocksdb::Snapshot* snapshot_;
    Hour next_hour_;
    int point_reads_ = 0;
    std::vector<ClipRow> rows_;  // of one hour
    std::size_t at_ = 0;
    Key bound_{Tag::hour};
    rocksdb::Slice upper_;
    std::unique_ptr<rocksdb::Iterator> it_;
};

// Merges the lanes until there is one clip too many.
Result<void> collect(const Store::Impl& impl, const WindowQuery& query,
                     const std::optional<PagePlace>& after, const std::vector<Lane>& lanes,
                     std::vector<ClipRow>& out) {
    // One view of the whole store, so that a clip that moves to another hour is not seen twice.
    rocksdb::ManagedSnapshot snapshot(impl.db.get());
    std::deque<LaneReader> readers;
    std::vector<LaneReader*> live;  // that have a row at hand
    for (const Lane& lane : lanes) {
        if (lane.first > lane.last) continue;
        LaneReader& reader = readers.emplace_back(impl, lane, snapshot.snapshot());
        HD_TRY(reader.load());
        if (reader.row()) live.push_back(&reader);
    }
    while (!live.empty() && out.size() <= query.limit) {
        auto least = live.begin();  // a hub has few cameras: looking at each is quicker than a heap
        for (auto it = least + 1; it < live.end(); ++it)
            if (answer_order(*(*it)->row(), *(*least)->row())) least = it;
        LaneReader& reader = **least;
        const ClipRow& row = *reader.row();
        if (row.begin >= query.window.end) break;  // and so does every other
        if (row.end > query.window.begin && (!after || *after < place_of(row))) out.push_back(row);
        reader.pass();
        if (reader.row()) continue;
        HD_TRY(reader.load());
        if (!reader.row()) live.erase(least);
    }
    return {};
}

// Clips still being written join the sorted answer; one that was finished meanwhile is there twice.
void merge_open(const std::vector<ClipRow>& open, const WindowQuery& query,
                const std::optional<PagePlace>& after, std::vector<ClipRow>& clips) {
    for (const ClipRow& row : open) {
        const bool asked = query.cameras.empty() ||
                           std::find(query.cameras.begin(), query.cameras.end(), row.camera) !=
                               query.cameras.end();
        if (!asked || row.end <= query.window.begin || row.begin >= query.window.end ||
            (after && place_of(row) <= *after))
            continue;
        const auto at = std::lower_bound(clips.begin(), clips.end(), row, answer_order);
        if (at != clips.end() && place_of(*at) == place_of(row)) continue;
        clips.insert(at, row);
    }
}

// Clips and gaps share the limit in one order; what does not fit is the next page's.
void cut_page(const WindowQuery& query, WindowAnswer& answer) {
    if (answer.clips.size() + answer.gaps.size() <= query.limit) return;
    std::size_t clips = 0, gaps = 0;
    PagePlace last;
    while (clips + gaps < query.limit) {
        const bool take_gap = gaps < answer.gaps.size() &&
                              (clips == answer.clips.size() ||
                               place_of(answer.gaps[gaps]) < place_of(answer.clips[clips]));
        last = take_gap ? place_of(answer.gaps[gaps++]) : place_of(answer.clips[clips++]);
    }
    answer.clips.resize(clips);
    answer.gaps.resize(gaps);
    answer.next_cursor = encode_cursor(last, query);
}

}  // namespace

Result<void> check_window(TimeSpan window) {
    if (window.end < window.begin)
        return Error{ErrorCode::invalid, "window: must not end before it begins"};
    if (window.begin.us < 0 || window.end.us > kEndTimeUs)
        return Error{ErrorCode::invalid, "window: must be within 1970..9999"};
    return {};
}

Result<void> check_limit(std::uint32_t limit) {
    if (limit < 1 || limit > kMaxPageItems)
        return Error{ErrorCode::invalid,
                     "limit: must be within 1.." + std::to_string(kMaxPageItems)};
    return {};
}

std::vector<std::pair<CameraId, CameraState>> Store::Impl::states_of(
    const std::vector<CameraId>& wanted) const {
    std::vector<std::pair<CameraId, CameraState>> out;
    {
        const std::lock_guard lock(state_mutex);
        if (wanted.empty()) {
            out.assign(cameras.begin(), cameras.end());
        } else {
            for (const CameraId& id : wanted)
                if (const auto it = cameras.find(id); it != cameras.end()) out.emplace_back(*it);
        }
    }
    const auto less = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::sort(out.begin(), out.end(), less);
    out.erase(std::unique(out.begin(), out.end(),
                          [](const auto& a, const auto& b) { return a.first == b.first; }),
              out.end());
    return out;
}

Result<WindowAnswer> Store::window(const WindowQuery& query) const {
    HD_TRY(check_window(query.window));
    HD_TRY(check_limit(query.limit));
    std::optional<PagePlace> after;
    if (!query.cursor.empty()) {
        HD_ASSIGN(after, decode_cursor(query));
    }
    const std::shared_lock db_lock(impl_->db_mutex);
    WindowAnswer answer;
    // Before the rows: a rebuild only moves it back, and a clip leaves the open set only after
    // its row is there.
    answer.complete_from = complete_from();
    const std::vector<ClipRow> open = query.with_open ? open_clips() : std::vector<ClipRow>();
    if (query.window.empty()) return answer;
    const auto cameras = impl_->states_of(query.cameras);

    const WallTime from = after ? after->begin : query.window.begin - Micros(kMaxRowSpanUs);
    std::vector<Lane> lanes;
    lanes.reserve(cameras.size());
    for (const auto& [id, state] : cameras) lanes.push_back(lane_of(id, state, query.window, from));
    answer.clips.reserve(std::min<std::size_t>(query.limit + 1, 128));
    HD_TRY(collect(*impl_, query, after, lanes, answer.clips));
    if (!open.empty()) merge_open(open, query, after, answer.clips);

    if (query.with_gaps) {
        for (const auto& [id, state] : cameras) {
            std::uint32_t taken = 0;
            HD_TRY(impl_->scan_gaps(id, query.window, from, nullptr, [&](const GapRow& gap) {
                if (after && place_of(gap) <= *after) return true;
                answer.gaps.push_back(gap);
                return ++taken <= query.limit;
            }));
        }
        std::sort(answer.gaps.begin(), answer.gaps.end(),
                  [](const GapRow& a, const GapRow& b) { return place_of(a) < place_of(b); });
    }
    cut_page(query, answer);
    return answer;
}

}  // namespace hd::store
