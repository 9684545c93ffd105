// Reads that the queries share, and the small ones.
#include <algorithm>

#include "index/store/store_impl.hpp"

namespace hd::store {

Result<bool> Store::Impl::get(std::string_view key, rocksdb::PinnableSlice& value,
                              const rocksdb::Snapshot* snapshot) const {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot;
    value.Reset();
    const auto status = db->Get(read, db->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) return false;
    if (!status.ok()) return fail(status, "get");
    return true;
}

Result<void> Store::Impl::read_hour(const CameraId& camera, Hour hour, std::vector<ClipRow>& out,
                                    const rocksdb::Snapshot* snapshot) const {
    rocksdb::PinnableSlice value;
    HD_ASSIGN(const bool found, get(hour_key(camera, hour).view(), value, snapshot));
    if (!found) return {};
    return noted(decode_rows(bytes_of(value), camera, hour, out));
}

Result<void> Store::Impl::scan_hours(
    const CameraId& camera, Hour first, Hour last, const rocksdb::Snapshot* snapshot,
    const std::function<bool(std::vector<ClipRow>& rows)>& visit) const {
    if (first > last) return {};
    const Key from = hour_key(camera, first);
    const Key to = Key(Tag::hour).id(camera.bytes).u64(std::uint64_t{last} << 32 | UINT32_MAX);
    const rocksdb::Slice bound = slice(to.view());
    rocksdb::ReadOptions read;
    read.snapshot = snapshot;
    read.iterate_upper_bound = &bound;
    const auto it = iterate(read);
    std::vector<ClipRow> rows;
    for (it->Seek(slice(from.view())); it->Valid(); it->Next()) {
        const auto key = parse_camera_key(text_of(it->key()), 4);
        if (!key) {
            damaged = true;
            return Error{ErrorCode::corrupt, "index: a key of an hour is malformed"};
        }
        rows.clear();
        HD_TRY(noted(
            decode_rows(bytes_of(it->value()), camera, static_cast<Hour>(key->number), rows)));
        if (!std::is_sorted(rows.begin(), rows.end(), answer_order))
            std::sort(rows.begin(), rows.end(), answer_order);
        if (!visit(rows)) return {};
    }
    if (!it->status().ok()) return fail(it->status(), "scan hours");
    return {};
}

Result<void> Store::Impl::scan(
    std::string_view from, std::string_view to, std::string_view what,
    const std::function<bool(std::string_view key, ByteView value)>& visit) const {
    const rocksdb::Slice bound = slice(to);
    rocksdb::ReadOptions read;
    read.iterate_upper_bound = &bound;
    const auto it = iterate(read);
    for (it->Seek(slice(from)); it->Valid(); it->Next())
        if (!visit(text_of(it->key()), bytes_of(it->value()))) return {};
    if (!it->status().ok()) return fail(it->status(), what);
    return {};
}

Result<std::optional<ClipRow>> Store::Impl::end_row(const CameraId& camera, Hour from,
                                                    bool last) const {
    const auto it = iterate({});
    if (last)
        it->SeekForPrev(slice(hour_key(camera, UINT32_MAX).view()));
    else
        it->Seek(slice(hour_key(camera, from).view()));
    if (!it->Valid()) {
        if (!it->status().ok()) return fail(it->status(), "seek an end");
        return std::optional<ClipRow>();
    }
    const auto key = parse_camera_key(text_of(it->key()), 4);
    if (!key || it->key()[0] != static_cast<char>(Tag::hour) || key->camera != camera)
        return std::optional<ClipRow>();
    std::vector<ClipRow> rows;
    HD_TRY(noted(decode_rows(bytes_of(it->value()), camera, static_cast<Hour>(key->number), rows)));
    if (rows.empty()) return std::optional<ClipRow>();
    return std::optional<ClipRow>(last ? *std::max_element(rows.begin(), rows.end(), answer_order)
                                       : *std::min_element(rows.begin(), rows.end(), answer_order));
}

std::optional<CameraState> Store::Impl::state_of(const CameraId& camera) const {
    const std::lock_guard lock(state_mutex);
    const auto it = cameras.find(camera);
    return it == cameras.end() ? std::nullopt : std::optional(it->second);
}

Result<std::optional<ClipRow>> Store::Impl::find_row(const clip::ClipName& name,
                                                     const CameraState& state) const {
    std::vector<ClipRow> rows;
    const auto look = [&](Hour hour) -> Result<std::optional<ClipRow>> {
        rows.clear();
        HD_TRY(read_hour(name.camera, hour, rows));
        for (const ClipRow& row : rows)
            if (row.name_time == name.name_time && row.run == name.run)
                return std::optional<ClipRow>(row);
        return std::optional<ClipRow>();
    };
    HD_ASSIGN(auto row, look(hour_of(name.name_time)));
    if (row || state.elsewhere == 0) return row;
    rocksdb::PinnableSlice value;
    HD_ASSIGN(const bool found, get(name_key(Tag::elsewhere, name).view(), value));
    if (!found) return std::optional<ClipRow>();
    return look(hour_of({static_cast<std::int64_t>(big_endian(text_of(value)))}));
}

Result<ClipRow> Store::find(const clip::ClipName& name) const {
    if (name.name_time.us < 0 || name.name_time.us >= kEndTimeUs)
        return Error{ErrorCode::invalid, "clip name: its time must be within 1970..9999"};
    const std::shared_lock db_lock(impl_->db_mutex);
    const auto state = impl_->state_of(name.camera);
    if (state) {
        HD_ASSIGN(const auto row, impl_->find_row(name, *state));
        if (row) return *row;
    }
    return Error{ErrorCode::not_found, "no such clip in the index"};
}

Result<ClipRow> Store::first(const CameraId& camera) const {
    const auto state = impl_->state_of(camera);
    if (state && state->first) return *state->first;
    return Error{ErrorCode::not_found, "the camera has no clip in the index"};
}

Result<ClipRow> Store::last(const CameraId& camera) const {
    const auto state = impl_->state_of(camera);
    if (state && state->last) return *state->last;
    return Error{ErrorCode::not_found, "the camera has no clip in the index"};
}

Result<ClipRow> Store::nearest(const CameraId& camera, WallTime at) const {
    const std::shared_lock db_lock(impl_->db_mutex);
    const auto state = impl_->state_of(camera);
    if (!state || !state->first)
        return Error{ErrorCode::not_found, "the camera has no clip in the index"};
    const auto distance = [at](const ClipRow& r) {
        if (at < r.begin) return r.begin.us - at.us;
        return at < r.end ? -1 : at.us - r.end.us;
    };
    std::optional<ClipRow> best;
    const auto offer = [&](const ClipRow& r) {
        if (!best || distance(r) < distance(*best)) best = r;
    };
    const WallTime inside = std::clamp(at, state->first->begin, state->last->begin);
    // No clip that begins before the hour below can end later than those in it by more than the
    // longest clip, so three places hold the answer: the hours that can contain `at`, the last
    // clip before them, the first one after.
    const Hour low = hour_of({std::max<std::int64_t>(0, inside.us - state->longest_us)});
    std::vector<ClipRow> rows;
    for (Hour hour = low; hour <= hour_of(inside); ++hour)
        HD_TRY(impl_->read_hour(camera, hour, rows));
    std::sort(rows.begin(), rows.end(), answer_order);
    for (const ClipRow& r : rows) offer(r);
    HD_ASSIGN(const auto after, impl_->end_row(camera, hour_of(inside) + 1, false));
    if (after) offer(*after);
    if (!best || distance(*best) > 0) {
        HD_ASSIGN(const auto before, impl_->latest_end_before(camera, low, state->longest_us));
        if (before && (!best || distance(*before) <= distance(*best))) best = *before;
    }
    if (!best) return Error{ErrorCode::not_found, "the camera has no clip in the index"};
    return *best;
}

// Among the clips that begin before `hour`, the one that ends last.
Result<std::optional<ClipRow>> Store::Impl::latest_end_before(const CameraId& camera, Hour hour,
                                                              std::int64_t longest_us) const {
    const auto it = iterate({});
    std::optional<ClipRow> best;
    std::vector<ClipRow> rows;
    if (hour == 0) return best;
    for (it->SeekForPrev(slice(hour_key(camera, hour - 1).view())); it->Valid(); it->Prev()) {
        const auto key = parse_camera_key(text_of(it->key()), 4);
        if (!key || it->key()[0] != static_cast<char>(Tag::hour) || key->camera != camera) break;
        // Clips of this hour end before its own end plus the longest clip.
        const std::int64_t hour_end = (static_cast<std::int64_t>(key->number) + 1) * kHourUs;
        if (best && hour_end + longest_us <= best->end.us) break;
        rows.clear();
        HD_TRY(noted(
            decode_rows(bytes_of(it->value()), camera, static_cast<Hour>(key->number), rows)));
        for (const ClipRow& r : rows)
            if (!best || r.end > best->end || (r.end == best->end && answer_order(r, *best)))
                best = r;
    }
    if (!it->status().ok()) return fail(it->status(), "scan back");
    return best;
}

Result<std::vector<PendingClip>> Store::pending(std::uint32_t limit) const {
    const std::shared_lock db_lock(impl_->db_mutex);
    std::vector<PendingClip> out;
    {
        // Nearly always none: every last page of a window asks.
        const std::lock_guard lock(impl_->state_mutex);
        if (std::ranges::none_of(
                impl_->cameras, [](const auto& camera) { return camera.second.pending_clips > 0; }))
            return out;
    }
    std::optional<Error> bad;
    HD_TRY(impl_->scan(std::string(1, static_cast<char>(Tag::pending)),
                       std::string(1, static_cast<char>(Tag::pending) + 1), "list pending clips",
                       [&](std::string_view, ByteView value) {
                           if (out.size() >= limit) return false;
                           auto clip = impl_->noted(decode_pending(value));
                           if (!clip.ok())
                               bad = clip.error();
                           else
                               out.push_back(std::move(*clip));
                           return !bad;
                       }));
    if (bad) return *bad;
    return out;
}

std::vector<CameraId> Store::cameras() const {
    const std::lock_guard lock(impl_->state_mutex);
    std::vector<CameraId> out;
    out.reserve(impl_->cameras.size());
    for (const auto& [id, state] : impl_->cameras) out.push_back(id);
    return out;
}

namespace {
CameraTotals totals_of(const CameraId& id, const CameraState& s) {
    CameraTotals t{.camera = id,
                   .clips = s.clips,
                   .bytes = s.bytes,
                   .pending_clips = s.pending_clips,
                   .pending_bytes = s.pending_bytes,
                   .garbage_clips = s.garbage_clips,
                   .garbage_bytes = s.garbage_bytes};
    if (s.first) t.first = s.first->begin;
    if (s.last) t.last = s.last->end;
    return t;
}
}  // namespace

CameraTotals Store::totals(const CameraId& camera) const {
    return totals_of(camera, impl_->state_of(camera).value_or(CameraState{}));
}

std::vector<CameraTotals> Store::all_totals() const {
    const std::lock_guard lock(impl_->state_mutex);
    std::vector<CameraTotals> out;
    for (const auto& [id, state] : impl_->cameras) out.push_back(totals_of(id, state));
    return out;
}

std::optional<WallTime> Store::newest_name(const CameraId& camera) const {
    const auto state = impl_->state_of(camera);
    return state ? state->newest_name : std::nullopt;
}

}  // namespace hd::store
