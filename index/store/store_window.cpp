// The window query.
#include <algorithm>

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

// Collects clips in answer order, hour by hour over all cameras, until there is one too many.
class ClipCollector {
  public:
    ClipCollector(const Store::Impl& impl, const WindowQuery& query,
                  const std::optional<PagePlace>& after)
        : impl_(impl), query_(query), after_(after) {}

    Result<void> collect(const std::vector<Lane>& lanes, std::vector<ClipRow>& out) {
        Hour first = UINT32_MAX, last = 0;
        std::uint64_t gets = 0;
        for (const Lane& lane : lanes) {
            if (lane.first > lane.last) continue;
            first = std::min(first, lane.first);
            last = std::max(last, lane.last);
            gets += lane.last - lane.first + 1;
        }
        if (first > last) return {};
        // A few hours are quicker by point reads; from about here on by one iterator per camera.
        if (gets <= kMaxPointReads) return by_points(lanes, first, last, out);
        return by_iterators(lanes, out);
    }

  private:
    static constexpr std::uint64_t kMaxPointReads = 6;

    void keep(std::vector<ClipRow>& out, std::size_t from) const {
        const auto begin = out.begin() + static_cast<std::ptrdiff_t>(from);
        const auto end = std::remove_if(begin, out.end(), [&](const ClipRow& r) {
            return r.end <= query_.window.begin || r.begin >= query_.window.end ||
                   (after_ && place_of(r) <= *after_);
        });
        out.erase(end, out.end());
        if (!std::is_sorted(out.begin() + static_cast<std::ptrdiff_t>(from), out.end(),
                            answer_order))
            std::sort(out.begin() + static_cast<std::ptrdiff_t>(from), out.end(), answer_order);
    }

    Result<void> by_points(const std::vector<Lane>& lanes, Hour first, Hour last,
                           std::vector<ClipRow>& out) const {
        for (Hour hour = first; hour <= last && out.size() <= query_.limit; ++hour) {
            const std::size_t from = out.size();
            for (const Lane& lane : lanes)
                if (lane.first <= hour && hour <= lane.last)
                    HD_TRY(impl_.read_hour(lane.camera, hour, out));
            keep(out, from);
        }
        return {};
    }

    struct Reader {
        Lane lane;
        Key bound;
        rocksdb::Slice upper;
        std::unique_ptr<rocksdb::Iterator> it;
        Hour at = 0;
        bool done = false;
    };

    Result<void> look(Reader& r) const {
        if (!r.it->Valid()) {
            r.done = true;
            if (!r.it->status().ok()) return impl_.fail(r.it->status(), "window");
            return {};
        }
        const auto key = parse_camera_key(text_of(r.it->key()), 4);
        if (!key) {
            impl_.damaged = true;
            return Error{ErrorCode::corrupt, "index: a key of an hour is malformed"};
        }
        r.at = static_cast<Hour>(key->number);
        return {};
    }

    Result<void> by_iterators(const std::vector<Lane>& lanes, std::vector<ClipRow>& out) const {
        // One view of the whole store, so that a clip cannot be in two hours or none.
        rocksdb::ManagedSnapshot snapshot(impl_.db.get());
        std::vector<Reader> readers;
        readers.reserve(lanes.size());  // the iterators borrow `upper`
        for (const Lane& lane : lanes) {
            if (lane.first > lane.last) continue;
            Reader& r = readers.emplace_back(
                Reader{.lane = lane,
                       .bound = hour_key(lane.camera, lane.last).u32(UINT32_MAX),
                       .upper = {},
                       .it = nullptr});
            r.upper = slice(r.bound.view());
            rocksdb::ReadOptions read;
            read.snapshot = snapshot.snapshot();
            read.iterate_upper_bound = &r.upper;
            r.it = impl_.iterate(read);
            r.it->Seek(slice(hour_key(lane.camera, lane.first).view()));
            HD_TRY(look(r));
        }
        while (out.size() <= query_.limit) {
            Hour hour = UINT32_MAX;
            for (const Reader& r : readers)
                if (!r.done) hour = std::min(hour, r.at);
            if (hour == UINT32_MAX) break;
            const std::size_t from = out.size();
            for (Reader& r : readers) {
                if (r.done || r.at != hour) continue;
                HD_TRY(impl_.noted(decode_rows(bytes_of(r.it->value()), r.lane.camera, hour, out)));
                r.it->Next();
                HD_TRY(look(r));
            }
            keep(out, from);
        }
        return {};
    }

    const Store::Impl& impl_;
    const WindowQuery& query_;
    const std::optional<PagePlace>& after_;
};


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
    if (window.begin.us < 0 || window.end.us > kMaxTimeUs)
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
    HD_TRY(ClipCollector(*impl_, query, after).collect(lanes, answer.clips));
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
