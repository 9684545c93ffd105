// Coverage: how much of each bucket the finished clips cover, without reading every row. A day that
// is over is derived once, kept as one small record, and dropped by any write that touches it.
// Quarters of an hour, rounded to milliseconds, are the grain: hours and days are sums of quarters,
// so the answer does not depend on what was kept.
#include <algorithm>

#include <rocksdb/write_batch.h>

#include "index/store/store_impl.hpp"

namespace hd::store {
namespace {

constexpr std::int64_t kMinuteUs = 60'000'000;

std::uint32_t to_ms(std::int64_t us) { return static_cast<std::uint32_t>((us + 500) / 1000); }

// Adds clips, in order of begin, to equal buckets from `begin` on: their union, and where they
// begin.
class Sweep {
  public:
    Sweep(std::int64_t begin_us, std::int64_t bucket_us, std::size_t buckets)
        : begin_(begin_us), bucket_(bucket_us), covered_(buckets), clips_(buckets) {}

    void add(const ClipRow& row) {
        const auto size = static_cast<std::int64_t>(covered_.size());
        if (row.begin.us >= begin_) {
            const std::int64_t i = (row.begin.us - begin_) / bucket_;
            if (i < size) ++clips_[static_cast<std::size_t>(i)];
        }
        std::int64_t at = std::max({row.begin.us, until_, begin_});
        until_ = std::max(until_, row.end.us);
        while (at < row.end.us) {
            const std::int64_t i = (at - begin_) / bucket_;
            if (i >= size) return;
            const std::int64_t end = std::min(row.end.us, begin_ + (i + 1) * bucket_);
            covered_[static_cast<std::size_t>(i)] += end - at;
            at = end;
        }
    }
    std::uint32_t covered_ms(std::size_t i) const { return to_ms(covered_[i]); }
    std::uint32_t clips(std::size_t i) const { return clips_[i]; }

  private:
    std::int64_t begin_, bucket_;
    std::int64_t until_ = INT64_MIN;
    std::vector<std::int64_t> covered_;
    std::vector<std::uint32_t> clips_;
};

using DaySink = std::function<Result<void>(std::uint32_t day, const DayCoverage&)>;

// Derives days [first, last] from their rows and gives each to `sink`.
Result<void> derive_days(const Store::Impl& impl, const CameraId& camera, const CameraState& state,
                         std::uint32_t first, std::uint32_t last, const DaySink& sink) {
    // In stretches, so that a long history takes bounded memory.
    constexpr std::uint32_t kStretch = 32;
    for (std::uint32_t day = first; day <= last; day += kStretch) {
        const std::uint32_t end = std::min(last, day + kStretch - 1);
        const std::int64_t begin_us = day * kDayUs;
        Sweep sweep(begin_us, kQuarterUs, std::size_t{96} * (end - day + 1));
        const Hour from = hour_of({std::max<std::int64_t>(0, begin_us - state.longest_us)});
        HD_TRY(
            impl.scan_hours(camera, from, end * 24 + 23, nullptr, [&](std::vector<ClipRow>& rows) {
                for (const ClipRow& row : rows) sweep.add(row);
                return true;
            }));
        for (std::uint32_t d = day; d <= end; ++d) {
            DayCoverage coverage;
            for (std::size_t q = 0; q < 96; ++q) {
                coverage.covered_ms[q] = sweep.covered_ms(96 * (d - day) + q);
                coverage.clips[q] = sweep.clips(96 * (d - day) + q);
            }
            HD_TRY(sink(d, coverage));
        }
    }
    return {};
}

// Adds a day's quarters or hours to the buckets of an answer. Buckets are whole quarters, hours or
// days and begin on UTC edges, so one division finds the place of a whole day.
struct Target {
    TimeSpan window;
    std::int64_t bucket_us;
    CameraCoverage& out;

