#include "tests/pipelines/camera_fate.hpp"

#include <cstdlib>
#include <cstring>

#include "tests/support/seeded_random.hpp"

using namespace std::chrono_literals;

namespace hd::test {
namespace {

// Something that happens to a hub in its life.
void happen(CameraDays& days, std::mt19937_64& random, const Fate& fate) {
    const auto below = [&](std::uint64_t n) { return random() % n; };
    const auto some_cut = [&] { return static_cast<Cut>(below(4)); };
    switch (below(22)) {
        case 0:
            return days.set_mood(Mood::off);
        case 1:
            return days.set_mood(Mood::refuses);
        case 2:
            return days.set_mood(Mood::silent);
        case 3:
            return days.hang_up();
        case 4:
            return days.recorder_dies();
        case 5:
            return days.daemon_dies();
        case 6:
            return days.crash(std::nullopt);
        case 7:
            return days.crash(some_cut());
        case 8:
            days.fs.set_capacity(0);  // less than there is: nothing fits
            days.live(Micros(static_cast<std::int64_t>(below(40'000'000))));
            return days.fs.set_capacity(std::nullopt);
        case 9:
            // One operation fails: which one, chance says.
            if (days.recorder_lives())
                days.fs.fail_at(days.fs.operations() + below(12),
                                Error{ErrorCode::unavailable, "I/O error"});
            return days.live(2s);
        case 10:
            if (!fate.clock_steps) return;
            return days.clock.step_wall(
                Micros(static_cast<std::int64_t>(below(7200)) * 1'000'000 - 3600'000'000));
        case 11:
            days.enable(false);
            days.live(20s);
            return days.enable(true);
        case 12:  // The machine, or its processes, die in the middle of something.
        case 13: {
            days.fs.cut_power_at(days.fs.operations() + below(30));
            days.live(5s);
            return days.crash(below(2) ? std::optional(some_cut()) : std::nullopt);
        }
        case 14:
            days.settings.policy_number += 1;
            days.daemon_speaks(link::NewSettings{days.settings});
            return;
        case 15:  // Too slow a machine, or disk: what comes meanwhile finds no room.
            days.recorder_sleeps(true);
            days.live(Micros(static_cast<std::int64_t>(below(25'000'000))));
            return days.recorder_sleeps(false);
        case 16:
            return days.set_mood(Mood::encoder_fails);
        case 17:
            days.set_mood(Mood::hangs);
            return days.live(Micros(static_cast<std::int64_t>(below(8'000'000))));
        case 18:
            if (days.recorder_lives()) days.daemon_is_of_another_release();
            return;
        case 19:
            if (fate.clock_known) return;
            return days.crash(some_cut(), ClockQuality::unsynchronised);
        case 20:
            return days.clock.set_quality(ClockQuality::synchronised);
        default:
            return days.set_mood(Mood::well);
    }
}

}  // namespace

Seeds seeds_to_live(std::uint64_t usual) {
    Seeds seeds{1, usual};
    if (const char* text = std::getenv("HALFDOOR_SEEDS")) {
        seeds.first = std::strtoull(text, nullptr, 10);
        if (const char* comma = std::strchr(text, ','))
            seeds.count = std::strtoull(comma + 1, nullptr, 10);
    }
    return seeds;
}

void live_through(CameraDays& days, const Fate& fate) {
    std::mt19937_64 random(fate.seed);
    seed_random(fate.seed);
    days.settings.clip_target = 20s;
    days.settings.buffer_bytes = 1000;  // ten pictures
    // Few cameras send a key frame every ten pictures, and some none that they are not asked for.
    constexpr int kKeyEvery[] = {1, 4, 10, 10, 60, 1'000'000};
    days.key_every = kKeyEvery[fate.seed % std::size(kKeyEvery)];
    days.begins_with_key = fate.seed % 7 != 0;
    days.daemon_starts();
    for (int i = 0; i < 40; ++i) {
        if (random() % 2) days.set_mood(Mood::well);
        days.live(Micros(static_cast<std::int64_t>(random() % 45'000'000)));
        happen(days, random, fate);
        // Mostly somebody starts the hub again.
        if (random() % 4) days.daemon_starts();
        fate.look();
    }
    days.set_mood(Mood::well);
    days.daemon_starts();
    days.live(60s);
    days.stop();
    fate.look();
}

}  // namespace hd::test
