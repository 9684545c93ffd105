// Gaps, by their begin. In the order of life those of one camera never overlap; in UTC they do
// where the clock was set back. So that a query need not look at all that began before its window,
// each knows the begin of the first that reaches beyond its own (StoredGap): nearly always none
// does. A gap that is open ends where one begins that is told afterwards.
#include <algorithm>
#include <tuple>

#include <rocksdb/write_batch.h>

#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {
constexpr WallTime kNever{INT64_MAX};
}

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

Result<std::optional<StoredGap>> Store::Impl::gap_at(rocksdb::Iterator& it,
                                                     const CameraId& camera) const {
    if (!it.Valid()) {
        if (!it.status().ok()) return fail(it.status(), "read a gap");
        return std::optional<StoredGap>();
    }
    const std::string_view key = text_of(it.key());
    const auto parsed = parse_camera_key(key, 8);
    if (!parsed || key[0] != static_cast<char>(Tag::gap) || parsed->camera != camera)
        return std::optional<StoredGap>();
    HD_ASSIGN(StoredGap gap, noted(decode_gap(bytes_of(it.value()), camera,
                                              {static_cast<std::int64_t>(parsed->number)})));
    return std::optional<StoredGap>(gap);
}

// At the first gap that may reach `at` from before, or else the first that begins there or later.
Result<void> Store::Impl::seek_reaching(rocksdb::Iterator& it, const CameraId& camera,
                                        WallTime at) const {
    const Key key = gap_key(camera, at);
    it.SeekForPrev(slice(key.view()));
    HD_ASSIGN(const auto before, gap_at(it, camera));
    if (!before)
        it.Seek(slice(key.view()));
    else if (before->reach < before->row.begin)
        it.Seek(slice(gap_key(camera, before->reach).view()));
    return {};
}

Result<bool> Store::Impl::write_gap(GapRow gap, Edit& edit) {
    auto it = iterate({});
    HD_TRY(seek_reaching(*it, gap.camera, gap.begin));
    std::vector<GapRow> over;                   // that reach beyond the place, in order
    WallTime until = gap.end.value_or(kNever);  // what begins there no change of ours reaches
    const auto put = [&](const GapRow& row) {
        const WallTime reach = over.empty() ? row.begin : over.front().begin;
        const Bytes bytes = encode_gap({row, reach});
        edit.batch().Put(slice(gap_key(row.camera, row.begin).view()), slice(bytes));
    };
    HD_ASSIGN(auto at, gap_at(*it, gap.camera));
    std::vector<StoredGap> open;
    while (at && at->row.begin < gap.begin) {
        if (!at->row.end)
            open.push_back(*at);
        else if (*at->row.end > gap.begin)
            over.push_back(at->row);
        it->Next();
        HD_ASSIGN(at, gap_at(*it, gap.camera));
    }
    if (at && at->row.begin == gap.begin) {
        gap = retold(at->row, gap);
        if (at->row == gap) return false;
        until = std::max(gap.end.value_or(kNever), at->row.end.value_or(kNever));
        it->Next();
        HD_ASSIGN(at, gap_at(*it, gap.camera));
    }
    for (StoredGap& before : open) {
        before.row.end = gap.begin;
        const Bytes bytes = encode_gap(before);
        edit.batch().Put(slice(gap_key(gap.camera, before.row.begin).view()), slice(bytes));
        until = kNever;
    }
    put(gap);
    over.push_back(gap);
    while (at && at->row.begin < until) {
        std::erase_if(over, [&](const GapRow& o) { return o.end && *o.end <= at->row.begin; });
        if (at->reach != (over.empty() ? at->row.begin : over.front().begin)) put(at->row);
        over.push_back(at->row);
        it->Next();
        HD_ASSIGN(at, gap_at(*it, gap.camera));
    }
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
        HD_ASSIGN(const auto last, impl_->open_row(camera));
        if (!last) return {};
        open = GapRecord{.camera = camera, .cause = last->cause};
        open->begin.utc = last->begin;
        open->begin.at.us = last->begin.us;  // only to name it apart while its end is pending
        open->begin.quality = ClockQuality::synchronised;
    }
    open->end = end;
    HD_ASSIGN(const bool changed, impl_->put_gap_record(*open));
    return changed ? impl_->sync_log("sync gap") : Result<void>();
}

Result<std::optional<GapRow>> Store::Impl::open_row(const CameraId& camera) const {
    std::optional<GapRow> open;
    auto it = iterate({});
    HD_TRY(seek_reaching(*it, camera, kNever));
    for (;; it->Next()) {
        HD_ASSIGN(const auto gap, gap_at(*it, camera));
        if (!gap) return open;
        if (!gap->row.end) open = gap->row;
    }
}

Result<std::optional<GapRow>> Store::open_gap(const CameraId& camera) const {
    const std::shared_lock db_lock(impl_->db_mutex);
    return impl_->open_row(camera);
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
        HD_TRY(impl_->scan_gaps(
            id, query.window, query.window.begin, snapshot.snapshot(), [&](const GapRow& gap) {
                answer.gaps.push_back(gap);
                return gap.begin <= query.window.begin || ++taken <= query.limit;
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
    HD_TRY(seek_reaching(*it, camera, std::max(WallTime{0}, std::max(from, window.begin))));
    for (;; it->Next()) {
        HD_ASSIGN(const auto gap, gap_at(*it, camera));
        if (!gap || gap->row.begin >= window.end) return {};
        const GapRow& row = gap->row;
        // Of zero length: in the window if its instant is.
        const bool in = !row.end || *row.end > window.begin ||
                        (*row.end == row.begin && row.begin >= window.begin);
        if (in && !visit(row)) return {};
    }
}

}  // namespace hd::store
