#include <algorithm>

#include <doctest/doctest.h>

#include "index/clip/clip_reader.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/mux/probe.hpp"
#include "pipelines/record/input_recorder.hpp"
#include "tests/pipelines/media_tools.hpp"

using namespace hd;
using namespace hd::record;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

struct Bench {
    TempFolder folder;
    seal::Identity owner = seal::generate_identity();

    InputPlan plan(const std::string& file, const std::string& data, Micros clip_target) {
        InputPlan p;
        p.file = file;
        p.start = *parse_rfc3339("2026-11-22T14:00:00Z");
        p.settings.camera = CameraId{{1, 2, 3}};
        p.settings.data_folder = folder / data;
        p.settings.clip_target = clip_target;
        p.settings.recipients = {owner.recipient};
        return p;
    }
    InputReport record(const InputPlan& p) {
        auto report = record_input(real_file_system(), p, {});
        REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().what));
        return std::move(*report);
    }
    // Every clip's pieces, opened.
    std::vector<std::vector<Bytes>> opened(const InputPlan& p, const InputReport& report) {
        std::vector<std::vector<Bytes>> out;
        for (const auto& c : report.clips) {
            auto reader = clip::ClipReader::open(real_file_system(),
                                                 p.settings.data_folder + "/clips/" + c.path);
            REQUIRE(reader.ok());
            auto& pieces = out.emplace_back();
            for (std::size_t i = 0; i < reader->table().size(); ++i) {
                auto piece = reader->read_piece(i);
                REQUIRE(piece.ok());
                auto plain = seal::open(piece->age_file, {&owner, 1});
                REQUIRE(plain.ok());
                pieces.push_back(std::move(*plain));
            }
        }
        return out;
    }
};

Bytes join_pieces(const std::vector<Bytes>& pieces) {
    Bytes out;
    for (const Bytes& p : pieces) out.insert(out.end(), p.begin(), p.end());
    return out;
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/input");

TEST_CASE("the same file and options give the same pieces, keys aside") {
    Bench b;
    const auto file = generate(b.folder, "f.mp4", "-c:v libx264 -bf 2 -g 50", 10);
    if (!file) return;
    const InputPlan one = b.plan(*file, "one", 3s), two = b.plan(*file, "two", 3s);
    const InputReport r1 = b.record(one), r2 = b.record(two);
    REQUIRE(r1.clips.size() == 3);
    REQUIRE(r2.clips.size() == 3);
    CHECK(b.opened(one, r1) == b.opened(two, r2));
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(r1.clips[i].path == r2.clips[i].path);
        CHECK(r1.clips[i].summary.clip == r2.clips[i].summary.clip);
    }
    InputPlan three = b.plan(*file, "three", 3s);
    three.seed = "another";
    CHECK(b.record(three).clips[0].summary.clip != r1.clips[0].summary.clip);
}

TEST_CASE("clips of a file join without a frame lost, and each decodes alone") {
    Bench b;
    for (const char* encoder :
         {"-c:v libx264 -bf 2 -g 25", "-c:v libx265 -x265-params log-level=none:keyint=25"}) {
        const auto file = generate(b.folder, "f.mp4", encoder, 10);
        if (!file) continue;
        const InputPlan plan =
            b.plan(*file, std::string(encoder).find("265") == std::string::npos ? "h4" : "h5", 3s);
        const InputReport report = b.record(plan);
        CHECK(report.frames == 250);
        const auto clips = b.opened(plan, report);
        std::uint64_t frames = 0;
        for (std::size_t i = 0; i < clips.size(); ++i) {
            write_bytes(b.folder / "clip.mp4", join_pieces(clips[i]));
            CHECK(decode_errors(b.folder / "clip.mp4") == "");
            frames += mux::probe_file(b.folder / "clip.mp4")->frames;
            if (i > 0)
                CHECK(report.clips[i].summary.utc_begin == report.clips[i - 1].summary.utc_end);
        }
        CHECK(frames == 250);
        CHECK(report.clips.back().summary.reason == clip::EndReason::input_end);
        CHECK(report.clips.front().summary.quality == ClockQuality::assumed);
        CHECK(to_rfc3339(report.clips.front().summary.utc_begin) == "2026-11-22T14:00:00.000000Z");
    }
}

