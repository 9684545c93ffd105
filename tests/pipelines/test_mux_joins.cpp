// Clips that were cut in the middle of a group of pictures, put together again.
#include <doctest/doctest.h>

#include "pipelines/mux/fragment_writer.hpp"
#include "pipelines/mux/media_file.hpp"
#include "pipelines/mux/mp4_export.hpp"
#include "tests/pipelines/media_tools.hpp"

using namespace hd;
using namespace hd::mux;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

struct CutClip {
    Bytes fragmented;
    Micros begin;  // its time 0 in the file that it was cut from
    std::size_t frames = 0;
};

struct Source {
    VideoTrack track;
    std::vector<OwnedSample> samples;
};

Source read_source(const std::string& path) {
    auto file = MediaFile::open(path);
    REQUIRE_MESSAGE(file.ok(), (file.ok() ? "" : file.error().what));
    Source out;
    for (;;) {
        auto next = (*file)->next();
        REQUIRE(next.ok());
        if (!*next) break;
        out.samples.push_back(std::move(**next));
    }
    out.track = (*file)->track();
    return out;
}

// As a recorder packs them: one piece a clip, cut in decode order before these samples.
std::vector<CutClip> cut(const Source& source, std::vector<std::size_t> before) {
    before.push_back(source.samples.size());
    std::vector<CutClip> out;
    std::size_t first = 0;
    for (const std::size_t end : before) {
        const OwnedSample& front = source.samples[first];
        auto writer = FragmentWriter::begin(source.track, front.pts - front.dts);
        REQUIRE(writer.ok());
        CutClip clip{{(*writer)->init().begin(), (*writer)->init().end()}, front.pts, end - first};
        for (std::size_t i = first; i < end; ++i) {
            const OwnedSample& s = source.samples[i];
            REQUIRE((*writer)
                        ->add({.bytes = *s.bytes,
                               .dts = s.dts - front.dts,
                               .pts = s.pts - front.dts,
                               .duration = 40ms,
                               .key = s.idr || s.cra})
                        .ok());
        }
        const auto piece = (*writer)->cut();
        REQUIRE(piece.ok());
        clip.fragmented.insert(clip.fragmented.end(), piece->begin(), piece->end());
        out.push_back(std::move(clip));
        first = end;
    }
    return out;
}

