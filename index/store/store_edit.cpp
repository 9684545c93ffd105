// Edit: one write, whole or not at all.
#include <algorithm>

#include <rocksdb/write_batch.h>

#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {

// Rows of an hour are appended as chunks; how many a value has by now.
std::uint32_t count_chunks(ByteView value) {
    ByteReader in(value);
    std::uint32_t chunks = 0;
    while (in.ok() && in.left() > 0) {
        in.u8();
        in.raw(in.varint());
        ++chunks;
    }
    return chunks;
}

std::vector<ClipRow>::iterator place_of(std::vector<ClipRow>& rows, const ClipRow& row) {
    return std::lower_bound(rows.begin(), rows.end(), row, answer_order);
}

bool same_name(const ClipRow& row, const clip::ClipName& name) {
    return row.name_time == name.name_time && row.run == name.run;
}

}  // namespace

CameraState& Edit::camera(const CameraId& id) {
    if (const auto it = cameras_.find(id); it != cameras_.end()) return it->second;
    return cameras_[id] = impl_.state_of(id).value_or(CameraState{});
}

Result<HourRows*> Edit::hour(const CameraId& camera, Hour hour) {
    const CameraHour key{camera, hour};
    if (const auto it = hours_.find(key); it != hours_.end()) return &it->second;
    if (const auto it = impl_.tail.find(camera); it != impl_.tail.end() && it->second.first == hour)
        return &(hours_[key] = it->second.second);
    HourRows loaded;
    rocksdb::PinnableSlice value;
    HD_ASSIGN(const bool found, impl_.get(hour_key(camera, hour).view(), value));
    if (found) {
        HD_TRY(impl_.noted(decode_rows(bytes_of(value), camera, hour, loaded.rows)));
        if (!std::is_sorted(loaded.rows.begin(), loaded.rows.end(), answer_order))
            std::sort(loaded.rows.begin(), loaded.rows.end(), answer_order);
        loaded.chunks = count_chunks(bytes_of(value));
    }
    return &(hours_[key] = std::move(loaded));
}

Result<std::optional<ClipRow>> Edit::find(const clip::ClipName& name) {
    const auto look = [&](Hour h) -> Result<std::optional<ClipRow>> {
        HD_ASSIGN(const HourRows* const rows, hour(name.camera, h));
        for (const ClipRow& row : rows->rows)
            if (same_name(row, name)) return std::optional<ClipRow>(row);
        return std::optional<ClipRow>();
    };
    HD_ASSIGN(auto row, look(hour_of(name.name_time)));
    if (row || camera(name.camera).elsewhere == 0) return row;
    // Rows that this very edit put elsewhere are found by a look at its hours.
    for (const auto& [key, rows] : hours_)
        if (key.first == name.camera)
            for (const ClipRow& r : rows.rows)
                if (same_name(r, name)) return std::optional<ClipRow>(r);
    rocksdb::PinnableSlice value;
    HD_ASSIGN(const bool found, impl_.get(name_key(Tag::elsewhere, name).view(), value));
    if (!found) return std::optional<ClipRow>();
    return look(hour_of({static_cast<std::int64_t>(big_endian(text_of(value)))}));
}

void Edit::forget_coverage(const ClipRow& row, CameraState& state) {
    if (!state.derived_until) return;
    const std::uint32_t last = std::min(day_of({row.end.us - 1}), *state.derived_until);
    for (std::uint32_t day = day_of(row.begin); day <= last; ++day)
        batch_.Delete(slice(day_key(row.camera, day).view()));
}

Result<void> Edit::add(const ClipRow& row) {
    HD_ASSIGN(HourRows* const rows, hour(row.camera, hour_of(row.begin)));
    const auto place = place_of(rows->rows, row);
    rows->rows.insert(place, row);
    rows->appended.push_back(row);
    CameraState& state = camera(row.camera);
    if (state.clips == 0 || hour_of(row.begin) < state.first_hour)
        state.first_hour = hour_of(row.begin);
    ++state.clips;
    state.bytes += row.size_bytes;
    state.longest_us = std::max(state.longest_us, row.end.us - row.begin.us);
    if (!state.first || answer_order(row, *state.first)) state.first = row;
    if (!state.last || answer_order(*state.last, row)) state.last = row;
    if (hour_of(row.name_time) != hour_of(row.begin)) {
        ++state.elsewhere;
        const std::string begin(Key(Tag::elsewhere).time(row.begin).view().substr(1));
        batch_.Put(slice(name_key(Tag::elsewhere, clip_name(row)).view()), begin);
    }
    forget_coverage(row, state);
    return {};
}

