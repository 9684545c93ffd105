// How much moves: scores of key frames, and the pieces that hold them.
#include <set>

#include <doctest/doctest.h>

#include "pipelines/mux/media_file.hpp"
#include "pipelines/mux/mp4_export.hpp"
#include "tests/pipelines/media_tools.hpp"
#include "tests/pipelines/record_tools.hpp"

using namespace hd;
using namespace hd::record;
using namespace hd::test;
using namespace std::chrono_literals;
using clip::PieceKind;

namespace {

constexpr BootTime kStart{1'000'000'000};
constexpr const char* kX264 = "-c:v libx264 -preset ultrafast -x264-params keyint=25:scenecut=0";
constexpr const char* kX265 =
    "-c:v libx265 -preset ultrafast -x265-params keyint=25:scenecut=0:log-level=none";

// 6 s of a grey wall in noise, key frames 1 s apart; with `box` a light one of 120 x 200 pixels
// stands before it in the third and fourth second: 92 to 112 of 920 blocks.
std::optional<std::string> wall(const TempFolder& folder, const std::string& encoder, bool box) {
    if (!have_program("ffmpeg")) {
        std::printf("skipped: no ffmpeg\n");
        return std::nullopt;
    }
    const std::string path = folder / (box ? "box.mp4" : "still.mp4");
    const Ran ran = run_command(
        "ffmpeg -v error -y -f lavfi -i \"color=c=gray:size=640x368:rate=25,noise=alls=8:allf=t" +
        std::string(box ? ",drawbox=x=100:y=80:w=120:h=200:c=white:t=fill:enable='between(n,50,99)'"
                        : "") +
        "\" -t 6 -pix_fmt yuv420p " + encoder + " " + path);
    if (ran.status == 0) return path;
    std::printf("skipped: ffmpeg cannot make %s: %s\n", path.c_str(), ran.output.c_str());
    return std::nullopt;
}

struct Bench : SessionBench {
    Bench() {
        SessionPlan plan = some_plan(owner);
        plan.activity = true;
        session.replace_plan(plan);
        session.begin_run(RunId{5});
    }
    // The file as a camera sends it. `decoded`: the thread `activity` keeps up.
    void record(const std::string& path, bool decoded = true) {
        auto opened_file = mux::MediaFile::open(path);
        REQUIRE(opened_file.ok());
        mux::MediaFile& in = **opened_file;
        ingest::StreamFormat format = some_format();
        const mux::VideoTrack& track = in.track();
        format.codec = track.codec == mux::Codec::h264 ? ingest::Codec::h264 : ingest::Codec::h265;
        format.codec_config = track.codec_config;
        format.width = track.width;
        format.height = track.height;
        format.rfc6381 = track.rfc6381;
        session.set_format(format);
        for (;;) {
            auto next = in.next();
            REQUIRE(next.ok());
            if (!*next) break;
            const auto& s = **next;
            REQUIRE(session
                        .add({.bytes = *s.bytes,
                              .owner = s.bytes,
                              .pts = kStart + s.pts,
                              .dts = kStart + s.dts,
                              .idr = s.idr,
                              .cra = s.cra})
                        .ok());
            if (decoded) activity.step();
        }
        REQUIRE(session.end(clip::EndReason::shutdown, "").ok());
    }
    std::vector<WritePiece> pieces(PieceKind kind) const {
        std::vector<WritePiece> out;
        for (const WritePiece& p : disk.all<WritePiece>())
            if (p.identity.kind == kind) out.push_back(p);
        return out;
    }
    // As the owner opens them.
    std::vector<clip::ActivityScore> scores(unsigned& skipped) {
        std::vector<clip::ActivityScore> out;
        for (const WritePiece& p : pieces(PieceKind::activity)) {
            const auto plain = seal::open(p.age_file, {&owner, 1});
            REQUIRE(plain.ok());
            const auto one = clip::decode_activity(*plain);
            REQUIRE(one.ok());
            out.insert(out.end(), one->scores.begin(), one->scores.end());
            skipped += one->skipped;
        }
        return out;
    }
    // Of each piece of this kind, all that can be seen without a key.
    std::vector<std::tuple<std::uint32_t, std::int64_t, std::int64_t, std::size_t>> seen() const {
        std::vector<std::tuple<std::uint32_t, std::int64_t, std::int64_t, std::size_t>> out;
        for (const WritePiece& p : pieces(PieceKind::activity))
            out.emplace_back(p.identity.sequence, p.identity.boot_begin.us, p.identity.boot_end.us,
                             p.age_file.size());
        return out;
    }
};

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/activity");

TEST_CASE(
    "a scene that stands still scores 0, a box that comes and goes does not; H.264 and H.265") {
    for (const char* encoder : {kX264, kX265}) {
        CAPTURE(encoder);
        const TempFolder folder;
        const auto still = wall(folder, encoder, false), moved = wall(folder, encoder, true);
        if (!still || !moved) return;
        Bench quiet, busy;
        quiet.record(*still);
        busy.record(*moved);
        unsigned skipped = 0;
        const auto calm = quiet.scores(skipped), scores = busy.scores(skipped);
        CHECK(skipped == 0);
        REQUIRE(calm.size() == 6);
        REQUIRE(scores.size() == 6);
        CHECK_FALSE(calm[0].changed.has_value());
        for (std::size_t i = 0; i < 6; ++i) {
            CHECK(scores[i].at == kStart + 1s * static_cast<int>(i));
            if (i > 0) CHECK(calm[i].changed == 0);
            if (i == 2 || i == 4) {
                CHECK(scores[i].changed > 90);
                CHECK(scores[i].changed < 130);
            } else if (i > 0) {
                CHECK(scores[i].changed == 0);
            }
        }
        // Without the key nobody can tell the one from the other.
        CHECK(quiet.seen() == busy.seen());
        CHECK(quiet.seen().size() == 6);
    }
}

TEST_CASE(
    "scores come for key frames only, behind their piece of video, and the clip still plays") {
    const TempFolder folder;
    // Two video pieces in three begin without a key frame.
    const auto file = generate(folder, "in.mp4", "-c:v libx264 -preset ultrafast -g 75 -bf 2", 7);
    if (!file) return;
    Bench b;
    b.record(*file);
    const auto all = b.disk.all<WritePiece>();
    std::size_t keyed = 0;
    std::set<std::size_t> sizes;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& id = all[i].identity;
        CHECK(id.sequence == i);
        if (id.kind == PieceKind::video && id.start != clip::PieceStart::none) {
            ++keyed;
            REQUIRE(i + 1 < all.size());
            CHECK(all[i + 1].identity.kind == PieceKind::activity);
            CHECK(all[i + 1].identity.boot_begin == id.boot_begin);
            CHECK(all[i + 1].identity.frames == 0);
        }
        if (id.kind == PieceKind::activity) sizes.insert(all[i].age_file.size());
    }
    CHECK(keyed == 3);
    CHECK(b.pieces(PieceKind::activity).size() == keyed);
    CHECK(sizes.size() == 1);
    // Somebody who joins all pieces without our tools.
    write_bytes(folder / "joined.mp4", b.opened(ClipId{{1}}));
    CHECK(decode_errors(folder / "joined.mp4") == "");
    CHECK(ffprobe(folder / "joined.mp4", "stream=nb_read_packets", "-count_packets") == "175");
    auto made = mux::Mp4Export::begin(folder / "exported.mp4");
    REQUIRE(made.ok());
    CHECK((*made)->add_clip(b.opened(ClipId{{1}}), {}).ok());
    REQUIRE((*made)->finish().ok());
    CHECK(decode_errors(folder / "exported.mp4") == "");
}

TEST_CASE(
    "a decoder that never gets its turn, or gets bytes that are no picture, costs scores only") {
    const TempFolder folder;
    const auto file = wall(folder, kX264, false);
    if (!file) return;
    Bench behind, plain;
    behind.record(*file, false);
    plain.record(*file);
    CHECK(behind.seen() == plain.seen());
    CHECK(behind.session.frames() == plain.session.frames());
    unsigned skipped = 0;
    CHECK(behind.scores(skipped).empty());
    CHECK(skipped == 5);  // the sixth waits for its turn still

    Bench noise;
    noise.session.set_format(some_format());
    for (int i = 0; i < 100; ++i) {
        REQUIRE(noise.session.add(some_frame(kStart + i * 40ms, i % 25 == 0)).ok());
        noise.activity.step();
    }
    REQUIRE(noise.session.end(clip::EndReason::shutdown, "").ok());
    skipped = 0;
    CHECK(noise.scores(skipped).empty());
    CHECK(skipped == 4);
    CHECK(noise.session.frames() == 100);
}

TEST_CASE("a camera whose every frame is a key frame is looked at about once a second") {
    const TempFolder folder;
    const auto file = generate(folder, "in.mp4", "-c:v libx264 -preset ultrafast -g 1", 4);
    if (!file) return;
    Bench b;
    b.record(*file);
    unsigned skipped = 0;
    CHECK(b.scores(skipped).size() <= 5);
    CHECK(b.pieces(PieceKind::activity).size() == b.pieces(PieceKind::video).size());
}

TEST_CASE("without the setting there is no such piece") {
    Bench b;
    SessionPlan plan = some_plan(b.owner);
    b.session.replace_plan(plan);
    b.session.set_format(some_format());
    for (int i = 0; i < 50; ++i)
        REQUIRE(b.session.add(some_frame(kStart + i * 40ms, i % 25 == 0)).ok());
    REQUIRE(b.session.end(clip::EndReason::shutdown, "").ok());
    CHECK(b.pieces(PieceKind::activity).empty());
}

TEST_SUITE_END();
