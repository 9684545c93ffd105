// Clips in, clips out, clocks found.
#include <algorithm>

#include <fmt/format.h>
#include <rocksdb/write_batch.h>

#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {

PendingClip facts_of(const clip::ClipSummary& s) {
    return {.row = {.camera = s.camera,
                    .begin = s.utc_begin,
                    .end = s.utc_end,
                    .name_time = s.name_time,
                    .run = s.run,
                    .size_bytes = s.size_bytes,
                    .frames = s.frames,
                    .pieces = s.pieces,
                    .reason = s.reason,
                    .quality = s.quality},
            .boot = s.boot,
            .boot_begin = s.boot_begin,
            .boot_end = s.boot_end};
}

ClipRow restamp(const PendingClip& clip, Micros wall_minus_boot) {
    ClipRow row = clip.row;
    row.begin = {clip.boot_begin.us + wall_minus_boot.count()};
    row.end = {clip.boot_end.us + wall_minus_boot.count()};
    row.restamped = true;
    return row;
}

bool name_before(const clip::ClipName& a, const clip::ClipName& b) {
    return std::tie(a.camera, a.name_time, a.run) < std::tie(b.camera, b.name_time, b.run);
}
bool is_named(const ClipRow& row, const clip::ClipName& name) {
    const clip::ClipName own = clip_name(row);
    return !name_before(own, name) && !name_before(name, own);
}

}  // namespace

// One put_clips call: what it does to each clip, and what it has to say about it.
class Putting {
  public:
    Putting(Store::Impl& impl, Edit& edit) : impl_(impl), edit_(edit) {}

    Result<void> put(const clip::ClipSummary& summary) {
        PendingClip clip = facts_of(summary);
        const bool synchronised = clip.row.quality != ClockQuality::unsynchronised;
        const std::optional<Micros> offset = synchronised ? std::nullopt : offset_of(clip.boot);
        std::string_view rule = row_rule(clip.row);
        if (offset && rule.empty()) rule = restamp_rule(clip, *offset);
        if (!rule.empty()) {
            report_.refused.push_back(fmt::format("{}: {}", hd::store::clip_path(clip.row), rule));
            return {};
        }
        HD_ASSIGN(const bool dying, is_garbage(clip.row));
        if (dying) {
            ++report_.unchanged;
            return {};
        }
        if (!synchronised && !offset) return put_pending(clip);
        HD_TRY(drop_pending(clip.row));
        return put_row(offset ? restamp(clip, *offset) : clip.row);
    }
    bool changed() const { return report_.added + report_.replaced + report_.pending > 0; }
    PutReport take() && { return std::move(report_); }

