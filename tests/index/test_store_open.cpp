// Opening: fresh, again, damaged, of another version, locked. And the small promises of the store.
#include <atomic>
#include <map>
#include <thread>

#include <doctest/doctest.h>

#include "index/store/row_codec.hpp"
#include "tests/index/store_model.hpp"

using namespace hd;
using namespace hd::test;
using namespace hd::store;

namespace {

std::unique_ptr<Store> open_store(const std::string& folder, OpenReport& report) {
    auto opened = Store::open(folder, {}, kEpoch, report);
    REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().what));
    return std::move(*opened);
}

std::vector<clip::ClipSummary> some_clips(int n) {
    std::vector<clip::ClipSummary> out;
    for (int i = 0; i < n; ++i)
        out.push_back(make_clip(i % 3, kEpoch + Micros(i * 30 * kSecond), Micros(60 * kSecond)));
    return out;
}

void flip_byte(const std::string& path, std::uint64_t at) {
    FileSystem& fs = real_file_system();
    auto bytes = fs.read(path, 64 << 20);
    REQUIRE(bytes.ok());
    (*bytes)[at % bytes->size()] ^= 0x10;
    REQUIRE(write_file_atomic(path, *bytes, 0600).ok());
}

}  // namespace

TEST_SUITE("index/store/open") {
    TEST_CASE("a synced row is there after the store is opened again") {
        TempFolder dir;
        OpenReport report;
        const auto clip = make_clip(0, kEpoch, Micros(60 * kSecond));
        {
            auto index = open_store(dir.path("index"), report);
            CHECK(report.created);
            REQUIRE(index->put_clip(clip)->added == 1);
            CHECK(index->put_clip(clip)->unchanged == 1);
        }
        auto index = open_store(dir.path("index"), report);
        CHECK(!report.created);
        CHECK(report.moved_aside.empty());
        CHECK(index->find({clip.camera, clip.name_time, clip.run}).ok());
        CHECK(index->newest_name(clip.camera) == clip.name_time);
    }

    TEST_CASE("a damaged, beheaded or foreign index is moved aside and a fresh one made") {
        for (const char* kind : {"manifest", "current", "beheaded"}) {
            CAPTURE(kind);
            TempFolder dir;
            const std::string folder = dir.path("index");
            FileSystem& fs = real_file_system();
            OpenReport report;
            {
                auto index = open_store(folder, report);
                REQUIRE(index->put_clips(some_clips(100), Durability::synced).ok());
            }
            { auto again = open_store(folder, report); }
            const std::string_view what = kind;
            for (const FileEntry& e : *fs.list(folder)) {
                const std::string path = join(folder, e.name);
                if (what == "manifest" && e.name.starts_with("MANIFEST")) flip_byte(path, 20);
                if (what == "current" && e.name == "CURRENT")
                    REQUIRE(write_file_atomic(path, as_bytes("nonsense"), 0600).ok());
                if (what == "beheaded" && e.name == "CURRENT") REQUIRE(fs.remove(path).ok());
            }
            auto index = open_store(folder, report);
            CHECK(report.created);
            CHECK(report.moved_aside.find("index.bad-") != std::string::npos);
            CHECK(fs.exists(report.moved_aside));
            CHECK(!report.why.empty());
            CHECK(index->cameras().empty());
            CHECK(index->put_clips(some_clips(10), Durability::synced)->added == 10);
        }
    }

    TEST_CASE("a table whose bytes flipped is noticed when read, and start_over mends it") {
        TempFolder dir;
        const std::string folder = dir.path("index");
        FileSystem& fs = real_file_system();
        OpenReport report;
        int days = 0;
        {
            StoreOptions small;
            small.memory_bytes = 4u << 20;
            auto index = Store::open(folder, small, kEpoch, report);
            REQUIRE(index.ok());
            // Tables are written in the background, one after the other, and an unfinished one goes
            // away at the end: the second proves the first.
            const auto has_table = [&] {
                int tables = 0;
                for (const FileEntry& e : *fs.list(folder)) tables += e.name.ends_with(".sst");
                return tables >= 2;
            };
            for (; days < 3000 && !has_table(); ++days) {
                std::vector<clip::ClipSummary> clips;
                for (int i = 0; i < 1440; ++i)
                    clips.push_back(
                        make_clip(0, kEpoch + Micros((days * 86'400ll + i * 60) * kSecond + i * 37),
                                  Micros(60 * kSecond - (i * 7919) % 100'000)));
                REQUIRE((*index)->put_clips(clips, Durability::buffered).ok());
            }
        }
        int flipped = 0;
        for (const FileEntry& e : *fs.list(folder))
            if (e.name.ends_with(".sst")) {
                flip_byte(join(folder, e.name), e.size / 3);
                ++flipped;
            }
        REQUIRE(flipped > 0);
        auto index = open_store(folder, report);
        bool failed = false;
        for (int day = 0; day < days; ++day) {
            const WallTime from = kEpoch + Micros(day * 86'400ll * kSecond);
            const auto answer = index->window({.window = {from, from + Micros(kDayUs)}});
            if (!answer.ok()) {
                CHECK(answer.error().code == ErrorCode::corrupt);
                failed = true;
            }
        }
        CHECK(failed);
        CHECK(index->damaged());
        REQUIRE(index->start_over(kEpoch).ok());
        CHECK(!index->damaged());
        CHECK(index->put_clips(some_clips(10), Durability::synced)->added == 10);
    }

    TEST_CASE("a second daemon is told that the index is in use, and nothing is moved") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        auto second = Store::open(dir.path("index"), {}, kEpoch, report);
        REQUIRE(!second.ok());
        CHECK(second.error().code == ErrorCode::unavailable);
        CHECK(index->put_clip(make_clip(0, kEpoch, Micros(kSecond))).ok());
    }

    TEST_CASE("start_over goes on with an empty store under the same object") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        REQUIRE(index->put_clips(some_clips(10), Durability::synced).ok());
        auto again = index->start_over(kEpoch);
        REQUIRE_MESSAGE(again.ok(), (again.ok() ? "" : again.error().what));
        CHECK(again->created);
        CHECK(!again->moved_aside.empty());
        CHECK(index->cameras().empty());
        CHECK(index->put_clips(some_clips(10), Durability::synced)->added == 10);
    }

    TEST_CASE("a clip that cannot be true is refused by name and the others are put") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        auto clips = some_clips(4);
        clips[0].utc_end = clips[0].utc_begin;
        clips[1].utc_end = clips[1].utc_begin + Micros(2 * 3600 * kSecond);
        clips[2].utc_begin = {-5};
        const auto put = index->put_clips(clips, Durability::synced);
        REQUIRE(put.ok());
        CHECK(put->added == 1);
        REQUIRE(put->refused.size() == 3);
        CHECK(put->refused[0].find("ends before it begins") != std::string::npos);
    }

    TEST_CASE("windows, limits and cursors that break a rule are refused") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        REQUIRE(index->put_clips(some_clips(50), Durability::synced).ok());
        WindowQuery query{.window = {kEpoch, kEpoch + Micros(3600 * kSecond)}};
        query.limit = 10;
        const auto page = index->window(query);
        REQUIRE(page.ok());
        REQUIRE(!page->next_cursor.empty());
        auto other = query;
        other.cursor = page->next_cursor;
        other.window.end.us += 1;
        CHECK(index->window(other).error().code == ErrorCode::invalid);
        other = query;
        other.cursor = "bm9uc2Vuc2U";
        CHECK(index->window(other).error().code == ErrorCode::invalid);
        other = query;
        other.limit = 0;
        CHECK(index->window(other).error().code == ErrorCode::invalid);
        other = query;
        other.window.end = other.window.begin - Micros(1);
        CHECK(index->window(other).error().code == ErrorCode::invalid);
        other.window.end = other.window.begin;
        CHECK(index->window(other)->clips.empty());
    }

    TEST_CASE("a window is half-open at both ends") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        const auto clip = make_clip(0, kEpoch, Micros(60 * kSecond));
        REQUIRE(index->put_clip(clip).ok());
        const auto hits = [&](std::int64_t from, std::int64_t to) {
            return index->window({.window = {{kEpoch.us + from}, {kEpoch.us + to}}})->clips.size();
        };
        CHECK(hits(-10, 0) == 0);
        CHECK(hits(-10, 1) == 1);
        CHECK(hits(60 * kSecond - 1, 60 * kSecond) == 1);
        CHECK(hits(60 * kSecond, 60 * kSecond + 10) == 0);
    }

    TEST_CASE("gaps and clips share pages, each item once, while clips come and go") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        const auto clips = some_clips(60);
        REQUIRE(index->put_clips(clips, Durability::synced).ok());
        for (int i = 0; i < 20; ++i) {
            const auto stamp = [&](std::int64_t s) {
                return journal::Stamp{.boot = {},
                                      .at = {},
                                      .utc = kEpoch + Micros(s * kSecond),
                                      .quality = ClockQuality::synchronised};
            };
            REQUIRE(index
                        ->put_gap({camera_number(i % 2), stamp(i * 60 - 30), stamp(i * 60 - 10),
                                   journal::GapCause::stalled})
                        .ok());
        }
        WindowQuery query{
            .window = {kEpoch - Micros(20 * kSecond), kEpoch + Micros(3600 * kSecond)}};
        query.limit = 7;
        query.with_gaps = true;
        std::size_t seen_clips = 0, seen_gaps = 0, pages = 0;
        WallTime last{0};
        do {
            const auto page = index->window(query);
            REQUIRE(page.ok());
            for (const auto& c : page->clips) {
                CHECK(c.begin >= last);
                last = std::max(last, c.begin);
            }
            seen_clips += page->clips.size();
            seen_gaps += page->gaps.size();
            query.cursor = page->next_cursor;
            if (++pages == 2) {  // behind the cursor: neither seen again nor missed
                const clip::ClipName gone{clips[0].camera, clips[0].name_time, clips[0].run};
                REQUIRE(*index->mark_garbage({&gone, 1}) == 1);
            }
        } while (!query.cursor.empty());
        CHECK(seen_clips == clips.size());
        CHECK(seen_gaps == 20);
    }

    TEST_CASE("an open gap ends where one begins that is told later, and nowhere else") {
        const auto stamp = [](std::int64_t s) {
            return journal::Stamp{.boot = {},
                                  .at = {s},
                                  .utc = kEpoch + Micros(s * kSecond),
                                  .quality = ClockQuality::synchronised};
        };
        const GapRecord a{camera_number(0), stamp(10), std::nullopt, journal::GapCause::stalled};
        const GapRecord b{camera_number(0), stamp(20), stamp(30), journal::GapCause::refused};
        for (const bool first_a : {true, false}) {
            TempFolder dir;
            OpenReport report;
            auto index = open_store(dir.path("index"), report);
            REQUIRE(index->put_gap(first_a ? a : b).ok());
            REQUIRE(index->put_gap(first_a ? b : a).ok());
            WindowQuery query{.window = {stamp(12).utc, stamp(13).utc}};
            query.with_gaps = true;
            const auto answer = index->window(query);
            REQUIRE(answer->gaps.size() == 1);
            CHECK(answer->gaps[0].begin == stamp(10).utc);
            // Told first the other lies in its future: the clock was set back.
            CHECK(answer->gaps[0].end == (first_a ? std::optional(stamp(20).utc) : std::nullopt));
            CHECK(index->open_gap(camera_number(0))->has_value() == !first_a);
            CHECK(index->cameras().size() == 1);
        }
    }

    TEST_CASE("an open clip is in the answer when asked for, and once when it is finished") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        auto clip = make_clip(0, kEpoch, Micros(60 * kSecond));
        REQUIRE(index->put_clip(make_clip(0, kEpoch - Micros(60 * kSecond), Micros(60 * kSecond)))
                    .ok());
        index->set_open_clip({.camera = clip.camera,
                              .begin = clip.utc_begin,
                              .end = clip.utc_begin + Micros(5 * kSecond),
                              .name_time = clip.name_time,
                              .run = clip.run});
        WindowQuery query{.window = {kEpoch, kEpoch + Micros(kSecond)}};
        CHECK(index->window(query)->clips.empty());
        query.with_open = true;
        REQUIRE(index->window(query)->clips.size() == 1);
        CHECK(index->window(query)->clips[0].open);
        REQUIRE(index->put_clip(clip).ok());
        REQUIRE(index->window(query)->clips.size() == 1);
        CHECK(!index->window(query)->clips[0].open);
        CHECK(index->open_clips().empty());
    }

    TEST_CASE("readers see whole answers while a writer adds, deletes and derives") {
        TempFolder dir;
        OpenReport report;
        auto index = open_store(dir.path("index"), report);
        std::atomic<bool> stop{false};
        std::atomic<int> failures{0};
        std::vector<std::thread> readers;
        for (int r = 0; r < 2; ++r)
            readers.emplace_back([&] {
                while (!stop) {
                    const auto a =
                        index->window({.window = {kEpoch, kEpoch + Micros(86'400 * kSecond)}});
                    const auto c = index->coverage(
                        {.window = {kEpoch, kEpoch + Micros(3 * 86'400 * kSecond)}});
                    if (!a.ok() || !c.ok()) ++failures;
                    // Clips of one camera are put in order: no holes.
                    std::map<CameraId, WallTime> at;
                    for (const auto& row : a.ok() ? a->clips : std::vector<ClipRow>()) {
                        const auto it = at.find(row.camera);
                        if (it != at.end() && row.begin != it->second) ++failures;
                        at[row.camera] = row.end;
                    }
                }
            });
        for (int i = 0; i < 600; ++i)
            for (int c = 0; c < 2; ++c)
                if (!index
                         ->put_clips(std::vector{make_clip(c, kEpoch + Micros(i * 60 * kSecond),
                                                           Micros(60 * kSecond))},
                                     Durability::buffered)
                         .ok())
                    ++failures;
        stop = true;
        for (auto& t : readers) t.join();
        CHECK(failures == 0);
        const auto c = index->coverage({.window = {kEpoch, kEpoch + Micros(36'000 * kSecond)}});
        REQUIRE(c.ok());
        for (const auto& camera : c->cameras)
            for (const auto ms : camera.covered_ms) CHECK(ms == 3'600'000);
    }
}

TEST_SUITE("index/store/codec") {
    TEST_CASE("rows survive encode and decode, appended or whole") {
        std::vector<ClipRow> rows;
        for (int i = 0; i < 60; ++i)
            rows.push_back({.camera = camera_number(1),
                            .begin = kEpoch + Micros(i * 60 * kSecond + i),
                            .end = kEpoch + Micros((i + 1) * 60 * kSecond - i),
                            .name_time = kEpoch + Micros(i * 60 * kSecond - (i % 3)),
                            .run = {static_cast<std::uint32_t>(i / 20)},
                            .size_bytes = static_cast<std::uint64_t>(i) * 1'000'000,
                            .frames = 1500,
                            .pieces = 61,
                            .reason = clip::EndReason::target,
                            .quality = ClockQuality::synchronised,
                            .restamped = i == 9});
        std::string whole, parts;
        encode_rows(hour_of(kEpoch), rows, whole);
        for (const ClipRow& r : rows) encode_rows(hour_of(kEpoch), {&r, 1}, parts);
        for (const std::string& value : {whole, parts}) {
            std::vector<ClipRow> out;
            REQUIRE(decode_rows(as_bytes(value), camera_number(1), hour_of(kEpoch), out).ok());
            CHECK(out == rows);
        }
        CHECK(whole.size() < parts.size());
    }

    TEST_CASE("fields of a later version are skipped, a later row version is refused") {
        const ClipRow row{.camera = camera_number(1),
                          .begin = kEpoch,
                          .end = kEpoch + Micros(60 * kSecond),
                          .name_time = kEpoch,
                          .quality = ClockQuality::synchronised};
        std::string value;
        encode_rows(hour_of(kEpoch), {&row, 1}, value);
        // version, payload length, rows, flags, ...: set the extension flag, add 3 bytes of it.
        std::string extended = value;
        extended[1] = static_cast<char>(extended[1] + 4 + 2);
        extended[3] = static_cast<char>(static_cast<unsigned char>(extended[3]) | 0x80);
        extended += std::string("\x03\x01\x02\x03", 4);
        extended += "zz";  // and two bytes behind the last row of the chunk
        std::vector<ClipRow> out;
        const auto decoded =
            decode_rows(as_bytes(extended), camera_number(1), hour_of(kEpoch), out);
        REQUIRE_MESSAGE(decoded.ok(), (decoded.ok() ? "" : decoded.error().what));
        CHECK(out == std::vector{row});
        value[0] = 2;
        out.clear();
        CHECK(decode_rows(as_bytes(value), camera_number(1), hour_of(kEpoch), out).error().code ==
              ErrorCode::corrupt);
    }
}
