// A data folder with a store, and the files that a recorder would have left in it.
#pragma once

#include <doctest/doctest.h>

#include "index/journal/journal.hpp"
#include "index/store/rebuild.hpp"
#include "tests/index/store_model.hpp"

namespace hd::test {

using namespace hd::store;  // tests only

// The first instant of a day.
constexpr WallTime kMidnight{kEpoch.us / 86'400 / kSecond * 86'400 * kSecond};

// A data folder, its store, and the files that a recorder would have left.
struct Hub {
    TempFolder dir;
    FileSystem& fs = real_file_system();
    DataFolders folders{dir.path("clips"), dir.path("journal")};
    std::unique_ptr<Store> index;
    OpenReport report;

    Hub() { open(); }
    void open() {
        index.reset();
        auto opened = Store::open(dir.path("index"), {}, kEpoch, report);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().what));
        index = std::move(*opened);
    }

    std::string path_of(const clip::ClipSummary& s) const {
        return join(folders.clips, clip::clip_path(s.camera, s.name_time, s.run));
    }
    void write(const std::string& path, ByteView bytes) {
        REQUIRE(fs.make_folders(parent_folder(path), 0700).ok());
        auto file = fs.create(path);
        REQUIRE(file.ok());
        REQUIRE((*file)->append(bytes).ok());
    }
    // A finished clip with no pieces: its end is what matters here.
    clip::ClipSummary record(clip::ClipSummary s) {
        const Bytes body = clip::encode_header({.clip = s.clip,
                                                .camera = s.camera,
                                                .hub = {},
                                                .run = s.run,
                                                .boot = s.boot,
                                                .boot_begin = s.boot_begin,
                                                .utc_begin = s.utc_begin,
                                                .quality = s.quality,
                                                .codec = "avc1.4D401F",
                                                .encoder = "camera"});
        Bytes file = body;
        const Bytes footer = clip::encode_footer({}, s, body.size());
        file.insert(file.end(), footer.begin(), footer.end());
        write(path_of(s), file);
        s.size_bytes = file.size();
        return s;
    }
    std::vector<clip::ClipSummary> record_days(int cameras, int days, int per_day) {
        std::vector<clip::ClipSummary> out;
        for (int c = 0; c < cameras; ++c)
            for (int d = 0; d < days; ++d)
                for (int i = 0; i < per_day; ++i) {
                    const WallTime begin =
                        kMidnight + Micros((d * 86'400ll + i * (86'400ll / per_day)) * kSecond);
                    auto s = make_clip(c, begin, Micros(60 * kSecond));
                    s.pieces = 0;
                    s.frames = 0;
                    out.push_back(record(s));
                }
        return out;
    }
    void append(const std::string& name, const char* kind, const journal::Record& record) {
        REQUIRE(fs.make_folders(folders.journal, 0700).ok());
        auto writer = journal::Writer::open(fs, join(folders.journal, name), kind);
        REQUIRE(writer.ok());
        REQUIRE(writer->append(record).ok());
        REQUIRE(writer->sync().ok());
    }
    void journal_record(int camera, const journal::CameraRecord& r) {
        append(to_string(camera_number(camera)) + ".log", "camera", journal::encode(r));
    }
    static journal::Stamp at(std::int64_t second) {
        return {.boot = {},
                .at = {second * kSecond},
                .utc = kEpoch + Micros(second * kSecond),
                .quality = ClockQuality::synchronised};
    }

    WindowAnswer everything() const {
        WindowQuery query{.window = {{0}, kEpoch + Micros(1000ll * 86'400 * kSecond)}};
        query.limit = kMaxPageItems;
        query.with_gaps = true;
        auto answer = index->window(query);
        REQUIRE(answer.ok());
        return std::move(*answer);
    }
    WalkProgress rebuild(std::uint32_t step = 7) {
        Rebuild work(*index, fs, folders);
        WalkProgress p;
        while (!p.done) {
            auto next = work.step(step);
            REQUIRE_MESSAGE(next.ok(), (next.ok() ? "" : next.error().what));
            p = *next;
        }
        return p;
    }
    std::vector<Finding> check(CheckLevel level, bool repair = false, bool mend_files = false) {
        Check work(*index, fs, folders,
                   {.level = level, .repair = repair, .mend_files = mend_files});
        WalkProgress p;
        while (!p.done) {
            auto next = work.step(10);
            REQUIRE_MESSAGE(next.ok(), (next.ok() ? "" : next.error().what));
            p = *next;
        }
        return work.findings();
    }
    void lose_index() {
        index.reset();
        REQUIRE(fs.remove_tree(dir.path("index")).ok());
        open();
        REQUIRE(report.created);
    }
};

}  // namespace hd::test
