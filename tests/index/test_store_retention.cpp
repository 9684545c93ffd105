// Properties of the retention planner over random hubs; seeds are printed on failure.
#include <map>

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
}