  private:
    std::optional<Micros> offset_of(const BootId& boot) const {
        const std::lock_guard lock(impl_.state_mutex);
        const auto it = impl_.boots.find(boot);
        return it == impl_.boots.end() ? std::nullopt : std::optional(it->second);
    }
    static std::string_view restamp_rule(const PendingClip& clip, Micros offset) {
        constexpr std::int64_t kFar = kEndTimeUs;
        for (const std::int64_t us : {clip.boot_begin.us, clip.boot_end.us})
            if (us < -kFar || us > kFar) return "its BOOTTIME cannot be true";
        return row_rule(restamp(clip, offset));
    }
    // Marked for deletion already; its file is only not gone yet.
    Result<bool> is_garbage(const ClipRow& row) {
        if (edit_.camera(row.camera).garbage_clips == 0) return false;
        rocksdb::PinnableSlice value;
        return impl_.get(name_key(Tag::garbage, clip_name(row)).view(), value);
    }
    void saw_name(const ClipRow& row) {
        CameraState& state = edit_.camera(row.camera);
        state.newest_name = std::max(state.newest_name.value_or(row.name_time), row.name_time);
    }
    Result<void> put_row(const ClipRow& row) {
        HD_ASSIGN(const auto there, edit_.find(clip_name(row)));
        if (there == row) {
            ++report_.unchanged;
            return {};
        }
        HD_ASSIGN(const HourRows* const hour, edit_.hour(row.camera, hour_of(row.begin)));
        if (hour->rows.size() >= kMaxRowsPerHour) {
            report_.refused.push_back(
                fmt::format("{}: its hour is full", hd::store::clip_path(row)));
            return {};
        }
        if (there) HD_TRY(edit_.remove(*there));
        HD_TRY(edit_.add(row));
        ++(there ? report_.replaced : report_.added);
        saw_name(row);
        return {};
    }
    Result<void> put_pending(const PendingClip& clip) {
        const Key key = name_key(Tag::pending, clip_name(clip.row));
        if (!pending_keys_.insert(std::string(key.view())).second) {
            ++report_.unchanged;  // twice in one call
            return {};
        }
        rocksdb::PinnableSlice value;
        HD_ASSIGN(const bool found, impl_.get(key.view(), value));
        CameraState& state = edit_.camera(clip.row.camera);
        // The same name with other facts may be in the time index.
        HD_ASSIGN(const auto there, edit_.find(clip_name(clip.row)));
        if (there) HD_TRY(edit_.remove(*there));
        if (found) {
            HD_ASSIGN(const PendingClip old, impl_.noted(decode_pending(bytes_of(value))));
            if (old == clip) {
                ++report_.unchanged;
                return {};
            }
            --state.pending_clips;
            state.pending_bytes -= old.row.size_bytes;
        }
        const Bytes bytes = encode_pending(clip);
        edit_.batch().Put(slice(key.view()), slice(bytes));
        ++state.pending_clips;
        state.pending_bytes += clip.row.size_bytes;
        ++report_.pending;
        ++(found || there ? report_.replaced : report_.added);
        saw_name(clip.row);
        return {};
    }
    // The same file was pending before and now knows its time (finished again by a recovery).
    Result<void> drop_pending(const ClipRow& row) {
        CameraState& state = edit_.camera(row.camera);
        if (state.pending_clips == 0) return {};
        const Key key = name_key(Tag::pending, clip_name(row));
        rocksdb::PinnableSlice value;
        HD_ASSIGN(const bool found, impl_.get(key.view(), value));
        if (!found || !pending_keys_.insert(std::string(key.view())).second) return {};
        HD_ASSIGN(const PendingClip old, impl_.noted(decode_pending(bytes_of(value))));
        --state.pending_clips;
        state.pending_bytes -= old.row.size_bytes;
        edit_.batch().Delete(slice(key.view()));
        return {};
    }

    Store::Impl& impl_;
    Edit& edit_;
    std::set<std::string> pending_keys_;
    PutReport report_;
};

Result<PutReport> Store::put_clips(std::span<const clip::ClipSummary> clips,
                                   Durability durability) {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    Edit edit(*impl_);
    Putting putting(*impl_, edit);
    for (const clip::ClipSummary& clip : clips) HD_TRY(putting.put(clip));
    if (putting.changed()) HD_TRY(edit.commit(durability, "put clips"));
    for (const clip::ClipSummary& clip : clips)
        drop_open_clip({clip.camera, clip.name_time, clip.run});
    return std::move(putting).take();
}

std::optional<ClipRow> Store::row_of(const clip::ClipSummary& clip) const {
    const PendingClip facts = facts_of(clip);
    if (facts.row.quality != ClockQuality::unsynchronised) return facts.row;
    const std::lock_guard lock(impl_->state_mutex);
    const auto it = impl_->boots.find(facts.boot);
    if (it == impl_->boots.end()) return std::nullopt;
    return restamp(facts, it->second);
}

void Store::set_open_clip(const ClipRow& row) {
    const std::lock_guard lock(impl_->state_mutex);
    auto& open = impl_->open_clips;
    std::erase_if(open, [&](const ClipRow& r) { return is_named(r, clip_name(row)); });
    open.push_back(row);
    open.back().open = true;
}

void Store::drop_open_clip(const clip::ClipName& name) {
    const std::lock_guard lock(impl_->state_mutex);
    std::erase_if(impl_->open_clips, [&](const ClipRow& r) { return is_named(r, name); });
}

std::vector<ClipRow> Store::open_clips() const {
    const std::lock_guard lock(impl_->state_mutex);
    return impl_->open_clips;
}

