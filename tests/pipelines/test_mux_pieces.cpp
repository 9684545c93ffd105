#include <doctest/doctest.h>

#include "pipelines/mux/fragment_writer.hpp"
#include "pipelines/mux/media_file.hpp"
#include "pipelines/mux/probe.hpp"
#include "tests/pipelines/media_tools.hpp"

using namespace hd;
using namespace hd::mux;
using namespace hd::test;

namespace {

struct Pieces {
    Bytes init;
    std::vector<Bytes> media;
    std::vector<bool> begins_with_key;
    std::size_t frames = 0;

    Bytes joined(std::size_t from = 0, std::size_t to = SIZE_MAX) const {
        Bytes out = init;
        for (std::size_t i = from; i < std::min(to, media.size()); ++i)
            out.insert(out.end(), media[i].begin(), media[i].end());
        return out;
    }
};

// Cuts at key frames and whole seconds of decode time, as a recorder does.
Pieces cut_file(const std::string& path) {
    auto opened = MediaFile::open(path);
    REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? "" : opened.error().what));
    MediaFile& file = **opened;
    std::vector<OwnedSample> samples;
    for (;;) {
        auto next = file.next();
        REQUIRE(next.ok());
        if (!*next) break;
        samples.push_back(std::move(**next));
    }
    REQUIRE(!samples.empty());
    const Micros origin = samples.front().dts;
    auto writer = FragmentWriter::begin(file.track(), samples.front().pts - origin);
    REQUIRE_MESSAGE(writer.ok(), (writer.ok() ? "" : writer.error().what));
    Pieces out;
    out.init.assign((*writer)->init().begin(), (*writer)->init().end());
    const auto cut = [&] {
        auto piece = (*writer)->cut();
        REQUIRE(piece.ok());
        out.media.emplace_back(piece->begin(), piece->end());
    };
    Micros piece_begin{0};
    bool open = false;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const OwnedSample& s = samples[i];
        const Micros dts = s.dts - origin;
        const bool key = s.idr || s.cra;
        if (open && (key || dts / std::chrono::seconds(1) != piece_begin / std::chrono::seconds(1)))
            cut(), open = false;
        if (!open) {
            piece_begin = dts;
            out.begins_with_key.push_back(key);
            open = true;
        }
        const Micros duration =
            i + 1 < samples.size() ? samples[i + 1].dts - s.dts : file.frame_duration();
        REQUIRE((*writer)
                    ->add({.bytes = *s.bytes,
                           .dts = dts,
                           .pts = s.pts - origin,
                           .duration = duration,
                           .key = key})
                    .ok());
    }
    cut();
    out.frames = samples.size();
    return out;
}

void check_plays(const Pieces& pieces, const std::string& source, const TempFolder& folder) {
    const std::string path = folder / "joined.mp4";
    write_bytes(path, pieces.joined());
    CHECK(decode_errors(path) == "");
    CHECK(ffprobe(path, "stream=nb_read_frames", "-count_frames") == std::to_string(pieces.frames));
    CHECK(ffprobe(path, "stream=start_time") == "0.000000");
    // The same pictures in the same order, and not merely as many.
    const std::string hashes =
        " -map 0:v -f framehash -hash md5 - | grep -v '^#' | sed 's/.*, *//'";
    CHECK(run_command("ffmpeg -v error -i " + path + " -vsync passthrough" + hashes).output ==
          run_command("ffmpeg -v error -i " + source + " -vsync passthrough" + hashes).output);
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/mux");

TEST_CASE("pieces of generated H.264 with B-frames, put together, play from 0 without an error") {
    const TempFolder folder;
    const auto path = generate(folder, "b.mp4", "-c:v libx264 -bf 2 -g 40");
    if (!path) return;
    const Pieces pieces = cut_file(*path);
    CHECK(pieces.frames == 150);
    CHECK(pieces.media.size() >= 6);
    check_plays(pieces, *path, folder);
}

TEST_CASE("pieces of generated H.265 put together play from 0 without an error") {
    const TempFolder folder;
    const auto path =
        generate(folder, "h.mp4", "-c:v libx265 -x265-params log-level=none:keyint=50 -tag:v hvc1");
    if (!path) return;
    const Pieces pieces = cut_file(*path);
    CHECK(pieces.frames == 150);
    check_plays(pieces, *path, folder);
}

TEST_CASE("the same input gives the same pieces") {
    const TempFolder folder;
    const auto path = generate(folder, "b.mp4", "-c:v libx264 -g 40");
    if (!path) return;
    const Pieces a = cut_file(*path), b = cut_file(*path);
    CHECK(a.init == b.init);
    CHECK(a.media == b.media);
}

TEST_CASE("init and any run of pieces from a key frame on is playable, at its own time") {
    const TempFolder folder;
    const auto path = generate(folder, "b.mp4", "-c:v libx264 -bf 2 -g 50");
    if (!path) return;
    const Pieces pieces = cut_file(*path);
    for (std::size_t i = 1; i < pieces.media.size(); ++i) {
        if (!pieces.begins_with_key[i]) continue;
        const std::string part = folder / "part.mp4";
        write_bytes(part, pieces.joined(i, i + 2));
        CHECK(decode_errors(part) == "");
        CHECK(std::stod(ffprobe(part, "stream=start_time")) > 1.0);
    }
}

TEST_CASE("a piece keeps the bytes of each NAL unit") {
    const TempFolder folder;
    const auto path = generate(folder, "b.mp4", "-c:v libx264 -g 40", 2);
    if (!path) return;
    const Pieces pieces = cut_file(*path);
    const Bytes joined = pieces.joined();
    auto a = MediaFile::open(*path);
    auto b = MediaFile::open_bytes(joined);
    REQUIRE(a.ok());
    REQUIRE(b.ok());
    for (;;) {
        auto x = (*a)->next(), y = (*b)->next();
        REQUIRE(x.ok());
        REQUIRE(y.ok());
        REQUIRE(x->has_value() == y->has_value());
        if (!*x) break;
        CHECK(*(**x).bytes == *(**y).bytes);
        CHECK((**x).pts == (**y).pts);
    }
}

TEST_CASE("a writer refuses a track without parameters and a piece without samples") {
    CHECK_FALSE(FragmentWriter::begin({}, Micros(0)).ok());
    const TempFolder folder;
    const auto path = generate(folder, "b.mp4", "-c:v libx264", 1);
    if (!path) return;
    auto file = MediaFile::open(*path);
    REQUIRE(file.ok());
    auto writer = FragmentWriter::begin((*file)->track(), Micros(0));
    REQUIRE(writer.ok());
    const auto nothing = (*writer)->cut();
    REQUIRE_FALSE(nothing.ok());
    CHECK(nothing.error().code == ErrorCode::invalid);
}

TEST_CASE("real footage with B-frames and with uneven frame times keeps every frame") {
    const TempFolder folder;
    const std::pair<const char*, std::size_t> files[] = {
        {"counter_person_768x432_h264.mp4", 1394}, {"porch_person_720p_h264_vfr.mkv", 60},
        {"fishtank_360p_hevc_aac.mp4", 403},       {"street_window_480p_h264_g711a.mkv", 403},
        {"axis_ceiling_1080p_signed.h264", 50},
    };
    for (const auto& file : files) {
        const char* const name = file.first;
        const std::size_t frames = file.second;
        const auto path = footage(name);
        if (!path) continue;
        CAPTURE(name);
        const Pieces pieces = cut_file(*path);
        CHECK(pieces.frames == frames);
        check_plays(pieces, *path, folder);
    }
}

TEST_SUITE_END();