// Of what a player shows: which picture, and when.
std::vector<std::string> shown(const std::string& path) {
    const std::string text = run_command("ffmpeg -v error -i " + path +
                                         " -map 0:v -vsync passthrough -f framehash -hash md5 - | "
                                         "grep -v '^#' | awk -F, '{print $3, $6}'")
                                 .output;
    std::vector<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

std::string picture(const std::string& line) { return line.substr(line.rfind(' ') + 1); }
std::vector<std::string> pictures(const std::vector<std::string>& lines) {
    std::vector<std::string> out;
    for (const std::string& line : lines) out.push_back(picture(line));
    return out;
}

struct Exported {
    ExportReport report;
    std::vector<std::string> pictures;
};
// What [from, to) of the source shows, from clips [first, ...) that go on.
Exported exported(const std::string& path, const std::vector<CutClip>& clips, std::size_t first = 0,
                  Micros from = Micros(0), Micros to = Micros::max()) {
    std::filesystem::remove(path);
    auto out = Mp4Export::begin(path);
    REQUIRE(out.ok());
    for (std::size_t i = first; i < clips.size(); ++i) {
        const Micros zero = clips[i].begin;
        if (zero - 200ms >= to) break;
        Mp4Export::Part part{.from = std::max(Micros(0), from - zero),
                             .to = to == Micros::max() ? to : to - zero};
        if (i > first) part.after = zero - clips[i - 1].begin;
        const auto added = (*out)->add_clip(clips[i].fragmented, part);
        REQUIRE_MESSAGE(added.ok(), (added.ok() ? "" : added.error().what));
    }
    auto report = (*out)->finish();
    REQUIRE_MESSAGE(report.ok(), (report.ok() ? "" : report.error().what));
    return {*report, pictures(shown(path))};
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/mux/joins");

TEST_CASE("clips without a key frame that go on lose and double no picture, B-frames included") {
    const TempFolder folder;
    const std::pair<const char*, std::size_t> encoders[] = {
        {"-c:v libx264 -preset fast -bf 3 -g 1000", 5},
        {"-c:v libx264 -preset fast -bf 0 -g 1000", 1},
        {"-c:v libx265 -preset fast -x265-params log-level=none:keyint=1000:bframes=3", 4}};
    for (const auto& each : encoders) {
        const char* const encoder = each.first;
        const std::size_t places = each.second;
        CAPTURE(encoder);
        const auto path = generate(folder, "in.mp4", encoder, 3);  // one key frame
        if (!path) continue;
        const Source source = read_source(*path);
        const auto wanted = pictures(shown(*path));
        REQUIRE(wanted.size() == 75);
        // Every place in a group of reordered pictures.
        for (std::size_t at = 20; at < 20 + places; ++at) {
            CAPTURE(at);
            const auto clips = cut(source, {at, at + 23});
            const Exported all = exported(folder / "out.mp4", clips);
            CHECK(all.report.frames == 75);
            CHECK(all.report.hidden_frames == 0);
            CHECK(all.report.dropped_frames == 0);
            CHECK(all.report.shown == 3s);
            CHECK(all.pictures == wanted);
        }
    }
}

TEST_CASE("a window in a clip without a key frame shows itself and hides what came before") {
    const TempFolder folder;
    const auto path = generate(folder, "in.mp4", "-c:v libx264 -preset fast -bf 3 -g 1000", 3);
    if (!path) return;
    const Source source = read_source(*path);
    const auto wanted = pictures(shown(*path));
    for (int at = 20; at < 24; ++at) {
        const auto clips = cut(source, {static_cast<std::size_t>(at), 50});
        for (const int from : {at + 2, at + 30}) {
            // The window ends with the third clip's begin, or a little before or behind it.
            for (const int to : {49, 50, 52, 60}) {
                CAPTURE(at);
                CAPTURE(from);
                CAPTURE(to);
                if (from >= to) continue;
                const Exported part =
                    exported(folder / "out.mp4", clips, 0, from * 40ms, to * 40ms);
                REQUIRE(part.pictures.size() >= static_cast<std::size_t>(to - from));
                // What those before the end need may be shown behind it.
                CHECK(part.pictures.size() <= static_cast<std::size_t>(to - from) + 4);
                CHECK(std::equal(part.pictures.begin(), part.pictures.begin() + (to - from),
                                 wanted.begin() + from));
                CHECK(part.report.frames - part.report.hidden_frames == part.pictures.size());
                CHECK(part.report.dropped_frames == 0);
            }
        }
    }
}

TEST_CASE("pictures that nothing came before to decode from are left out, and counted") {
    const TempFolder folder;
    const auto path =
        generate(folder, "in.mp4", "-c:v libx264 -preset fast -bf 0 -g 40 -sc_threshold 0", 3);
    if (!path) return;
    const Source source = read_source(*path);
    const auto wanted = pictures(shown(*path));
    // The second clip holds the key frame 40, the third one none.
    const auto clips = cut(source, {20, 60});
    const Exported alone = exported(folder / "out.mp4", clips, 1);
    CHECK(alone.report.dropped_frames == 20);
    CHECK(alone.pictures == std::vector(wanted.begin() + 40, wanted.end()));

    // The second clip is missing: the third one does not go on from the first.
    std::filesystem::remove(folder / "out.mp4");
    auto out = Mp4Export::begin(folder / "out.mp4");
    REQUIRE(out.ok());
    REQUIRE((*out)->add_clip(clips[0].fragmented, {}).ok());
    REQUIRE((*out)->add_clip(clips[2].fragmented, {}).ok());
    auto report = (*out)->finish();
    REQUIRE(report.ok());
    CHECK(report->frames == 20);
    CHECK(report->dropped_frames == 15);

    // Only what the window wants counts.
    std::filesystem::remove(folder / "out.mp4");
    out = Mp4Export::begin(folder / "out.mp4");
    REQUIRE(out.ok());
    REQUIRE((*out)->add_clip(clips[1].fragmented, {.from = 400ms, .to = 1200ms}).ok());
    report = (*out)->finish();
    REQUIRE(report.ok());
    CHECK(report->frames == 10);
    CHECK(report->dropped_frames == 10);
}

TEST_SUITE_END();
