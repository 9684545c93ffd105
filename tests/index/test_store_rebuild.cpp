// Rebuild, reconcile, check and sweep on real folders of small clip files.
#include <map>

#include <doctest/doctest.h>

#include "tests/index/store_hub.hpp"

using namespace hd;
using namespace hd::test;
using namespace hd::store;

namespace {

bool same_answer(const WindowAnswer& a, const WindowAnswer& b) {
    return a.clips == b.clips && a.gaps == b.gaps && a.next_cursor == b.next_cursor &&
           a.complete_from == b.complete_from;
}

}  // namespace

TEST_SUITE("index/store/rebuild") {
    TEST_CASE("after the index is deleted and rebuilt every answer is as before") {
        Hub hub;
        const BootId dark = random_id<BootId>();
        const auto clips = hub.record_days(3, 3, 24);
        REQUIRE(hub.index->put_clips(clips, Durability::synced).ok());
        // A clip from before the clock was set, named in 1970, and a gap in the same boot.
        auto early = make_clip(1, {5 * kSecond}, Micros(60 * kSecond));
        early.quality = ClockQuality::unsynchronised;
        early.boot = dark;
        early.pieces = early.frames = 0;
        early.boot_begin = {5 * kSecond};
        early.boot_end = {65 * kSecond};
        early = hub.record(early);
        REQUIRE(hub.index->put_clip(early).ok());
        CHECK(hub.index->totals(camera_number(1)).pending_clips == 1);
        const journal::Stamp dark_stamp{.boot = dark, .at = {70 * kSecond}, .utc = {70 * kSecond}};
        hub.journal_record(1, journal::GapBegan{dark_stamp, journal::GapCause::stalled, ""});
        REQUIRE(
            hub.index
                ->put_gap({camera_number(1), dark_stamp, std::nullopt, journal::GapCause::stalled})
                .ok());
        hub.journal_record(1, journal::GapEnded{Hub::at(9000)});
        REQUIRE(hub.index->close_gap(camera_number(1), Hub::at(9000)).ok());
        CHECK(hub.everything().gaps.empty());
        // The clock is set: offset known.
        const Micros offset(kEpoch.us + 7200 * kSecond);
        hub.append("clock.log", "clock",
                   journal::encode(journal::ClockRecord{{.boot = dark,
                                                         .at = {100 * kSecond},
                                                         .utc = {100 * kSecond + offset.count()},
                                                         .quality = ClockQuality::synchronised},
                                                        0}));
        REQUIRE(hub.index->set_boot_offset(dark, offset).ok());
        hub.journal_record(0, journal::GapBegan{Hub::at(61), journal::GapCause::unreachable, "x"});
        REQUIRE(hub.index
                    ->put_gap({camera_number(0), Hub::at(61), std::nullopt,
                               journal::GapCause::unreachable})
                    .ok());
        const WindowAnswer before = hub.everything();
        CHECK(before.clips.size() == clips.size() + 1);
        REQUIRE(before.gaps.size() == 2);

        hub.lose_index();
        CHECK(hub.everything().clips.empty());
        const WalkProgress p = hub.rebuild();
        CHECK(p.clips_put == clips.size() + 1);
        CHECK(p.findings_total == 0);
        const WindowAnswer after = hub.everything();
        CHECK(after.clips.size() == before.clips.size());
        CHECK(after.gaps.size() == before.gaps.size());
        CHECK(after.clips == before.clips);
        CHECK(after.gaps == before.gaps);
        CHECK(same_answer(before, after));
        CHECK(hub.check(CheckLevel::size).empty());
    }

    TEST_CASE("whatever notices came late, gaps are as the journal has them") {
        Hub hub;
        const DataFolders& folders = hub.folders;
        const auto follow = [&] {
            REQUIRE(follow_journal(*hub.index, real_file_system(), folders, camera_number(0)).ok());
            return hub.everything().gaps;
        };
        const auto began = [&](int at) {
            hub.journal_record(0, journal::GapBegan{Hub::at(at), journal::GapCause::stalled, ""});
        };
        const auto ended = [&](int at) { hub.journal_record(0, journal::GapEnded{Hub::at(at)}); };
        began(10);
        CHECK(follow().size() == 1);
        // Its end and another begin are found by one look, as after a daemon's death.
        ended(20);
        began(30);
        auto gaps = follow();
        REQUIRE(gaps.size() == 2);
        CHECK(gaps[0].end == Hub::at(20).utc);
        CHECK_FALSE(gaps[1].end.has_value());
        ended(40);
        gaps = follow();
        REQUIRE(gaps.size() == 2);
        CHECK(gaps[1].end == Hub::at(40).utc);
        // What was put without the journal does not take the end of an older gap for its own.
        began(50);
        REQUIRE(
            hub.index
                ->put_gap({camera_number(0), Hub::at(70), std::nullopt, journal::GapCause::stalled})
                .ok());
        ended(60);
        began(70);
        ended(80);
        gaps = follow();
        REQUIRE(gaps.size() == 4);
        CHECK(gaps[2].end == Hub::at(60).utc);
        CHECK(gaps[3].end == Hub::at(80).utc);
        CHECK(hub.check(CheckLevel::size).empty());
    }

    TEST_CASE("a rebuild answers newest first, says from when on it is complete, and resumes") {
        Hub hub;
        const auto clips = hub.record_days(2, 4, 12);
        {
            Rebuild work(*hub.index, hub.fs, hub.folders);
            REQUIRE(work.step(24 + 3).ok());  // one whole day of two cameras, and a bit
        }
        auto from = hub.index->complete_from();
        REQUIRE(from.has_value());
        CHECK(*from == kMidnight + Micros(3 * 86'400 * kSecond) + clip::kMaxClipLength);
        CHECK(hub.everything().complete_from == from);
        REQUIRE(hub.index->sync().ok());
        hub.open();
        CHECK(hub.report.rebuild_unfinished);
        CHECK(hub.index->complete_from() == from);
        const WalkProgress p = hub.rebuild();
        CHECK(p.days_total == 6);  // the finished day is not walked again
        CHECK(!hub.index->complete_from().has_value());
        CHECK(hub.everything().clips.size() == clips.size());
        hub.open();
        CHECK(!hub.report.rebuild_unfinished);
    }

    TEST_CASE("one bad clip or journal is reported and skipped") {
        Hub hub;
        const auto clips = hub.record_days(1, 2, 6);
        REQUIRE(hub.fs.truncate(hub.path_of(clips[2]), 90).ok());
        REQUIRE(hub.fs.rename(hub.path_of(clips[3]), hub.path_of(clips[3]) + "x").ok());
        auto renamed = clips[4];
        renamed.name_time = renamed.name_time + Micros(1);
        REQUIRE(hub.fs.rename(hub.path_of(clips[4]), hub.path_of(renamed)).ok());
        hub.write(hub.path_of(clips[5]) + ".part", Bytes(10, 1));
        hub.write(join(hub.folders.clips, "lost+found"), Bytes(3, 1));
        hub.write(join(hub.folders.journal, to_string(camera_number(0)) + ".log"), Bytes(50, 9));
        Rebuild work(*hub.index, hub.fs, hub.folders);
        auto p = work.step(1000);
        REQUIRE(p.ok());
        CHECK(p->done);
        CHECK(p->clips_put == clips.size() - 3);
        CHECK(work.unfinished().size() == 1);
        std::map<FindingKind, int> kinds;
        for (const Finding& f : work.findings()) ++kinds[f.kind];
        CHECK(kinds[FindingKind::unreadable_file] == 1);
        CHECK(kinds[FindingKind::wrong_name] == 1);
        CHECK(kinds[FindingKind::strange_file] == 2);
        CHECK(kinds[FindingKind::journal_damage] >= 1);
    }

    TEST_CASE("reconcile finds what was finished while the daemon was away") {
        Hub hub;
        const auto clips = hub.record_days(2, 3, 8);
        REQUIRE(hub.index->put_clips({clips.data(), clips.size() - 2}, Durability::synced).ok());
        // One long ago, known only from the journal.
        auto stray = make_clip(0, kEpoch - Micros(50ll * 86'400 * kSecond), Micros(kSecond));
        stray.pieces = stray.frames = 0;
        stray = hub.record(stray);
        hub.journal_record(0, journal::ClipClosed{.when = Hub::at(0),
                                                  .clip = {},
                                                  .run = stray.run,
                                                  .name_time = stray.name_time,
                                                  .size_bytes = stray.size_bytes});
        hub.journal_record(1, journal::GapBegan{Hub::at(5), journal::GapCause::restart, ""});
        hub.write(hub.path_of(clips.back()) + ".part", Bytes(10, 1));
        const auto marked = clip::ClipName{clips[1].camera, clips[1].name_time, clips[1].run};
        REQUIRE(*hub.index->mark_garbage({&marked, 1}) == 1);

        auto report = reconcile(*hub.index, hub.fs, hub.folders);
        REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().what));
        CHECK(report->clips_put == 3);
        CHECK(report->garbage_removed == 1);
        CHECK(report->unfinished.size() == 1);
        CHECK(!hub.fs.exists(hub.path_of(clips[1])));
        CHECK(hub.everything().clips.size() == clips.size());  // + stray - deleted
        CHECK(hub.everything().gaps.size() == 1);
        CHECK(hub.check(CheckLevel::size).size() == 1);  // the .part
        auto again = reconcile(*hub.index, hub.fs, hub.folders);
        REQUIRE(again.ok());
        CHECK(again->clips_put == 0);
    }

    TEST_CASE("check finds each disagreement, and repair mends all that can be") {
        Hub hub;
        const auto clips = hub.record_days(2, 2, 12);
        REQUIRE(hub.index->put_clips(clips, Durability::synced).ok());
        CHECK(hub.check(CheckLevel::presence).empty());
        CHECK(hub.check(CheckLevel::hash).empty());

        REQUIRE(hub.fs.remove(hub.path_of(clips[0])).ok());  // row without file
        auto extra = make_clip(0, kMidnight + Micros(77 * kSecond), Micros(kSecond));
        extra.pieces = extra.frames = 0;
        extra = hub.record(extra);  // file without row
        auto wrong = clips[20];
        wrong.frames += 5;
        REQUIRE(hub.index->put_clip(wrong).ok());  // facts differ
        REQUIRE(hub.fs
                    .remove_tree(
                        join(hub.folders.clips,  // a whole folder gone
                             to_string(camera_number(1)) + "/" + to_date(clips.back().utc_begin)))
                    .ok());
        CHECK(hub.check(CheckLevel::presence).size() == 2 + 12);
        CHECK(hub.check(CheckLevel::size).size() == 3 + 12);
        const auto repaired = hub.check(CheckLevel::size, true);
        for (const Finding& f : repaired) CHECK(f.repaired);
        CHECK(hub.check(CheckLevel::hash).empty());
        CHECK(hub.everything().clips.size() == clips.size() - 12);

        // A flipped byte in the body: only the hash level reads that far.
        auto bytes = hub.fs.read(hub.path_of(clips[5]), 1 << 20);
        REQUIRE(bytes.ok());
        (*bytes)[20] ^= 1;
        REQUIRE(hub.fs.remove(hub.path_of(clips[5])).ok());
        hub.write(hub.path_of(clips[5]), *bytes);
        CHECK(hub.check(CheckLevel::presence).empty());
        CHECK(!hub.check(CheckLevel::hash).empty());
    }

    TEST_CASE("the sweep unlinks, then forgets; a file that is gone counts as swept") {
        Hub hub;
        const auto clips = hub.record_days(1, 6, 2);
        REQUIRE(hub.index->put_clips(clips, Durability::synced).ok());
        std::vector<clip::ClipName> names;
        for (int i = 0; i < 3; ++i)
            names.push_back({clips[static_cast<std::size_t>(i)].camera,
                             clips[static_cast<std::size_t>(i)].name_time,
                             {7}});
        REQUIRE(*hub.index->mark_garbage(names) == 3);
        REQUIRE(hub.fs.remove(hub.path_of(clips[1])).ok());
        CHECK(hub.fs.exists(hub.path_of(clips[0])));
        // Marked is marked: the file that is still there does not come back as a row.
        REQUIRE(hub.index->put_clip(clips[0]).ok());
        CHECK(!hub.index->find(names[0]).ok());
        REQUIRE(*sweep_garbage(*hub.index, hub.fs, hub.folders, 100) == 3);
        CHECK(!hub.fs.exists(hub.path_of(clips[0])));
        CHECK(!hub.fs.exists(parent_folder(hub.path_of(clips[0]))));  // empty, and long over
        CHECK(hub.fs.exists(hub.path_of(clips[3])));
        CHECK(*sweep_garbage(*hub.index, hub.fs, hub.folders, 100) == 0);
        CHECK(hub.index->totals(camera_number(0)).garbage_clips == 0);
        CHECK(hub.check(CheckLevel::size).empty());
    }
}
