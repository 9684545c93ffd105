// Days of a camera, and what the index says of them: clips and gaps tile the time there too.
#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "index/store/rebuild.hpp"
#include "tests/pipelines/camera_days.hpp"
#include "tests/pipelines/camera_fate.hpp"

using namespace hd;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

struct Stretch {
    WallTime begin;
    std::optional<WallTime> end;
    std::string what;
};

class Index {
  public:
    explicit Index(CameraDays& days) : days_(days) {
        store::OpenReport report;
        auto opened = store::Store::open(folder_.path("index"), {}, {0}, report);
        REQUIRE(opened.ok());
        store_ = std::move(*opened);
    }
    // As the daemon does now and then. On a machine without power nothing is read.
    void look() { (void)store::reconcile(*store_, days_.fs, folders_); }
    void rebuild() {
        store::Rebuild work(*store_, days_.fs, folders_);
        for (bool done = false; !done;) {
            auto step = work.step();
            REQUIRE(step.ok());
            done = step->done;
        }
    }
    // Clips and gaps, a page of seven at a time, in the order of their begin.
    std::vector<Stretch> stretches(TimeSpan window = {{0}, {4'000'000'000'000'000}}) const {
        std::vector<Stretch> out;
        store::WindowQuery query{.window = window, .limit = 7};
        query.with_gaps = true;
        do {
            const auto page = store_->window(query);
            REQUIRE(page.ok());
            for (const auto& clip : page->clips) out.push_back({clip.begin, clip.end, "clip"});
            for (const auto& gap : page->gaps)
                out.push_back({gap.begin, gap.end, std::string(journal::to_string(gap.cause))});
            query.cursor = page->next_cursor;
        } while (!query.cursor.empty());
        std::ranges::stable_sort(out, [](const Stretch& a, const Stretch& b) {
            if (a.begin != b.begin) return a.begin < b.begin;
            return a.end && (!b.end || *a.end < *b.end);
        });
        return out;
    }
    std::vector<std::string> findings() const {
        store::Check work(*store_, days_.fs, folders_, {.level = store::CheckLevel::size});
        for (bool done = false; !done;) {
            const auto step = work.step();
            REQUIRE(step.ok());
            done = step->done;
        }
        std::vector<std::string> out;
        for (const store::Finding& f : work.findings())
            if (f.kind != store::FindingKind::unfinished &&
                f.kind != store::FindingKind::journal_damage)
                out.push_back(std::string(to_string(f.kind)) + " " + f.path + ": " + f.what);
        return out;
    }

  private:
    CameraDays& days_;
    TempFolder folder_;
    store::DataFolders folders_{days_.data() + "/clips", days_.data() + "/journal"};
    std::unique_ptr<store::Store> store_;
};

std::string text_of(const Stretch& s) {
    return fmt::format("{} from {} to {}", s.what, s.begin.us,
                       s.end ? std::to_string(s.end->us) : "now");
}

// Nothing if each stretch ends where the next one begins, as without a step of the clock.
std::string untiled(const std::vector<Stretch>& all) {
    if (all.empty()) return "nothing at all";
    for (std::size_t i = 0; i + 1 < all.size(); ++i)
        if (all[i].end != all[i + 1].begin)
            return fmt::format("{}, then {}", text_of(all[i]), text_of(all[i + 1]));
    return "";
}

// Where a tile lies in UTC. A clock that was set back by more than it lasted would end it before it
// began: then it is as long as it was, or an instant if a boot lies between and nobody knows.
Stretch place_of(const Tile& t) {
    Stretch s{t.begin.utc, {}, t.cause ? std::string(journal::to_string(*t.cause)) : "clip"};
    if (!t.end) return s;
    s.end = t.end->utc;
    if (*s.end >= s.begin) return s;
    s.end = s.begin;
    if (t.end->boot == t.begin.boot) s.end = s.begin + (t.end->at - t.begin.at);
    return s;
}

// Nothing if whoever asks for the time of a tile finds it: the clip itself, or gaps all through.
// Of gaps that begin at one microsecond, which these round times make likely, the last counts.
std::string missing(const std::vector<Stretch>& all, const std::vector<Tile>& tiles) {
    for (auto at = tiles.begin(); at != tiles.end(); ++at) {
        const Tile& t = *at;
        const Stretch s = place_of(t);
        const bool replaced = t.cause && std::any_of(at + 1, tiles.end(), [&](const Tile& later) {
                                  return later.cause && later.begin.utc == s.begin;
                              });
        if (replaced) continue;
        WallTime until = s.begin;
        bool open = false, found = false;
        for (const Stretch& a : all) {
            if ((a.what == "clip") != !t.cause) continue;
            if (!t.cause)
                found = found || (a.begin == s.begin && a.end == s.end);
            else if (a.begin <= until && !a.end)
                open = true;
            else if (a.begin <= until)
                until = std::max(until, *a.end);
        }
        if (!t.cause ? found : open || (s.end && until >= *s.end)) continue;
        return fmt::format("{}, found until {}", text_of(s), until.us);
    }
    return "";
}

// Nothing if each moment's answer is what the list of all says of it.
std::string hidden(const Index& index, const std::vector<Stretch>& all) {
    for (const Stretch& s : all) {
        const WallTime at = s.end ? s.begin + (*s.end - s.begin) / 2 : s.begin + Micros(1);
        std::vector<Stretch> there;
        for (const Stretch& other : all)
            if (other.begin <= at && (!other.end || *other.end > at || other.begin == at))
                there.push_back(other);
        if (!std::ranges::equal(there, index.stretches({at, at + Micros(1)}), {}, text_of, text_of))
            return text_of(s);
    }
    return "";
}

// What the index says after a life with looks at the disk in between, and what a new one says.
void judge(std::uint64_t seed, bool clock_steps) {
    CAPTURE(seed);
    CAPTURE(clock_steps);
    CameraDays days;
    Index kept(days);
    live_through(days, {.seed = seed, .clock_steps = clock_steps, .clock_known = true, .look = [&] {
                            kept.look();
                        }});
    REQUIRE(days.untiled() == "");
    const auto all = kept.stretches();
    CHECK(missing(all, days.tiles()) == "");
    CHECK(hidden(kept, all) == "");
    if (!clock_steps) CHECK(untiled(all) == "");
    // None is missing: a cause that lasted no time has given its place to the next.
    const auto lasts = [](const auto& s) { return !s.end || s.begin != s.end; };
    if (!clock_steps)
        CHECK(std::ranges::count_if(all, lasts) == std::ranges::count_if(days.tiles(), lasts));
    CHECK_MESSAGE(kept.findings().empty(), kept.findings().front());
    Index again(days);
    again.rebuild();
    CHECK(std::ranges::equal(all, again.stretches(), {}, text_of, text_of));
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/days");

TEST_CASE("random histories tile in the index's answers too, followed or read anew") {
    const auto [first, count] = seeds_to_live(5);
    for (std::uint64_t seed = first; seed < first + count; ++seed) judge(seed, seed % 2 == 0);
}

TEST_SUITE_END();
