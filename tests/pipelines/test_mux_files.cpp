#include <doctest/doctest.h>

#include "pipelines/mux/boxes.hpp"
#include "pipelines/mux/media_file.hpp"
#include "pipelines/mux/mp4_export.hpp"
#include "pipelines/mux/nal.hpp"
#include "pipelines/mux/probe.hpp"
#include "tests/pipelines/media_tools.hpp"

using namespace hd;
using namespace hd::mux;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

std::vector<Micros> display_times(const std::string& path) {
    auto file = MediaFile::open(path);
    REQUIRE_MESSAGE(file.ok(), (file.ok() ? "" : file.error().what));
    std::vector<Micros> out;
    Micros last_dts = Micros::min();
    for (;;) {
        auto next = (*file)->next();
        REQUIRE_MESSAGE(next.ok(), (next.ok() ? "" : next.error().what));
        if (!*next) return out;
        CHECK((**next).dts > last_dts);
        CHECK((**next).dts <= (**next).pts);
        last_dts = (**next).dts;
        out.push_back((**next).pts);
    }
}

Bytes slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return Bytes{std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/mux/files");

TEST_CASE("a raw stream with B-frames gets the display times that its mp4 has") {
    const TempFolder folder;
    for (const char* encoder :
         {"-c:v libx264 -bf 3 -g 30", "-c:v libx265 -x265-params log-level=none:keyint=30"}) {
        const auto mp4 = generate(folder, "a.mp4", encoder, 3);
        if (!mp4) continue;
        const bool hevc = std::string(encoder).find("265") != std::string::npos;
        const std::string raw = folder / (hevc ? "a.h265" : "a.h264");
        REQUIRE(run_command("ffmpeg -v error -y -i " + *mp4 + " -c copy " + raw).status == 0);
        CHECK(display_times(raw) == display_times(*mp4));
        auto a = MediaFile::open(raw), b = MediaFile::open(*mp4);
        REQUIRE(a.ok());
        REQUIRE(b.ok());
        CHECK((*a)->track().width == 320);
        CHECK((*a)->track().rfc6381 == (*b)->track().rfc6381);
    }
}

TEST_CASE("a file without video, a missing file and rubbish are refused in words") {
    const TempFolder folder;
    const auto missing = MediaFile::open(folder / "nothing.mp4");
    REQUIRE_FALSE(missing.ok());
    CHECK(missing.error().code == ErrorCode::not_found);
    write_bytes(folder / "rubbish.mp4", as_bytes("this is not a film, whatever its name says"));
    CHECK_FALSE(MediaFile::open(folder / "rubbish.mp4").ok());
    if (!have_program("ffmpeg")) return;
    REQUIRE(run_command("ffmpeg -v error -y -f lavfi -i sine=d=1 " + (folder / "a.m4a")).status ==
            0);
    const auto sound = MediaFile::open(folder / "a.m4a");
    REQUIRE_FALSE(sound.ok());
    CHECK(sound.error().code == ErrorCode::invalid);
    REQUIRE(
        run_command("ffmpeg -v error -y -f lavfi -i testsrc2=d=1 -c:v mpeg4 " + (folder / "b.mp4"))
            .status == 0);
    const auto other = MediaFile::open(folder / "b.mp4");
    REQUIRE_FALSE(other.ok());
    CHECK(other.error().what.find("mpeg4") != std::string::npos);
}

TEST_CASE("a raw stream that changes its size says so with the first frame of the new size") {
    const auto parking = footage("parking_car_768x432_h264_aac.mp4");
    const auto street = footage("street_window_480p_h264_g711a.mkv");
    if (!parking || !street) return;
    const TempFolder folder;
    REQUIRE(run_command("ffmpeg -v error -y -i " + *parking + " -an -c copy -t 4 " +
                        (folder / "a.h264"))
                .status == 0);
    REQUIRE(
        run_command("ffmpeg -v error -y -i " + *street + " -an -c copy -t 4 " + (folder / "b.h264"))
            .status == 0);
    REQUIRE(run_command("cat " + (folder / "a.h264") + " " + (folder / "b.h264") + " > " +
                        (folder / "c.h264"))
                .status == 0);
    auto file = MediaFile::open(folder / "c.h264");
    REQUIRE(file.ok());
    std::vector<int> widths;
    for (;;) {
        auto next = (*file)->next();
        REQUIRE(next.ok());
        if (!*next) break;
        const int width = (*file)->track().width;
        if (widths.empty() || widths.back() != width) {
            CHECK((**next).idr);
            widths.push_back(width);
        }
    }
    CHECK(widths == std::vector<int>{768, 640});
}

TEST_CASE("the frame counter is read and anything else is not") {
    const std::string mark = "HALFDOORFRAMECNT000000000000002a0000000000000100";
    Bytes sei{0x06, 0x05, 48};
    sei.insert(sei.end(), mark.begin(), mark.end());
    sei.push_back(0x80);
    const Bytes slice{0x65, 1, 2, 3};
    const Bytes unit = to_length_prefixed({sei, slice});
    const auto found = read_frame_mark(unit);
    REQUIRE(found.has_value());
    CHECK(found->number == 42);
    CHECK(found->sent_unix_ns == 256);
    CHECK(key_kind(Codec::h264, unit).idr);
    CHECK_FALSE(read_frame_mark(to_length_prefixed({slice})).has_value());
    for (std::size_t n = 0; n < unit.size(); ++n) {
        const auto part = read_frame_mark(ByteView(unit).first(n));
        CHECK((!part || part->number == 42));
    }
}

TEST_CASE("start codes of three and four bytes end a NAL unit, zeros before them do not count") {
    const Bytes stream{0, 0, 0, 1, 9, 16, 0, 0, 1, 0x41, 7, 0, 0, 0, 0, 1, 0x41, 8};
    const auto nals = split_annexb(stream);
    REQUIRE(nals.size() == 3);
    CHECK(Bytes(nals[1].begin(), nals[1].end()) == Bytes{0x41, 7});
    CHECK(to_length_prefixed(nals) ==
          Bytes{0, 0, 0, 2, 9, 16, 0, 0, 0, 2, 0x41, 7, 0, 0, 0, 2, 0x41, 8});
    CHECK(split_annexb(Bytes{1, 2, 3}).empty());
}

TEST_CASE("prefixes of two bytes become four, and a frame that does not add up is refused") {
    CHECK(widen_prefixes(Bytes{0, 2, 5, 6, 0, 1, 7}, 2) == Bytes{0, 0, 0, 2, 5, 6, 0, 0, 0, 1, 7});
    CHECK_FALSE(widen_prefixes(Bytes{0, 3, 5, 6}, 2).has_value());
}

TEST_CASE("an export of a window shows exactly that window and hides what decoding needs") {
    const TempFolder folder;
    const auto source = generate(folder, "f.mp4",
                                 "-c:v libx264 -bf 0 -g 50 -movflags frag_keyframe+empty_moov", 10);
    if (!source) return;
    const Bytes clip = slurp(*source);
    auto out = Mp4Export::begin(folder / "out.mp4");
    REQUIRE(out.ok());
    auto added = (*out)->add_clip(clip, {.from = 3300ms, .to = 8700ms});
    REQUIRE_MESSAGE(added.ok(), (added.ok() ? "" : added.error().what));
    auto report = (*out)->finish();
    REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().what));
    CHECK(report->frames == 168);  // from the key frame at 2.0 s
    CHECK(report->hidden_frames == 33);
    CHECK(report->shown == 5420ms);  // the picture of 8.68 s stays until 8.72 s
    CHECK(decode_errors(folder / "out.mp4") == "");
    CHECK(ffprobe(folder / "out.mp4", "stream=nb_read_frames", "-count_frames") == "135");
    CHECK(ffprobe(folder / "out.mp4", "stream=start_time") == "0.000000");
    CHECK((std::filesystem::status(folder / "out.mp4").permissions() &
           std::filesystem::perms::others_read) == std::filesystem::perms::none);
    CHECK(find_box(slurp(folder / "out.mp4"), 0, SIZE_MAX, "moov")->offset < 100);
}

