#include <doctest/doctest.h>

#include "index/seal/piece_stanza.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/mux/probe.hpp"
#include "pipelines/record/session_plan.hpp"
#include "tests/pipelines/record_tools.hpp"

using namespace hd;
using namespace hd::record;
using namespace hd::test;
using namespace std::chrono_literals;
using clip::EndReason;

namespace {

struct Bench : SessionBench {
    BootTime now{1'000'000'000};

    Bench() {
        session.begin_run(RunId{5});
        session.set_format(some_format());
    }
    void feed(int frames, int key_every, Micros step = 40ms) {
        for (int i = 0; i < frames; ++i, now = now + step)
            REQUIRE(session.add(some_frame(now, i % key_every == 0)).ok());
    }
};

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/clip_session");

TEST_CASE(
    "every frame is in one piece, pieces follow each other, and all opens with the owner's key") {
    Bench b;
    b.feed(500, 50);
    REQUIRE(b.session.end(EndReason::shutdown, "test").ok());
    const auto pieces = b.disk.all<WritePiece>();
    std::uint32_t frames = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const clip::PieceIdentity& id = pieces[i].identity;
        CHECK(id.sequence == i);
        CHECK((id.kind == clip::PieceKind::init) == (i == 0));
        if (i > 1) CHECK(id.boot_begin == pieces[i - 1].identity.boot_end);
        CHECK(id.utc_begin == some_time().to_wall(id.boot_begin));
        frames += id.frames;
    }
    CHECK(frames == 500);
    const auto facts = mux::probe_bytes(b.opened(ClipId{{1}}));
    REQUIRE_MESSAGE(facts.ok(), (facts.ok() ? "" : facts.error().what));
    CHECK(facts->frames == 500);
    CHECK(facts->idr_frames == 10);
    CHECK(facts->duration == 20s);
    REQUIRE(b.disk.all<EndClip>().size() == 1);
    CHECK(b.disk.all<EndClip>()[0].reason == EndReason::shutdown);
}

TEST_CASE("a piece's stanza binds it to its clip header and identity") {
    Bench b;
    b.feed(30, 50);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    const auto header = clip::encode_header(b.disk.all<BeginClip>()[0].header);
    auto pieces = b.disk.all<WritePiece>();
    REQUIRE(pieces.size() >= 2);
    auto opened = seal::open_header(pieces[1].age_file, {&b.owner, 1});
    REQUIRE(opened.ok());
    CHECK(seal::check_piece_stanza(opened->parsed.header, header,
                                   clip::encode_identity(pieces[1].identity))
              .ok());
    pieces[1].identity.utc_begin = pieces[1].identity.utc_begin + Micros(1);
    CHECK_FALSE(seal::check_piece_stanza(opened->parsed.header, header,
                                         clip::encode_identity(pieces[1].identity))
                    .ok());
}

TEST_CASE("frames before the first key frame of a run are left out and counted") {
    Bench b;
    for (int i = 0; i < 7; ++i, b.now = b.now + 40ms)
        REQUIRE(b.session.add(some_frame(b.now, false)).ok());
    CHECK_FALSE(b.session.is_open());
    CHECK(b.session.skipped_frames() == 7);
    b.feed(10, 50);
    CHECK(b.session.is_open());
    CHECK(b.disk.all<BeginClip>()[0].header.boot_begin == BootTime{1'000'280'000});
}

TEST_CASE("new codec parameters begin a new clip with the frame that they come with") {
    Bench b;
    b.feed(60, 50);
    b.session.set_format(some_format(0x20));
    b.feed(60, 50);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    const auto ends = b.disk.all<EndClip>();
    REQUIRE(ends.size() == 2);
    CHECK(ends[0].reason == EndReason::codec_change);
    const auto begins = b.disk.all<BeginClip>();
    CHECK(begins[0].header.codec == "avc1.4D401F");
    CHECK(begins[1].header.codec == "avc1.4D4020");
    CHECK(mux::probe_bytes(b.opened(ClipId{{1}}))->frames == 60);
    CHECK(mux::probe_bytes(b.opened(ClipId{{2}}))->frames == 60);
    b.session.set_format(some_format(0x20));  // the same again
    CHECK(b.disk.all<EndClip>().size() == 2);
}

TEST_CASE("the same parameters again do not cut") {
    Bench b;
    b.feed(60, 50);
    b.session.set_format(some_format());
    b.feed(40, 50);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    CHECK(b.disk.all<EndClip>().size() == 1);
}

TEST_CASE("new recipients hold from the next key frame on and not before") {
    Bench b;
    b.feed(60, 50);
    const seal::Identity other = seal::generate_identity();
    SessionPlan plan = some_plan(other);
    plan.policy_number = 4;
    b.session.want_cut(EndReason::settings_change);
    b.session.replace_plan(plan);
    for (int i = 0; i < 40; ++i, b.now = b.now + 40ms)
        REQUIRE(b.session.add(some_frame(b.now, false)).ok());
    CHECK(b.disk.all<BeginClip>().size() == 1);
    b.feed(60, 50);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    REQUIRE(b.disk.all<EndClip>()[0].reason == EndReason::settings_change);
    REQUIRE(b.disk.all<BeginClip>().size() == 2);
    CHECK(b.disk.all<BeginClip>()[1].header.policy_number == 4);
    for (const WritePiece& p : b.disk.all<WritePiece>()) {
        const bool first_clip = p.identity.clip == ClipId{{1}};
        CHECK(seal::open(p.age_file, {&b.owner, 1}).ok() == first_clip);
        CHECK(seal::open(p.age_file, {&other, 1}).ok() == !first_clip);
    }
}

TEST_CASE("after its file broke, recording goes on in a new clip from the next key frame") {
    Bench b;
    b.feed(60, 50);
    b.session.abandon(ClipId{{9}});  // not this one
    CHECK(b.session.is_open());
    b.session.abandon(ClipId{{1}});
    CHECK_FALSE(b.session.is_open());
    REQUIRE(b.session.add(some_frame(b.now, false)).ok());
    CHECK_FALSE(b.session.is_open());
    b.feed(10, 50);
    CHECK(b.session.is_open());
    CHECK(b.disk.all<BeginClip>().size() == 2);
    CHECK(b.disk.all<EndClip>().empty());
}

TEST_CASE("a clip that is cut without a key frame goes on with the very next frame") {
    Bench b;
    b.feed(3100, 100'000);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    const auto ends = b.disk.all<EndClip>();
    REQUIRE(ends.size() == 2);
    CHECK(ends[0].reason == EndReason::hard_max);
    std::uint32_t frames = 0;
    for (const WritePiece& p : b.disk.all<WritePiece>()) frames += p.identity.frames;
    CHECK(frames == 3100);
}

TEST_CASE("a last picture that stood for long does not make a clip longer than 120 s") {
    Bench b;
    SessionPlan plan = some_plan(b.owner);
    plan.limits.target = 120s;
    plan.longest_frame = 100s;
    b.session.replace_plan(plan);
    b.feed(2990, 100'000);
    b.now = b.now + 30s;
    b.feed(10, 100);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    for (const WritePiece& p : b.disk.all<WritePiece>())
        if (p.identity.clip == ClipId{{1}})
            CHECK(p.identity.boot_end - BootTime{1'000'000'000} <= 120s);
}

TEST_CASE("with B-frames a piece's times are those of its earliest and latest picture") {
    Bench b;
    // Decode order I P B B: shown I B B P, two frames later than decoded.
    const int shown[] = {2, 5, 3, 4};
    for (int i = 0; i < 25; ++i) {
        const int group = i / 4 * 4;
        const BootTime dts{1'000'000'000 + i * 40'000};
        const BootTime pts{1'000'000'000 + (group + shown[i % 4]) * 40'000};
        REQUIRE(b.session.add(some_frame(dts, i % 100 == 0, 100, pts - dts)).ok());
    }
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    const auto pieces = b.disk.all<WritePiece>();
    REQUIRE(pieces.size() == 2);
    CHECK(pieces[1].identity.boot_begin == BootTime{1'000'080'000});
    const auto facts = mux::probe_bytes(b.opened(ClipId{{1}}));
    REQUIRE(facts.ok());
    CHECK(facts->first_pts == Micros(0));
}

TEST_CASE("a frame before any format, and parameters that make no MP4, are refused") {
    seal::Identity owner = seal::generate_identity();
    JobList disk;
    ClipSession session{some_plan(owner),
                        {.disk = disk,
                         .new_clip_id = [] { return ClipId{{1}}; },
                         .time_base = [] { return some_time(); }}};
    session.begin_run(RunId{1});
    CHECK_FALSE(session.add(some_frame(BootTime{1}, true)).ok());
    ingest::StreamFormat bad = some_format();
    bad.codec_config.clear();
    session.set_format(bad);
    CHECK_FALSE(session.add(some_frame(BootTime{1}, true)).ok());
    CHECK(disk.jobs.empty());
}

TEST_CASE("a camera that gives no video is asked once a second, one that refuses us more rarely") {
    using journal::GapCause;
    const BootTime began{1'000'000'000};
    const auto at = [&](GapCause cause, unsigned failures, std::uint32_t jitter, Micros took) {
        return retry_at({cause, failures, jitter, began, began + took}) - began;
    };
    for (const GapCause cause : {GapCause::unreachable, GapCause::closed, GapCause::stalled}) {
        for (const unsigned failures : {0u, 1u, 1000u}) {
            CHECK(at(cause, failures, 0, 5ms) >= 750ms);
            CHECK(at(cause, failures, UINT32_MAX, 5ms) <= 1s);
            // An attempt that itself waited for a second, and a run of hours, are not waited for.
            CHECK(at(cause, failures, UINT32_MAX, 1s) == 1100ms);
            CHECK(at(cause, failures, UINT32_MAX, 7200s) == 7200s + 100ms);
        }
    }
    for (const GapCause cause : {GapCause::refused, GapCause::encoder}) {
        CHECK(at(cause, 0, UINT32_MAX, 0s) <= 500ms);
        CHECK(at(cause, 3, UINT32_MAX, 0s) > at(cause, 2, UINT32_MAX, 0s));
        CHECK(at(cause, 1000, 0, 0s) >= 15s);
        CHECK(at(cause, 1000, UINT32_MAX, 0s) <= 30s);
    }
}

TEST_CASE("only what concerns the camera's connection reconnects") {
    link::RecorderSettings a, b;
    b.clip_target = 5s;
    b.recipients.resize(1);
    CHECK_FALSE(needs_reconnect(a, b));
    b.password = "x";
    CHECK(needs_reconnect(a, b));
}

TEST_SUITE_END();