    template <std::size_t N>
    void add(std::uint32_t day, const std::array<std::uint32_t, N>& ms,
             const std::array<std::uint32_t, N>& clips) const {
        const std::int64_t per_bucket =
            std::max<std::int64_t>(1, bucket_us / (kDayUs / std::int64_t{N}));
        const std::int64_t first = (day * kDayUs - window.begin.us) / bucket_us;
        const auto size = static_cast<std::int64_t>(out.covered_ms.size());
        std::int64_t at = first, in_bucket = 0;
        for (std::size_t i = 0; i < N; ++i) {
            if (at >= 0 && at < size) {
                out.covered_ms[static_cast<std::size_t>(at)] += ms[i];
                out.clips[static_cast<std::size_t>(at)] += clips[i];
            }
            if (++in_bucket == per_bucket) {
                in_bucket = 0;
                ++at;
            }
        }
    }
    void add_quarters(std::uint32_t day, const DayCoverage& c) const {
        add(day, c.covered_ms, c.clips);
    }
    void add_hours(std::uint32_t day, const HourSums& c) const { add(day, c.covered_ms, c.clips); }
};

}  // namespace

Micros bucket_length(Bucket bucket) {
    switch (bucket) {
        case Bucket::minute:
            return Micros(kMinuteUs);
        case Bucket::quarter:
            return Micros(kQuarterUs);
        case Bucket::hour:
            return Micros(kHourUs);
        case Bucket::day:
            return Micros(kDayUs);
    }
    return Micros(kDayUs);
}

// Keeps derived days unless the camera changed since `changes` was read: then one of them could be
// of rows that are no longer so. Losing this write costs only time.
Result<void> Store::Impl::keep_days(
    const CameraId& camera, std::uint64_t changes,
    const std::vector<std::pair<std::uint32_t, DayCoverage>>& days) const {
    if (days.empty()) return {};
    const std::lock_guard write_lock(write_mutex);
    const auto now = state_of(camera);
    if (!now || now->changes != changes) return {};
    CameraState next = *now;
    rocksdb::WriteBatch batch;
    for (const auto& [day, coverage] : days) {
        const Bytes bytes = encode_day(coverage);
        batch.Put(slice(day_key(camera, day).view()), slice(bytes));
        next.derived_until = std::max(next.derived_until.value_or(day), day);
    }
    const Bytes bytes = encode_camera_state(next);
    batch.Put(slice(camera_key(camera).view()), slice(bytes));
    if (failed) return {};  // The answer needs no disk that takes writes.
    if (const auto s = db->Write({}, &batch); !s.ok()) {
        (void)write_failed(s, "keep coverage");
        return {};
    }
    const std::lock_guard lock(state_mutex);
    cameras[camera].derived_until = next.derived_until;
    return {};
}

// Buckets of a quarter or longer, from kept days where there are, derived where there are not.
Result<void> Store::Impl::cover_by_days(const CameraId& camera, const CameraState& state,
                                        TimeSpan window, Bucket bucket, CameraCoverage& out) const {
    const Target target{window, bucket_length(bucket).count(), out};
    const std::uint32_t first = std::max(day_of(window.begin), day_of(state.first->begin));
    // The last clip may reach into the day after the one it begins in.
    const std::uint32_t last =
        std::min(day_of({window.end.us - 1}), day_of({state.last->begin.us + state.longest_us}));
    if (first > last) return {};
    std::vector<bool> kept(last - first + 1);
    std::optional<Error> bad;
    const Key from = day_key(camera, first);
    const Key to = day_key(camera, last).u32(0);
    HD_TRY(scan(from.view(), to.view(), "read coverage", [&](std::string_view key, ByteView value) {
        const auto parsed = parse_camera_key(key, 4);
        if (!parsed) return true;
        const auto day = static_cast<std::uint32_t>(parsed->number);
        if (bucket == Bucket::quarter) {
            const auto quarters = noted(decode_day(value));
            if (quarters.ok())
                target.add_quarters(day, *quarters);
            else
                bad = quarters.error();
        } else {
            const auto hours = noted(decode_day_hours(value));
            if (hours.ok())
                target.add_hours(day, *hours);
            else
                bad = hours.error();
        }
        kept[day - first] = true;
        return !bad;
    }));
    if (bad) return *bad;

    // Days before the last clip's are over: nothing is added to them but late finds.
    const std::uint32_t over = day_of(state.last->begin);
    std::vector<std::pair<std::uint32_t, DayCoverage>> fresh;
    for (std::uint32_t day = first; day <= last; ++day) {
        if (kept[day - first]) continue;
        std::uint32_t end = day;
        while (end < last && !kept[end + 1 - first]) ++end;
        const DaySink take = [&](std::uint32_t d, const DayCoverage& c) -> Result<void> {
            target.add_quarters(d, c);
            if (d < over) fresh.emplace_back(d, c);
            if (fresh.size() < 64) return {};
            const Result<void> done = keep_days(camera, state.changes, fresh);
            fresh.clear();
            return done;
        };
        HD_TRY(derive_days(*this, camera, state, day, end, take));
        day = end;
    }
    return keep_days(camera, state.changes, fresh);
}

Result<CoverageAnswer> Store::coverage(const CoverageQuery& query) const {
    const std::int64_t length = bucket_length(query.bucket).count();
    const TimeSpan asked = query.window;
    if (asked.end < asked.begin)
        return Error{ErrorCode::invalid, "window: must not end before it begins"};
    if (asked.begin.us < 0 || asked.end.us > kEndTimeUs)
        return Error{ErrorCode::invalid, "window: must be within 1970..9999"};
    CoverageAnswer answer;
    answer.bucket = query.bucket;
    answer.window = {{asked.begin.us / length * length},
                     {(asked.end.us + length - 1) / length * length}};
    if (asked.empty()) answer.window.end = answer.window.begin;
    const std::shared_lock db_lock(impl_->db_mutex);
    answer.complete_from = complete_from();
    const auto cameras = impl_->states_of(query.cameras);
    const auto buckets = static_cast<std::uint64_t>(answer.window.length().count() / length);
    if (buckets > kMaxCoverageBuckets || buckets * cameras.size() > kMaxCoverageBuckets)
        return Error{ErrorCode::invalid,
                     "window: more than " + std::to_string(kMaxCoverageBuckets) + " buckets"};
    for (const auto& [id, state] : cameras) {
        CameraCoverage& out = answer.cameras.emplace_back();
        out.camera = id;
        out.covered_ms.resize(buckets);
        out.clips.resize(buckets);
        if (!state.first || buckets == 0) continue;
        if (query.bucket != Bucket::minute) {
            HD_TRY(impl_->cover_by_days(id, state, answer.window, query.bucket, out));
            continue;
        }
        Sweep sweep(answer.window.begin.us, length, buckets);
        const std::int64_t from =
            std::max(answer.window.begin.us - state.longest_us, state.first->begin.us);
        HD_TRY(impl_->scan_hours(id, hour_of({from}), hour_of({answer.window.end.us - 1}), nullptr,
                                 [&](std::vector<ClipRow>& rows) {
                                     for (const ClipRow& row : rows) sweep.add(row);
                                     return true;
                                 }));
        for (std::size_t i = 0; i < buckets; ++i) {
            out.covered_ms[i] = sweep.covered_ms(i);
            out.clips[i] = sweep.clips(i);
        }
    }
    return answer;
}

Result<std::uint32_t> Store::derive_coverage(std::uint32_t days) {
    const std::shared_lock db_lock(impl_->db_mutex);
    std::uint32_t done = 0;
    for (const auto& [id, state] : impl_->states_of({})) {
        if (!state.first || done >= days) continue;
        const std::uint32_t over = day_of(state.last->begin);
        // Days after the last kept one, oldest first; holes before it are filled when asked for.
        std::uint32_t first = day_of(state.first->begin);
        if (state.derived_until) first = std::max(first, *state.derived_until + 1);
        if (first >= over) continue;
        const std::uint32_t last = std::min(over - 1, first + (days - done) - 1);
        std::vector<std::pair<std::uint32_t, DayCoverage>> fresh;
        HD_TRY(derive_days(*impl_, id, state, first, last,
                           [&](std::uint32_t d, const DayCoverage& c) -> Result<void> {
                               fresh.emplace_back(d, c);
                               return {};
                           }));
        HD_TRY(impl_->keep_days(id, state.changes, fresh));
        done += static_cast<std::uint32_t>(fresh.size());
    }
    return done;
}

}  // namespace hd::store