TEST_CASE("clips follow each other in an export without a break, B-frames included") {
    const TempFolder folder;
    const auto source =
        generate(folder, "f.mp4", "-c:v libx264 -bf 2 -g 50 -movflags frag_keyframe+empty_moov", 4);
    if (!source) return;
    const Bytes clip = slurp(*source);
    auto out = Mp4Export::begin(folder / "out.mp4");
    REQUIRE(out.ok());
    for (int i = 0; i < 3; ++i) REQUIRE((*out)->add_clip(clip, {}).ok());
    auto report = (*out)->finish();
    REQUIRE(report.ok());
    CHECK(report->frames == 300);
    CHECK(decode_errors(folder / "out.mp4") == "");
    CHECK(ffprobe(folder / "out.mp4", "stream=nb_read_frames", "-count_frames") == "300");
    CHECK(std::abs(std::stod(ffprobe(folder / "out.mp4", "format=duration")) - 12.0) < 0.1);
}

TEST_CASE("an export refuses a second codec, an existing file and an empty window") {
    const TempFolder folder;
    const auto a = generate(folder, "a.mp4", "-c:v libx264 -movflags frag_keyframe+empty_moov", 1);
    const auto b =
        generate(folder, "b.mp4", "-c:v libx264 -s 160x120 -movflags frag_keyframe+empty_moov", 1);
    if (!a || !b) return;
    {
        auto out = Mp4Export::begin(folder / "out.mp4");
        REQUIRE(out.ok());
        CHECK_FALSE(Mp4Export::begin(folder / "out.mp4").ok());
        REQUIRE((*out)->add_clip(slurp(*a), {}).ok());
        const auto mixed = (*out)->add_clip(slurp(*b), {});
        REQUIRE_FALSE(mixed.ok());
        CHECK(mixed.error().code == ErrorCode::invalid);
    }
    CHECK_FALSE(std::filesystem::exists(folder / "out.mp4"));  // not finished: gone
    auto out = Mp4Export::begin(folder / "out.mp4");
    REQUIRE(out.ok());
    REQUIRE((*out)->add_clip(slurp(*a), {.from = 0s, .to = 0s}).ok());
    CHECK_FALSE((*out)->finish().ok());
}

TEST_SUITE_END();
