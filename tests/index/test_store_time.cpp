// Gaps where clocks are wrong, clips of another hub, and a disk that fills up during a rebuild.
#include <doctest/doctest.h>

#include "index/clip/clip_reader.hpp"
#include "tests/index/clip_samples.hpp"
#include "tests/index/store_hub.hpp"

using namespace hd;
using namespace hd::test;
using journal::GapBegan;
using journal::GapCause;
using journal::GapEnded;

namespace {

BootId boot_number(std::uint8_t n) {
    BootId out;
    out.bytes.fill(n);
    return out;
}

// `utc` in seconds after kEpoch; none: the clock was not set.
journal::Stamp stamp(std::uint8_t boot, std::int64_t at, std::optional<std::int64_t> utc) {
    journal::Stamp out{.boot = boot_number(boot), .at = {at * kSecond}, .utc = {at * kSecond}};
    if (!utc) return out;
    out.utc = kEpoch + Micros(*utc * kSecond);
    out.quality = ClockQuality::synchronised;
    return out;
}

WallTime after(std::int64_t second) { return kEpoch + Micros(second * kSecond); }

std::vector<GapRow> follow(Hub& hub) {
    REQUIRE(follow_journal(*hub.index, hub.fs, hub.folders, camera_number(0)).ok());
    CHECK(hub.check(CheckLevel::presence).empty());
    return hub.everything().gaps;
}

// The index made again from the journal says the same.
void check_rebuilt(Hub& hub) {
    const auto gaps = hub.everything().gaps;
    hub.lose_index();
    hub.rebuild();
    CHECK(hub.everything().gaps == gaps);
    CHECK(hub.check(CheckLevel::presence).empty());
}

clip::ClipSummary record_of(Hub& hub, const HubId& of, std::uint8_t number) {
    clip::ClipHeader header = sample_header();
    header.hub = of;
    header.clip.bytes.fill(number);
    header.utc_begin = kMidnight + Micros(number * 61 * kSecond);
    auto writer = clip::ClipWriter::begin(hub.fs, hub.folders.clips, header);
    REQUIRE(writer.ok());
    for (std::uint32_t i = 0; i < 2; ++i)
        REQUIRE(writer->append_piece(sample_identity(header, i), sample_age_file(i)).ok());
    auto summary = writer->finish(clip::EndReason::target, "");
    REQUIRE(summary.ok());
    return *summary;
}

}  // namespace

