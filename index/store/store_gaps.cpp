// Gaps: stored so that those of one camera never overlap. A gap ends where the next one begins, if
// not before; so whichever order they come in, the result is the same, and the only gap that can
// reach into a window from before is the last one that begins before it.
#include <algorithm>
#include <tuple>

#include <rocksdb/write_batch.h>

#include "index/store/store_impl.hpp"

namespace hd::store {

std::optional<WallTime> Store::Impl::resolve(const journal::Stamp& stamp) const {
    WallTime t = stamp.utc;
    if (stamp.quality == ClockQuality::unsynchronised) {
        const std::lock_guard lock(state_mutex);
        const auto it = boots.find(stamp.boot);
        if (it == boots.end()) return std::nullopt;
        t = {stamp.at.us + it->second.count()};
    }
    if (t.us < 0 || t.us >= kEndTimeUs) return std::nullopt;
    return t;
}

Result<std::optional<GapRow>> Store::Impl::gap_at(rocksdb::Iterator& it,
                                                  const CameraId& camera) const {
    if (!it.Valid()) {
        if (!it.status().ok()) return fail(it.status(), "read a gap");
        return std::optional<GapRow>();
    }
    const std::string_view key = text_of(it.key());
    const auto parsed = parse_camera_key(key, 8);
    if (!parsed || key[0] != static_cast<char>(Tag::gap) || parsed->camera != camera)
        return std::optional<GapRow>();
    HD_ASSIGN(GapRow gap, noted(decode_gap(bytes_of(it.value()), camera,
                                           {static_cast<std::int64_t>(parsed->number)})));
    return std::optional<GapRow>(gap);
}

Result<bool> Store::Impl::write_gap(GapRow gap, Edit& edit) {
    auto it = iterate({});
    const Key key = gap_key(gap.camera, gap.begin);
    it->Seek(slice(key.view()));
    HD_ASSIGN(auto there, gap_at(*it, gap.camera));
    if (there && there->begin == gap.begin) {
        // Told again by an older part of the journal: what is known stays known.
        if (!gap.end) gap.end = there->end;
        it->Next();
        HD_ASSIGN(const auto next, gap_at(*it, gap.camera));
        if (next) gap.end = std::min(gap.end.value_or(next->begin), next->begin);
        if (*there == gap) return false;
    } else {
        if (there) gap.end = std::min(gap.end.value_or(there->begin), there->begin);
        it->SeekForPrev(slice(key.view()));
        HD_ASSIGN(auto before, gap_at(*it, gap.camera));
        if (before && (!before->end || *before->end > gap.begin)) {
            before->end = gap.begin;
            const Bytes bytes = encode_gap(*before);
            edit.batch().Put(slice(gap_key(before->camera, before->begin).view()), slice(bytes));
        }
    }
    const Bytes bytes = encode_gap(gap);
    edit.batch().Put(slice(key.view()), slice(bytes));
    return true;
}

Result<void> Store::put_gaps(std::span<const GapRecord> gaps, Durability durability) {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    bool changed = false;
    for (const GapRecord& gap : gaps) {
        HD_ASSIGN(const bool one, impl_->put_gap_record(gap));
        changed = changed || one;
    }
    if (!changed || durability != Durability::synced) return {};
    return impl_->sync_log("sync gaps");
}

Result<void> Store::close_gap(const CameraId& camera, const journal::Stamp& end) {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    // A gap whose begin has no UTC yet is the youngest of its boot.
    std::optional<GapRecord> open;
    const Key prefix = Key(Tag::pending_gap).id(camera.bytes);
    std::optional<Error> bad;
    HD_TRY(impl_->scan(prefix.view(), std::string(prefix.view()) + std::string(25, '\xff'),
                       "read pending gaps", [&](std::string_view, ByteView value) {
                           auto gap = impl_->noted(decode_gap_record(value));
                           if (!gap.ok())
                               bad = gap.error();
                           else if (!gap->end && (gap->begin.boot == end.boot || !open))
                               open = *gap;
                           return !bad;
                       }));
    if (bad) return *bad;
    if (!open) {
        auto it = impl_->iterate({});
        it->SeekForPrev(slice(gap_key(camera, {INT64_MAX}).view()));
        HD_ASSIGN(const auto last, impl_->gap_at(*it, camera));
        if (!last || last->end) return {};
        open = GapRecord{.camera = camera, .cause = last->cause};
        open->begin.utc = last->begin;
        open->begin.at.us = last->begin.us;  // only to name it apart while its end is pending
        open->begin.quality = ClockQuality::synchronised;
    }
    open->end = end;
    HD_ASSIGN(const bool changed, impl_->put_gap_record(*open));
    return changed ? impl_->sync_log("sync gap") : Result<void>();
}

Result<std::optional<GapRow>> Store::open_gap(const CameraId& camera) const {
    const std::shared_lock db_lock(impl_->db_mutex);
    auto it = impl_->iterate({});
    it->SeekForPrev(slice(gap_key(camera, {INT64_MAX}).view()));
    HD_ASSIGN(auto last, impl_->gap_at(*it, camera));
    if (last && last->end) last.reset();
    return last;
}

Result<void> Store::drop_gaps(const CameraId& camera) {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    Edit edit(*impl_);
    for (const Tag tag : {Tag::gap, Tag::pending_gap}) {
        const Key prefix = Key(tag).id(camera.bytes);
        HD_TRY(impl_->scan(prefix.view(), std::string(prefix.view()) + std::string(25, '\xff'),
                           "list gaps", [&](std::string_view key, ByteView) {
                               edit.batch().Delete(slice(key));
                               return true;
                           }));
    }
    if (edit.empty()) return {};
    return edit.commit(Durability::buffered, "drop gaps");
}

std::optional<WallTime> Store::utc_of(const journal::Stamp& stamp) const {
    return impl_->resolve(stamp);
}

Result<GapAnswer> Store::gaps(const GapQuery& query) const {
    HD_TRY(check_window(query.window));
    HD_TRY(check_limit(query.limit));
    GapAnswer answer;
    if (query.window.empty()) return answer;
    const std::shared_lock db_lock(impl_->db_mutex);
    rocksdb::ManagedSnapshot snapshot(impl_->db.get());
    for (const auto& [id, state] : impl_->states_of(query.cameras)) {
        std::uint32_t taken = 0;
        HD_TRY(impl_->scan_gaps(id, query.window, query.window.begin, snapshot.snapshot(),
                                [&](const GapRow& gap) {
                                    answer.gaps.push_back(gap);
                                    return ++taken <= query.limit;
                                }));
    }
    std::vector<GapRow>& gaps = answer.gaps;
    std::sort(gaps.begin(), gaps.end(), [](const GapRow& a, const GapRow& b) {
        return std::tie(a.begin, a.camera) < std::tie(b.begin, b.camera);
    });
    if (gaps.size() <= query.limit) return answer;
    // Cut between two begins; a page of gaps that all begin at once is one for each camera.
    std::size_t keep = query.limit;
    while (keep > 0 && gaps[keep - 1].begin == gaps[query.limit].begin) --keep;
    if (keep == 0 || gaps[keep].begin <= query.window.begin) {
        keep = query.limit;
        const WallTime first = std::max(gaps[query.limit].begin, query.window.begin);
        while (keep < gaps.size() && gaps[keep].begin <= first) ++keep;
        if (keep == gaps.size()) return answer;
    }
    answer.until = gaps[keep].begin;
    gaps.resize(keep);
    return answer;
}

// In ascending order of begin: those that overlap `window`.
Result<void> Store::Impl::scan_gaps(const CameraId& camera, TimeSpan window, WallTime from,
                                    const rocksdb::Snapshot* snapshot,
                                    const std::function<bool(const GapRow&)>& visit) const {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot;
    auto it = iterate(read);
    const Key start = gap_key(camera, std::max(WallTime{0}, std::max(from, window.begin)));
    it->SeekForPrev(slice(start.view()));
    HD_ASSIGN(const auto before, gap_at(*it, camera));
    if (!before) it->Seek(slice(start.view()));
    for (;; it->Next()) {
        HD_ASSIGN(const auto gap, gap_at(*it, camera));
        if (!gap || gap->begin >= window.end) return {};
        // Of zero length: in the window if its instant is.
        const bool in = !gap->end || *gap->end > window.begin ||
                        (*gap->end == gap->begin && gap->begin >= window.begin);
        if (in && !visit(*gap)) return {};
    }
}

}  // namespace hd::store
