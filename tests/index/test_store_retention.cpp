// Properties of the retention planner over random hubs; seeds are printed on failure.
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "index/store/retention.hpp"
#include "tests/index/store_model.hpp"

using namespace hd;
using namespace hd::test;
using namespace hd::store;

namespace {

struct Disk {
    std::map<CameraId, std::vector<ClipRow>> clips;  // oldest first

    void add(int camera, WallTime begin, std::uint64_t size) {
        clips[camera_number(camera)].push_back({.camera = camera_number(camera),
                                                .begin = begin,
                                                .end = begin + Micros(60 * kSecond),
                                                .name_time = begin,
                                                .size_bytes = size});
    }
    std::uint64_t bytes(const CameraId& id) const {
        std::uint64_t sum = 0;
        for (const auto& c : clips.at(id)) sum += c.size_bytes;
        return sum;
    }
    RetentionInput input(const CameraLimits& limits) const {
        RetentionInput in;
        for (const auto& [id, rows] : clips) {
            RetentionCamera camera{.camera = id, .limits = limits};
            camera.totals.camera = id;
            camera.totals.clips = rows.size();
            camera.totals.bytes = bytes(id);
            if (!rows.empty()) {
                camera.totals.first = rows.front().begin;
                camera.totals.last = rows.back().end;
            }
            camera.next_oldest = [&list = rows, at = std::size_t{0}]() mutable {
                return at < list.size() ? std::optional(list[at++]) : std::nullopt;
            };
            in.cameras.push_back(std::move(camera));
        }
        in.now = kEpoch;
        in.now_quality = ClockQuality::synchronised;
        return in;
    }
    void apply(const RetentionPlan& plan) {
        for (const Deletion& d : plan.deletions)
            std::erase_if(clips[d.clip.camera], [&](const ClipRow& r) { return r == d.clip; });
    }
};

Disk random_disk(std::mt19937_64& rng) {
    Disk disk;
    for (int c = 0; c < 3; ++c) {
        const auto n = 20 + rng() % 200;
        for (std::uint64_t i = 0; i < n; ++i)
            disk.add(c, kEpoch - Micros(static_cast<std::int64_t>((n - i) * 3600) * kSecond),
                     1 + rng() % 1000);
    }
    return disk;
}

}  // namespace