Result<std::uint64_t> Store::mark_garbage(std::span<const clip::ClipName> clips) {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    Edit edit(*impl_);
    std::uint64_t marked = 0;
    std::set<std::string> seen;
    for (const clip::ClipName& name : clips) {
        const Key garbage = name_key(Tag::garbage, name);
        if (!seen.insert(std::string(garbage.view())).second) continue;
        CameraState& state = edit.camera(name.camera);
        std::uint64_t size = 0;
        HD_ASSIGN(const auto row, edit.find(name));
        if (row) {
            HD_TRY(edit.remove(*row));
            size = row->size_bytes;
        } else {
            const Key pending = name_key(Tag::pending, name);
            rocksdb::PinnableSlice value;
            HD_ASSIGN(const bool found, impl_->get(pending.view(), value));
            if (!found) continue;
            HD_ASSIGN(const PendingClip clip, impl_->noted(decode_pending(bytes_of(value))));
            size = clip.row.size_bytes;
            --state.pending_clips;
            state.pending_bytes -= size;
            edit.batch().Delete(slice(pending.view()));
        }
        ByteWriter bytes;
        bytes.varint(size);
        edit.batch().Put(slice(garbage.view()), slice(bytes.view()));
        ++state.garbage_clips;
        state.garbage_bytes += size;
        ++marked;
    }
    if (marked > 0) HD_TRY(edit.commit(Durability::synced, "mark garbage"));
    return marked;
}

Result<void> Store::forget(std::span<const clip::ClipName> clips) {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    Edit edit(*impl_);
    std::set<std::string> seen;
    for (const clip::ClipName& name : clips) {
        const Key key = name_key(Tag::garbage, name);
        if (!seen.insert(std::string(key.view())).second) continue;
        rocksdb::PinnableSlice value;
        HD_ASSIGN(const bool found, impl_->get(key.view(), value));
        if (!found) continue;
        CameraState& state = edit.camera(name.camera);
        --state.garbage_clips;
        state.garbage_bytes -= ByteReader(bytes_of(value)).varint();
        edit.batch().Delete(slice(key.view()));
    }
    // If this is lost, the sweep finds the files gone and forgets them again.
    if (!edit.empty()) HD_TRY(edit.commit(Durability::buffered, "forget garbage"));
    return {};
}

Result<std::vector<Store::Garbage>> Store::garbage(std::uint32_t limit) const {
    const std::shared_lock db_lock(impl_->db_mutex);
    std::vector<Garbage> out;
    HD_TRY(impl_->scan(std::string(1, static_cast<char>(Tag::garbage)),
                       std::string(1, static_cast<char>(Tag::garbage) + 1), "list garbage",
                       [&](std::string_view key, ByteView value) {
                           if (out.size() >= limit) return false;
                           if (const auto name = parse_name_key(key))
                               out.push_back({*name, ByteReader(value).varint()});
                           return true;
                       }));
    return out;
}

Result<std::uint64_t> Store::set_boot_offset(const BootId& boot, Micros wall_minus_boot) {
    const std::shared_lock db_lock(impl_->db_mutex);
    const std::lock_guard write_lock(impl_->write_mutex);
    {
        const std::lock_guard lock(impl_->state_mutex);
        if (impl_->boots.contains(boot)) return std::uint64_t{0};
    }
    Edit edit(*impl_);
    ByteWriter offset;
    offset.i64(wall_minus_boot.count());
    edit.batch().Put(slice(boot_key(boot).view()), slice(offset.view()));
    edit.set_boot(boot, wall_minus_boot);
    std::vector<PendingClip> ready;
    std::optional<Error> bad;
    HD_TRY(impl_->scan(std::string(1, static_cast<char>(Tag::pending)),
                       std::string(1, static_cast<char>(Tag::pending) + 1), "read pending clips",
                       [&](std::string_view, ByteView value) {
                           auto clip = impl_->noted(decode_pending(value));
                           if (!clip.ok())
                               bad = clip.error();
                           else if (clip->boot == boot)
                               ready.push_back(std::move(*clip));
                           return !bad;
                       }));
    if (bad) return *bad;
    std::uint64_t moved = 0;
    for (const PendingClip& clip : ready) {
        const ClipRow row = restamp(clip, wall_minus_boot);
        // A time that cannot be true stays pending: visible, and in no window.
        if (!row_rule(row).empty()) continue;
        CameraState& state = edit.camera(row.camera);
        --state.pending_clips;
        state.pending_bytes -= row.size_bytes;
        edit.batch().Delete(slice(name_key(Tag::pending, clip_name(row)).view()));
        HD_TRY(edit.add(row));
        ++moved;
    }
    HD_TRY(edit.commit(Durability::synced, "restamp a boot"));
    HD_TRY(impl_->place_pending_gaps());
    return moved;
}

Result<std::optional<Micros>> Store::boot_offset(const BootId& boot) const {
    const std::lock_guard lock(impl_->state_mutex);
    const auto it = impl_->boots.find(boot);
    if (it == impl_->boots.end()) return std::optional<Micros>();
    return std::optional<Micros>(it->second);
}

}  // namespace hd::store