Result<void> Edit::remove(const ClipRow& row) {
    HD_ASSIGN(HourRows* const rows, hour(row.camera, hour_of(row.begin)));
    const auto place = place_of(rows->rows, row);
    HD_CHECK(place != rows->rows.end() && same_name(*place, clip_name(row)));
    rows->rows.erase(place);
    rows->rewrite = true;
    CameraState& state = camera(row.camera);
    --state.clips;
    state.bytes -= row.size_bytes;
    if (hour_of(row.name_time) != hour_of(row.begin)) {
        --state.elsewhere;
        batch_.Delete(slice(name_key(Tag::elsewhere, clip_name(row)).view()));
    }
    if ((state.first && same_name(*state.first, clip_name(row))) ||
        (state.last && same_name(*state.last, clip_name(row))))
        ends_unknown_.insert(row.camera);
    forget_coverage(row, state);
    return {};
}

void Edit::write_hours() {
    std::string value;
    for (auto& [key, rows] : hours_) {
        const auto& [camera_id, h] = key;
        if (!rows.rewrite && rows.appended.empty()) continue;
        const Key k = hour_key(camera_id, h);
        value.clear();
        // The camera has moved on: its last hour becomes one chunk, small and quick to read.
        if (const auto it = impl_.tail.find(camera_id);
            it != impl_.tail.end() && it->second.first < h && it->second.second.chunks > 1 &&
            !hours_.contains({camera_id, it->second.first})) {
            encode_rows(it->second.first, it->second.second.rows, value);
            batch_.Put(slice(hour_key(camera_id, it->second.first).view()), value);
            it->second.second.chunks = 1;
            value.clear();
        }
        if (rows.rows.empty()) {
            batch_.Delete(slice(k.view()));
            rows.chunks = 0;
        } else if (rows.rewrite || rows.chunks == 0 || !impl_.options.tuning.merge_appends) {
            encode_rows(h, rows.rows, value);
            batch_.Put(slice(k.view()), value);
            rows.chunks = 1;
        } else {
            std::sort(rows.appended.begin(), rows.appended.end(), answer_order);
            encode_rows(h, rows.appended, value);
            batch_.Merge(slice(k.view()), value);
            ++rows.chunks;
        }
        rows.rewrite = false;
        rows.appended.clear();
    }
}

Result<void> Edit::find_ends() {
    for (const CameraId& id : ends_unknown_) HD_TRY(impl_.load_ends(id, cameras_[id]));
    return {};
}

Result<void> Edit::commit(Durability durability, std::string_view what) {
    write_hours();
    for (const auto& [id, state] : cameras_) {
        const Bytes bytes = encode_camera_state(state);
        batch_.Put(slice(camera_key(id).view()), slice(bytes));
    }
    rocksdb::WriteOptions options;
    options.sync = durability == Durability::synced;
    HD_TRY(impl_.may_write());
    if (const auto s = impl_.db->Write(options, &batch_); !s.ok())
        return impl_.write_failed(s, what);
    const Result<void> ends = find_ends();
    for (auto& [key, rows] : hours_) {
        auto& tail = impl_.tail[key.first];
        if (key.second >= tail.first) tail = {key.second, std::move(rows)};
    }
    const std::lock_guard lock(impl_.state_mutex);
    for (auto& [id, state] : cameras_) {
        ++state.changes;
        impl_.cameras[id] = std::move(state);
    }
    for (const auto& [boot, offset] : boots_) impl_.boots.emplace(boot, offset);
    return ends;
}

}  // namespace hd::store