TEST_SUITE("index/store/retention") {
    TEST_CASE("passes end with every size within its limit, oldest first, holds alive") {
        for (std::uint64_t seed = 1; seed <= 300; ++seed) {
            CAPTURE(seed);
            std::mt19937_64 rng(seed);
            Disk disk = random_disk(rng);
            CameraLimits limits{.max_bytes = 2000 + rng() % 40'000};
            limits.keep_clips = static_cast<std::uint32_t>(rng() % 12);
            if (rng() % 2)
                limits.max_age =
                    Micros(static_cast<std::int64_t>((1 + rng() % 200) * 3600) * kSecond);
            const std::uint64_t total = 5000 + rng() % 60'000;
            const TimeSpan hold{kEpoch - Micros(100ll * 3600 * kSecond),
                                kEpoch - Micros(95ll * 3600 * kSecond)};
            const auto before = disk.clips;
            std::uint64_t lag = 1;
            for (int pass = 0; pass < 200; ++pass) {
                auto in = disk.input(limits);
                in.max_total_bytes = total;
                in.holds = {hold};
                in.max_delete = 25;
                const auto plan = plan_retention(in);
                REQUIRE(plan.deletions.size() <= 25);
                std::map<CameraId, WallTime> last;
                for (const Deletion& d : plan.deletions) {
                    REQUIRE(!hold.overlaps(d.clip.span()));
                    REQUIRE(last[d.clip.camera] <= d.clip.begin);
                    last[d.clip.camera] = d.clip.begin;
                    if (d.why == DeleteReason::camera_age)
                        REQUIRE(kEpoch - d.clip.end > *limits.max_age);
                }
                disk.apply(plan);
                lag = plan.lag_bytes;
                if (plan.deletions.empty()) break;
            }
            std::uint64_t sum = 0;
            bool only_untouchable = true;
            for (const auto& [id, rows] : disk.clips) {
                sum += disk.bytes(id);
                std::size_t held = 0;
                for (const auto& r : rows) held += hold.overlaps(r.span());
                if (rows.size() > limits.keep_clips + held) {
                    only_untouchable = false;
                    REQUIRE(disk.bytes(id) <= *limits.max_bytes);
                }
                REQUIRE(rows.size() >=
                        std::min<std::size_t>(limits.keep_clips, before.at(id).size()));
            }
            if (!only_untouchable && lag == 0) REQUIRE(sum <= total);
        }
    }

    TEST_CASE("a clock that is not set, or runs ahead, never empties the disk in one pass") {
        std::mt19937_64 rng(5);
        const Disk disk = random_disk(rng);
        const CameraLimits limits{.max_age = Micros(86'400 * kSecond)};
        auto in = disk.input(limits);
        in.now = kEpoch + Micros(40ll * 365 * 86'400 * kSecond);
        in.now_quality = ClockQuality::unsynchronised;
        auto plan = plan_retention(in);
        CHECK(plan.deletions.empty());
        CHECK(plan.age_ignored);

        in = disk.input(limits);
        in.now = kEpoch - Micros(40ll * 365 * 86'400 * kSecond);
        CHECK(plan_retention(in).age_ignored);

        in = disk.input(limits);  // wrong, but says that it is right: a quarter at most
        in.now = kEpoch + Micros(40ll * 365 * 86'400 * kSecond);
        plan = plan_retention(in);
        std::map<CameraId, std::size_t> dead;
        for (const Deletion& d : plan.deletions) ++dead[d.clip.camera];
        for (const auto& [id, n] : dead) CHECK(n <= disk.clips.at(id).size() / 4);
        CHECK(plan.lag_clips > 0);
    }

    TEST_CASE("free space is made from the oldest clips of all cameras, garbage counted once") {
        Disk disk;
        for (int i = 0; i < 100; ++i)
            disk.add(i % 2, kEpoch - Micros((200 - i) * 3600ll * kSecond), 10);
        auto in = disk.input({.keep_clips = 3});
        in.free_bytes = 100;
        in.reserve_bytes = 145;
        auto plan = plan_retention(in);
        REQUIRE(plan.deletions.size() == 5);
        for (std::size_t i = 0; i < 5; ++i) {
            CHECK(plan.deletions[i].why == DeleteReason::free_space);
            CHECK(plan.deletions[i].clip.begin ==
                  kEpoch - Micros(static_cast<std::int64_t>(200 - i) * 3600 * kSecond));
        }
        in = disk.input({.keep_clips = 3});
        in.free_bytes = 100;
        in.reserve_bytes = 145;
        in.cameras[0].totals.garbage_bytes = 45;
        CHECK(plan_retention(in).deletions.empty());
        in = disk.input({.keep_clips = 3});
        in.reserve_bytes = 1'000'000;
        plan = plan_retention(in);
        CHECK(plan.deletions.size() == 94);  // three of each stay
        CHECK(plan.lag_bytes > 0);
    }

    TEST_CASE("whatever is asked: order, holds, age and the newest clips are respected") {
        for (std::uint64_t seed = 1; seed <= 400; ++seed) {
            CAPTURE(seed);
            std::mt19937_64 rng(seed);
            Disk disk = random_disk(rng);
            // A burst: many clips of one camera within seconds.
            for (std::uint64_t i = rng() % 300; i > 0; --i)
                disk.add(1, kEpoch - Micros(static_cast<std::int64_t>(i) * kSecond), 1000);
            CameraLimits limits;
            limits.keep_clips = static_cast<std::uint32_t>(rng() % 20);
            if (rng() % 2) limits.max_bytes = rng() % 60'000;
            if (rng() % 2)
                limits.max_age = Micros(static_cast<std::int64_t>(rng() % 300) * 3600 * kSecond);
            auto in = disk.input(limits);
            if (rng() % 2) in.max_total_bytes = rng() % 100'000;
            in.free_bytes = rng() % 100'000;
            in.reserve_bytes = rng() % 100'000;
            in.max_delete = static_cast<std::uint32_t>(1 + rng() % 400);
            // Years off in either direction, and sometimes sure of it.
            if (rng() % 3 == 0)
                in.now.us += (rng() % 2 ? 1 : -1) * static_cast<std::int64_t>(rng() % 900) *
                             86'400 * kSecond;
            if (rng() % 3 == 0) in.now_quality = ClockQuality::unsynchronised;
            std::set<WallTime> live;  // clips of live releases
            for (const auto& [id, rows] : disk.clips) live.insert(rows[rng() % rows.size()].begin);
            in.held = [&](const ClipRow& r) { return live.contains(r.begin); };
            const auto plan = plan_retention(in);

            REQUIRE(plan.deletions.size() <= in.max_delete);
            std::map<CameraId, std::vector<ClipRow>> dead;
            std::uint64_t bytes = 0;
            for (const Deletion& d : plan.deletions) {
                dead[d.clip.camera].push_back(d.clip);
                bytes += d.clip.size_bytes;
                REQUIRE(!live.contains(d.clip.begin));
                if (d.why == DeleteReason::camera_age) {
                    REQUIRE(in.now_quality != ClockQuality::unsynchronised);
                    // A clock that is years ahead makes nothing older than the newest clip does.
                    REQUIRE(kEpoch + Micros(3600 * kSecond) - d.clip.end > *limits.max_age);
                }
                if (d.why == DeleteReason::free_space) REQUIRE(in.free_bytes < in.reserve_bytes);
            }
            REQUIRE(bytes == plan.bytes);
            for (const auto& [id, rows] : disk.clips) {
                // The dead are the oldest that may die, none passed over.
                std::vector<ClipRow> may;
                for (std::size_t i = 0; i + limits.keep_clips < rows.size(); ++i)
                    if (!live.contains(rows[i].begin)) may.push_back(rows[i]);
                REQUIRE(dead[id].size() <= may.size());
                may.resize(dead[id].size());
                REQUIRE(dead[id] == may);
            }
            // What is left is owed, and said.
            disk.apply(plan);
            std::uint64_t over = 0, sum = 0;
            for (const auto& [id, rows] : disk.clips) {
                sum += disk.bytes(id);
                if (limits.max_bytes && disk.bytes(id) > *limits.max_bytes)
                    over += disk.bytes(id) - *limits.max_bytes;
            }
            if (in.max_total_bytes && sum > *in.max_total_bytes)
                over = std::max(over, sum - *in.max_total_bytes);
            REQUIRE(plan.lag_bytes >= over);
            REQUIRE(plan.below_reserve == (in.free_bytes < in.reserve_bytes));
        }
    }

    TEST_CASE(
        "a hub that was off is not emptied by its clock, and goes on deleting once it records") {
        Disk disk;
        for (int i = 0; i < 200; ++i)
            disk.add(0, kEpoch - Micros((200 - i) * 3600ll * kSecond), 10);
        const CameraLimits limits{.max_age = Micros(300ll * 3600 * kSecond)};
        auto in = disk.input(limits);
        in.now = kEpoch + Micros(5ll * 365 * 86'400 * kSecond);
        CHECK(plan_retention(in).deletions.empty());
        disk.add(0, in.now - Micros(60 * kSecond), 10);
        auto later = disk.input(limits);
        later.now = in.now;
        const auto plan = plan_retention(later);
        CHECK(!plan.deletions.empty());
        CHECK(plan.lag_clips == 1);
        CHECK(plan.lag_age > Micros(4ll * 365 * 86'400 * kSecond));
    }

    TEST_CASE(
        "files are unlinked at a rate, without a burst after a rest, faster below the reserve") {
        CHECK(sweep_allowance(Micros(kSecond), 20, false) == 20);
        CHECK(sweep_allowance(Micros(kSecond / 2), 20, false) == 10);
        CHECK(sweep_allowance(Micros(3600 * kSecond), 20, false) == 20);
        CHECK(sweep_allowance(Micros(kSecond), 20, true) == 200);
        CHECK(sweep_allowance(Micros(0), 1000, true) == 0);
        CHECK(sweep_allowance(Micros(-kSecond), 20, false) == 0);
    }
}