TEST_CASE("stock age opens every piece, and put together they play") {
    Bench b;
    if (!have_program("age")) {
        MESSAGE("skipped: no age");
        return;
    }
    const auto file = generate(b.folder, "f.mp4", "-c:v libx264 -g 25", 3);
    if (!file) return;
    REQUIRE(seal::write_key_file(b.folder / "key.txt", b.owner, WallTime{0}).ok());
    const InputPlan plan = b.plan(*file, "data", 60s);
    const InputReport report = b.record(plan);
    REQUIRE(report.clips.size() == 1);
    auto reader = clip::ClipReader::open(
        real_file_system(), plan.settings.data_folder + "/clips/" + report.clips[0].path);
    REQUIRE(reader.ok());
    for (std::size_t i = 0; i < reader->table().size(); ++i) {
        write_bytes(b.folder / "piece.age", reader->read_piece(i)->age_file);
        const Ran ran = run_command("age -d -i " + (b.folder / "key.txt") + " " +
                                    (b.folder / "piece.age") + " >> " + (b.folder / "all.mp4"));
        CHECK_MESSAGE(ran.status == 0, ran.output);
    }
    CHECK(decode_errors(b.folder / "all.mp4") == "");
    CHECK(ffprobe(b.folder / "all.mp4", "stream=nb_read_frames", "-count_frames") == "75");
}

TEST_CASE("nothing of the video is readable in what lies on the disk") {
    Bench b;
    const auto file = generate(b.folder, "f.mp4", "-c:v libx264 -g 25", 2);
    if (!file) return;
    const InputPlan plan = b.plan(*file, "data", 60s);
    const InputReport report = b.record(plan);
    auto bytes = real_file_system().read(
        plan.settings.data_folder + "/clips/" + report.clips[0].path, 100u << 20);
    REQUIRE(bytes.ok());
    const std::string_view text = as_text(*bytes);
    for (const std::string_view word : {"moov", "mdat", "moof", "avcC", "x264"})
        CHECK(text.find(word) == std::string_view::npos);
}

TEST_CASE("recording the same again into the same place is refused, not doubled") {
    Bench b;
    const auto file = generate(b.folder, "f.mp4", "-c:v libx264", 1);
    if (!file) return;
    const InputPlan plan = b.plan(*file, "data", 60s);
    b.record(plan);
    const auto again = record_input(real_file_system(), plan, {});
    REQUIRE_FALSE(again.ok());
    CHECK(again.error().code == ErrorCode::invalid);
}

TEST_CASE("no recipient, no recording") {
    Bench b;
    InputPlan plan = b.plan("x.mp4", "data", 60s);
    plan.settings.recipients.clear();
    CHECK_FALSE(record_input(real_file_system(), plan, {}).ok());
}

TEST_CASE("a size change in mid-stream gives clean clips with nothing lost") {
    const auto parking = footage("parking_car_768x432_h264_aac.mp4");
    const auto street = footage("street_window_480p_h264_g711a.mkv");
    if (!parking || !street) return;
    Bench b;
    const std::string dir = b.folder.path() + "/";
    REQUIRE(run_command("ffmpeg -v error -y -i " + *parking + " -an -c copy -t 10 " + dir +
                        "a.h264 && ffmpeg -v error -y -i " + *street + " -an -c copy -t 8 " + dir +
                        "b.h264 && cat " + dir + "a.h264 " + dir + "b.h264 " + dir + "a.h264 > " +
                        dir + "c.h264")
                .status == 0);
    const InputPlan plan = b.plan(dir + "c.h264", "data", 60s);
    const InputReport report = b.record(plan);
    REQUIRE(report.clips.size() == 3);
    CHECK(report.clips[0].summary.frames == 125);
    CHECK(report.clips[1].summary.frames == 200);
    CHECK(report.clips[2].summary.frames == 125);
    CHECK(report.clips[0].summary.reason == clip::EndReason::codec_change);
    for (const auto& pieces : b.opened(plan, report)) {
        write_bytes(b.folder / "clip.mp4", join_pieces(pieces));
        CHECK(decode_errors(b.folder / "clip.mp4") == "");
    }
}

TEST_CASE("real footage with B-frames and uneven times is recorded frame by frame") {
    Bench b;
    const std::pair<const char*, std::uint64_t> files[] = {
        {"counter_person_768x432_h264.mp4", 1394},
        {"porch_person_720p_h264_vfr.mkv", 60},
    };
    for (const auto& [name, frames] : files) {
        const auto path = footage(name);
        if (!path) continue;
        const InputPlan plan = b.plan(*path, name, 20s);
        const InputReport report = b.record(plan);
        std::uint64_t counted = 0;
        for (const auto& pieces : b.opened(plan, report)) {
            write_bytes(b.folder / "clip.mp4", join_pieces(pieces));
            CHECK(decode_errors(b.folder / "clip.mp4") == "");
            counted += mux::probe_file(b.folder / "clip.mp4")->frames;
        }
        CHECK(counted == frames);
    }
}

TEST_CASE("a clip whose file ends early is recorded as far as it goes") {
    const auto parking = footage("parking_car_768x432_h264_aac.mp4");
    if (!parking) return;
    Bench b;
    REQUIRE(run_command("head -c 1500000 " + *parking + " > " + (b.folder / "cut.mp4")).status ==
            0);
    const InputReport report = b.record(b.plan(b.folder / "cut.mp4", "data", 60s));
    CHECK(report.frames > 100);
    CHECK(report.frames < 377);
}

TEST_SUITE_END();
