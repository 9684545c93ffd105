// A gap's record into its row. What lies in a boot that never knew the time has no place in UTC: a
// gap that ended there ends, as far as anybody can know, where the next one that began in the dark
// ends. Between the two there may be clips, pending ones.
#include <algorithm>

#include <rocksdb/write_batch.h>

#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {

bool in_the_dark(const GapRecord& gap, const std::optional<WallTime>& end) {
    return gap.end && !end;
}

}  // namespace

Result<std::vector<GapRecord>> Store::Impl::waiting_gaps(const CameraId* camera) const {
    const Key prefix = camera ? Key(Tag::pending_gap).id(camera->bytes) : Key(Tag::pending_gap);
    std::vector<GapRecord> waiting;
    std::optional<Error> bad;
    HD_TRY(scan(prefix.view(), std::string(prefix.view()) + std::string(41, '\xff'),
                "read pending gaps", [&](std::string_view, ByteView value) {
                    auto gap = noted(decode_gap_record(value));
                    if (!gap.ok())
                        bad = gap.error();
                    else
                        waiting.push_back(*gap);
                    return !bad;
                }));
    if (bad) return *bad;
    return waiting;
}

std::optional<WallTime> Store::Impl::end_by_others(const std::vector<GapRecord>& all,
                                                   WallTime begin) const {
    std::optional<WallTime> out;
    for (const GapRecord& other : all) {
        const auto end = other.end ? resolve(*other.end) : std::nullopt;
        if (!end || *end < begin || resolve(other.begin)) continue;
        out = std::min(out.value_or(*end), *end);
    }
    return out;
}

// Each record is a write of its own, because the next one must see it; one sync ends them all.
Result<bool> Store::Impl::put_gap_record(const GapRecord& gap) {
    Edit edit(*this);
    bool changed = false;
    if (!state_of(gap.camera)) {
        edit.camera(gap.camera);  // known from now on, so that "all cameras" includes it
        changed = true;
    }
    const std::optional<WallTime> begin = resolve(gap.begin);
    std::optional<WallTime> end = gap.end ? resolve(*gap.end) : std::nullopt;
    const Key waiting = pending_gap_key(gap);
    rocksdb::PinnableSlice value;
    HD_ASSIGN(const bool was_pending, get(waiting.view(), value));
    if (!begin || in_the_dark(gap, end)) {
        const Bytes bytes = encode_gap_record(gap);
        if (!was_pending || text_of(value) != as_text(bytes)) {
            edit.batch().Put(slice(waiting.view()), slice(bytes));
            changed = true;
        }
    } else if (was_pending) {
        edit.batch().Delete(slice(waiting.view()));
        changed = true;
    }
    if (begin) {
        if (end) {
            end = gap_end(gap, *begin, *end);
        } else if (gap.end) {
            HD_ASSIGN(const auto others, waiting_gaps(&gap.camera));
            end = end_by_others(others, *begin);
        }
        HD_ASSIGN(const bool wrote, write_gap({gap.camera, *begin, end, gap.cause}, edit));
        changed = changed || wrote;
    }
    if (changed) HD_TRY(edit.commit(Durability::buffered, "put gap"));
    if (begin || !end) return changed;
    HD_ASSIGN(const bool ended, end_dark_gaps(gap.camera));
    return changed || ended;
}

// After the end of a gap that began in the dark became known.
Result<bool> Store::Impl::end_dark_gaps(const CameraId& camera) {
    HD_ASSIGN(const auto waiting, waiting_gaps(&camera));
    bool changed = false;
    for (const GapRecord& gap : waiting) {
        const auto begin = resolve(gap.begin);
        if (!begin || !gap.end || resolve(*gap.end)) continue;
        const auto end = end_by_others(waiting, *begin);
        if (!end) continue;
        Edit edit(*this);
        HD_ASSIGN(const bool wrote, write_gap({camera, *begin, end, gap.cause}, edit));
        if (wrote) HD_TRY(edit.commit(Durability::buffered, "end a gap"));
        changed = changed || wrote;
    }
    return changed;
}

Result<void> Store::Impl::place_pending_gaps() {
    HD_ASSIGN(const auto waiting, waiting_gaps(nullptr));
    bool changed = false;
    for (const GapRecord& gap : waiting) {
        HD_ASSIGN(const bool one, put_gap_record(gap));
        changed = changed || one;
    }
    return changed ? sync_log("sync gaps") : Result<void>();
}

}  // namespace hd::store
