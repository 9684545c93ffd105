// The brute-force model that the store is compared with, and makers of clips and folders.
#pragma once

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "index/base/files.hpp"
#include "index/store/page_cursor.hpp"
#include "index/store/store.hpp"
#include "tests/support/temp_folder.hpp"

namespace hd::test {

constexpr std::int64_t kSecond = 1'000'000;
constexpr WallTime kEpoch{1'795'183'200'000'000};  // 2026-11-20, an hour's edge

inline CameraId camera_number(int n) {
    CameraId id;
    id.bytes.fill(static_cast<std::uint8_t>(0x11 * (n + 1)));
    return id;
}

inline clip::ClipSummary make_clip(int camera, WallTime begin, Micros length) {
    clip::ClipSummary s;
    s.camera = camera_number(camera);
    s.run = {7};
    s.utc_begin = begin;
    s.utc_end = begin + length;
    s.name_time = begin;
    s.boot_begin = {begin.us - kEpoch.us};
    s.boot_end = s.boot_begin + length;
    s.quality = ClockQuality::synchronised;
    s.pieces = 61;
    s.frames = 1500;
    s.size_bytes = 15'000'000;
    return s;
}

// All that the store knows, as plain lists; every answer by looking at everything.
class Model {
  public:
    struct Item {  // of a window answer
        store::PagePlace place;
        std::optional<store::ClipRow> clip;
        std::optional<store::GapRow> gap;
    };

    const std::vector<clip::ClipSummary>& clips() const { return clips_; }
    const std::vector<clip::ClipSummary>& garbage() const { return garbage_; }
    std::vector<store::ClipRow>& open() { return open_; }

    static bool same(const clip::ClipSummary& a, const clip::ClipSummary& b) {
        return a.camera == b.camera && a.name_time == b.name_time && a.run == b.run;
    }

    void put(const clip::ClipSummary& s) {
        std::erase_if(open_, [&](const store::ClipRow& r) {
            return r.camera == s.camera && r.name_time == s.name_time && r.run == s.run;
        });
        for (const auto& g : garbage_)
            if (same(g, s)) return;  // on its way out: stays out
        std::erase_if(clips_, [&](const auto& c) { return same(c, s); });
        clips_.push_back(s);
        dirty_ = true;
    }
    clip::ClipSummary mark(std::size_t at) {
        garbage_.push_back(clips_[at]);
        clips_.erase(clips_.begin() + static_cast<std::ptrdiff_t>(at));
        dirty_ = true;
        return garbage_.back();
    }
    void forget() { garbage_.clear(); }

    void set_boot(const BootId& boot, Micros offset) {
        boots_.emplace(boot, offset);
        dirty_ = true;
        auto waiting = std::move(pending_gaps_);
        pending_gaps_.clear();
        for (const auto& [key, gap] : waiting) put_gap(gap);
    }
    bool is_pending(const clip::ClipSummary& s) const {
        return s.quality == ClockQuality::unsynchronised && !boots_.contains(s.boot);
    }
    store::ClipRow row(const clip::ClipSummary& s) const {
        store::ClipRow r{.camera = s.camera,
                         .begin = s.utc_begin,
                         .end = s.utc_end,
                         .name_time = s.name_time,
                         .run = s.run,
                         .size_bytes = s.size_bytes,
                         .frames = s.frames,
                         .pieces = s.pieces,
                         .reason = s.reason,
                         .quality = s.quality};
        if (const auto o = boots_.find(s.boot);
            o != boots_.end() && s.quality == ClockQuality::unsynchronised) {
            r.begin = {s.boot_begin.us + o->second.count()};
            r.end = {s.boot_end.us + o->second.count()};
            r.restamped = true;
        }
        return r;
    }
    const std::vector<store::ClipRow>& rows() const {  // sorted; all that are in the time index
        if (dirty_) {
            rows_.clear();
            for (const auto& s : clips_)
                if (!is_pending(s)) rows_.push_back(row(s));
            std::sort(rows_.begin(), rows_.end(), store::answer_order);
            dirty_ = false;
        }
        return rows_;
    }
    std::vector<store::ClipRow> rows_of(const CameraId& camera) const {
        std::vector<store::ClipRow> out;
        for (const auto& r : rows())
            if (r.camera == camera) out.push_back(r);
        return out;
    }

    void put_gap(const store::GapRecord& gap) {
        const auto begin = resolve(gap.begin);
        auto end = gap.end ? resolve(*gap.end) : std::nullopt;
        if (begin && end) end = std::max(*begin, *end);
        const auto key = std::tuple(gap.camera, gap.begin.boot, gap.begin.at.us);
        pending_gaps_.erase(key);
        if (!begin || (gap.end && !end)) pending_gaps_.emplace(key, gap);
        if (!begin) return;
        const auto key_of_row = std::pair(gap.camera, *begin);
        store::GapRow told{gap.camera, *begin, end, gap.cause};
        if (const auto there = gaps_.find(key_of_row); there != gaps_.end()) {
            const store::GapRow& known = there->second;
            const bool lasted = known.end && *known.end != *begin;
            if (lasted && end == begin) return;
            if (lasted && !end) told.end = known.end;
            if (told == known) return;
        }
        for (auto& [place, other] : gaps_)
            if (place.first == gap.camera && place.second < *begin && !other.end)
                other.end = *begin;
        gaps_.insert_or_assign(key_of_row, told);
    }
    void drop_gaps(const CameraId& camera) {
        std::erase_if(gaps_, [&](const auto& g) { return g.first.first == camera; });
        std::erase_if(pending_gaps_, [&](const auto& g) { return g.second.camera == camera; });
    }
    bool has_open_pending_gap(const CameraId& camera) const {
        return std::any_of(pending_gaps_.begin(), pending_gaps_.end(), [&](const auto& p) {
            return p.second.camera == camera && !p.second.end;
        });
    }
    std::vector<store::GapRow> gaps_of(const CameraId& camera) const {
        std::vector<store::GapRow> out;
        for (const auto& [key, gap] : gaps_)
            if (key.first == camera) out.push_back(gap);
        return out;
    }

    // The window's items in answer order.
    std::vector<Item> window(const store::WindowQuery& q) const {
        const auto asked = [&](const CameraId& c) {
            return q.cameras.empty() ||
                   std::find(q.cameras.begin(), q.cameras.end(), c) != q.cameras.end();
        };
        std::vector<Item> out;
        if (q.window.empty()) return out;
        const auto overlaps = [&](WallTime begin, WallTime end) {
            return begin < q.window.end && end > q.window.begin;
        };
        for (const auto& r : rows())
            if (asked(r.camera) && overlaps(r.begin, r.end))
                out.push_back({store::place_of(r), r, {}});
        if (q.with_open)
            for (const auto& r : open_)
                if (asked(r.camera) && overlaps(r.begin, r.end))
                    out.push_back({store::place_of(r), r, {}});
        if (q.with_gaps)
            for (int c = 0; c < kCameras; ++c)
                if (asked(camera_number(c)))
                    for (const auto& g : gaps_of(camera_number(c)))
                        if (g.begin < q.window.end &&
                            (!g.end || *g.end > q.window.begin ||
                             (*g.end == g.begin && g.begin >= q.window.begin)))
                            out.push_back({store::place_of(g), {}, g});
        std::stable_sort(out.begin(), out.end(),
                         [](const Item& a, const Item& b) { return a.place < b.place; });
        // Finished meanwhile: the finished row, which stands first, counts.
        out.erase(std::unique(out.begin(), out.end(),
                              [](const Item& a, const Item& b) { return a.place == b.place; }),
                  out.end());
        return out;
    }

    static constexpr int kCameras = 5;

  private:
    std::optional<WallTime> resolve(const journal::Stamp& stamp) const {
        if (stamp.quality != ClockQuality::unsynchronised) return stamp.utc;
        const auto it = boots_.find(stamp.boot);
        if (it == boots_.end()) return std::nullopt;
        return WallTime{stamp.at.us + it->second.count()};
    }

    std::vector<clip::ClipSummary> clips_, garbage_;  // finished; marked for deletion
    std::vector<store::ClipRow> open_;
    std::map<BootId, Micros> boots_;
    std::map<std::pair<CameraId, WallTime>, store::GapRow> gaps_;
    std::map<std::tuple<CameraId, BootId, std::int64_t>, store::GapRecord> pending_gaps_;
    mutable std::vector<store::ClipRow> rows_;
    mutable bool dirty_ = false;
};

}  // namespace hd::test