TEST_SUITE("index/store/time") {
    TEST_CASE("a gap is as long as it was, however far the clock is set back in it") {
        Hub hub;
        hub.journal_record(0, GapBegan{stamp(1, 100, 10'000), GapCause::stalled, ""});
        hub.journal_record(0, GapEnded{stamp(1, 140, 6440)});
        const auto gaps = follow(hub);
        REQUIRE(gaps.size() == 1);
        CHECK(gaps[0].begin == after(10'000));
        CHECK(gaps[0].end == after(10'040));
        check_rebuilt(hub);
    }

    TEST_CASE("causes of one gap end where the next begins, in whatever order they were written") {
        Hub hub;
        hub.journal_record(0, GapBegan{stamp(1, 110, 110), GapCause::unreachable, ""});
        hub.journal_record(0, GapBegan{stamp(1, 105, 105), GapCause::restart, ""});
        auto gaps = follow(hub);
        REQUIRE(gaps.size() == 2);
        CHECK(gaps[0].end == after(110));
        CHECK_FALSE(gaps[1].end.has_value());
        hub.journal_record(0, GapEnded{stamp(1, 130, 130)});
        gaps = follow(hub);
        REQUIRE(gaps.size() == 2);
        CHECK(gaps[0].cause == GapCause::restart);
        CHECK(gaps[0].end == after(110));
        CHECK(gaps[1].end == after(130));
        check_rebuilt(hub);
    }

    TEST_CASE("a gap into a boot that never knew the time ends with the one that leads out of it") {
        Hub hub;
        hub.journal_record(0, GapBegan{stamp(1, 100, 1000), GapCause::closed, ""});
        hub.journal_record(0, GapEnded{stamp(2, 50, std::nullopt)});
        REQUIRE(follow(hub).size() == 1);
        CHECK_FALSE(follow(hub)[0].end.has_value());  // nobody knows yet
        hub.journal_record(0, GapBegan{stamp(2, 80, std::nullopt), GapCause::restart, ""});
        hub.journal_record(0, GapEnded{stamp(3, 30, 5000)});
        const auto gaps = follow(hub);
        REQUIRE(gaps.size() == 1);
        CHECK(gaps[0].end == after(5000));
        check_rebuilt(hub);
        // The boot's time becomes known: both gaps are exact, and the clips between them have room.
        REQUIRE(
            hub.index->set_boot_offset(boot_number(2), Micros(kEpoch.us + 3000 * kSecond)).ok());
        const auto exact = hub.everything().gaps;
        REQUIRE(exact.size() == 2);
        CHECK(exact[0].end == after(3050));
        CHECK(exact[1].begin == after(3080));
        CHECK(exact[1].end == after(5000));
        CHECK(hub.check(CheckLevel::presence).empty());
    }

    TEST_CASE("where the clock was set back gaps overlap, and each is found all through") {
        Hub hub;
        const auto began = [&](std::int64_t at, std::int64_t utc, GapCause cause) {
            hub.journal_record(0, GapBegan{stamp(1, at, utc), cause, ""});
            follow(hub);
        };
        const auto ended = [&](std::int64_t at, std::int64_t utc) {
            hub.journal_record(0, GapEnded{stamp(1, at, utc)});
            follow(hub);
        };
        const auto causes = [&](std::int64_t from, std::int64_t to) {
            std::vector<GapCause> out;
            GapQuery query{.window = {after(from), after(to)}, .limit = 1};
            for (;;) {
                const auto page = hub.index->gaps(query);
                REQUIRE(page.ok());
                for (const GapRow& gap : page->gaps)
                    if (gap.begin >= query.window.begin || query.window.begin == after(from))
                        out.push_back(gap.cause);
                if (!page->until) break;
                query.window.begin = *page->until;
            }
            WindowQuery both{.window = {after(from), after(to)}, .limit = 1};
            both.with_gaps = true;
            std::vector<GapCause> paged;
            do {
                const auto page = hub.index->window(both);
                REQUIRE(page.ok());
                for (const GapRow& gap : page->gaps) paged.push_back(gap.cause);
                both.cursor = page->next_cursor;
            } while (!both.cursor.empty());
            CHECK(paged == out);
            return out;
        };
        began(100, 3000, GapCause::stalled);
        ended(1900, 4800);
        began(1950, 4850, GapCause::closed);
        ended(1960, 4860);
        // An hour back: another inside of the first one's time, a third before all of them.
        began(2000, 3600, GapCause::refused);
        REQUIRE(hub.index->open_gap(camera_number(0))->has_value());
        CHECK(hub.index->open_gap(camera_number(0))->value().begin == after(3600));
        ended(2100, 3700);
        CHECK_FALSE(hub.index->open_gap(camera_number(0))->has_value());
        CHECK(causes(4000, 4700) == std::vector{GapCause::stalled});
        CHECK(causes(3650, 3700) == std::vector{GapCause::stalled, GapCause::refused});
        CHECK(causes(4700, 4855) == std::vector{GapCause::stalled, GapCause::closed});
        CHECK(causes(4800, 4850).empty());
        began(2200, 2900, GapCause::unreachable);
        CHECK(hub.index->open_gap(camera_number(0))->value().begin == after(2900));
        CHECK(causes(4820, 4830) == std::vector{GapCause::unreachable});
        CHECK(causes(9000, 9001) == std::vector{GapCause::unreachable});
        check_rebuilt(hub);
        ended(2800, 3500);
        CHECK(causes(3550, 3560) == std::vector{GapCause::stalled});
        CHECK(causes(4820, 4830).empty());
        check_rebuilt(hub);
    }

    TEST_CASE("a cause that lasted no time takes nothing from the one that goes on") {
        Hub hub;
        hub.journal_record(0, GapBegan{stamp(1, 100, 100), GapCause::stalled, ""});
        follow(hub);
        hub.journal_record(0, GapBegan{stamp(1, 100, 100), GapCause::disabled, ""});
        auto gaps = follow(hub);
        REQUIRE(gaps.size() == 1);
        CHECK(gaps[0].cause == GapCause::disabled);
        CHECK_FALSE(gaps[0].end.has_value());
        check_rebuilt(hub);
    }

    TEST_CASE("a journal whose end the power took is read from its start again") {
        Hub hub;
        const std::string path = join(hub.folders.journal, to_string(camera_number(0)) + ".log");
        const auto told = [&](std::int64_t at) {
            hub.journal_record(0, GapBegan{stamp(1, at, at), GapCause::stalled, ""});
            hub.journal_record(0, GapEnded{stamp(1, at + 10, at + 10)});
        };
        told(100);
        const auto durable = hub.fs.size(path);
        REQUIRE(durable.ok());
        told(200);
        told(300);
        REQUIRE(follow(hub).size() == 3);
        REQUIRE(hub.fs.truncate(path, *durable).ok());
        told(400);
        REQUIRE(follow_journal(*hub.index, hub.fs, hub.folders, camera_number(0)).ok());
        const auto gaps = hub.everything().gaps;
        REQUIRE(gaps.size() == 4);  // what it no longer tells only the index knows
        CHECK(gaps[3].begin == after(400));
        CHECK(gaps[3].end == after(410));
    }

    TEST_CASE("check tells clips of another hub, and repair leaves them alone") {
        Hub hub;
        HubId own, other;
        own.bytes.fill(1);
        other.bytes.fill(2);
        record_of(hub, own, 1);
        const auto foreign = record_of(hub, other, 2);
        record_of(hub, {}, 3);  // by a recorder that was run by hand
        hub.rebuild();
        for (const bool repair : {false, true})
            for (const CheckLevel level : {CheckLevel::size, CheckLevel::hash}) {
                Check work(*hub.index, hub.fs, hub.folders,
                           {.level = level, .repair = repair, .mend_files = repair, .hub = own});
                REQUIRE(work.step(100).ok());
                REQUIRE(work.findings().size() == 1);
                CHECK(work.findings()[0].kind == FindingKind::other_hub);
                CHECK(work.findings()[0].what == "recorded by the hub " + to_string(other));
                CHECK_FALSE(work.findings()[0].repaired);
            }
        CHECK(hub.fs.exists(hub.path_of(foreign)));
        CHECK(hub.everything().clips.size() == 3);
    }

    TEST_CASE("before a rebuild has come to them the oldest clips are known by the disk") {
        Hub hub;
        const auto clips = hub.record_days(2, 3, 8);
        Rebuild work(*hub.index, hub.fs, hub.folders);
        REQUIRE(work.step(16).ok());  // the newest day of both
        REQUIRE(hub.everything().clips.size() == 16);
        const auto none = [](const ClipRow&) { return false; };
        auto until = put_oldest(*hub.index, hub.fs, hub.folders, 6, none);
        REQUIRE(until.ok());
        auto rows = hub.everything().clips;
        REQUIRE(rows.size() == 22);
        // Both cameras', and nothing older is missing.
        CHECK(rows[5].begin < *until);
        CHECK(rows[6].begin >= *until);
        CHECK(rows[4].begin == rows[5].begin);
        CHECK(rows[4].camera != rows[5].camera);
        // Held ones are passed over; marked ones do not come back.
        const auto held = [&](const ClipRow& row) { return row.begin < *until; };
        const clip::ClipName first = clip_name(rows[0]);
        REQUIRE(*hub.index->mark_garbage({&first, 1}) == 1);
        REQUIRE(put_oldest(*hub.index, hub.fs, hub.folders, 2, held).ok());
        CHECK(hub.everything().clips.size() == 23);
        // Deleted under the rebuild's hands: no finding.
        REQUIRE(*sweep_garbage(*hub.index, hub.fs, hub.folders, 10) == 1);
        for (bool done = false; !done;) {
            const auto step = work.step(5);
            REQUIRE(step.ok());
            done = step->done;
        }
        CHECK(work.findings().empty());
        CHECK(hub.everything().clips.size() == clips.size() - 1);
        // With all of them there is no limit.
        until = put_oldest(*hub.index, hub.fs, hub.folders, 1000, none);
        REQUIRE(until.ok());
        CHECK(*until > rows.back().begin);
    }
}
