// The shapes that real cameras' streams have, from frames to opened pieces.
#include <doctest/doctest.h>

#include "index/clip/clip_writer.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/mux/media_file.hpp"
#include "tests/pipelines/media_tools.hpp"
#include "tests/pipelines/record_tools.hpp"

using namespace hd;
using namespace hd::record;
using namespace hd::test;
using namespace std::chrono_literals;
using clip::EndReason;
using clip::PieceKind;

namespace {

constexpr BootTime kStart{1'000'000'000};

struct Bench : SessionBench {
    explicit Bench(const ingest::StreamFormat& format = some_format()) {
        session.begin_run(RunId{5});
        session.set_format(format);
    }
    void end() { REQUIRE(session.end(EndReason::shutdown, "").ok()); }
    std::vector<clip::ClipHeader> headers() const {
        std::vector<clip::ClipHeader> out;
        for (const BeginClip& b : disk.all<BeginClip>()) out.push_back(b.header);
        return out;
    }
};

ingest::StreamFormat format_of(const mux::MediaFile& file) {
    ingest::StreamFormat f = some_format();
    f.codec = file.track().codec == mux::Codec::h264 ? ingest::Codec::h264 : ingest::Codec::h265;
    f.width = file.track().width;
    f.height = file.track().height;
    f.codec_config = file.track().codec_config;
    f.rfc6381 = file.track().rfc6381;
    return f;
}

std::vector<mux::OwnedSample> samples_of(mux::MediaFile& file) {
    std::vector<mux::OwnedSample> out;
    for (;;) {
        auto next = file.next();
        REQUIRE(next.ok());
        if (!*next) return out;
        out.push_back(std::move(**next));
    }
}

ingest::Frame frame_of(const mux::OwnedSample& s) {
    return {.bytes = *s.bytes,
            .owner = s.bytes,
            .pts = kStart + s.pts,
            .dts = kStart + s.dts,
            .idr = s.idr,
            .cra = s.cra};
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/stream shapes");

TEST_CASE("key frames 100 s apart: pieces of a second, and clips that wait for the key frame") {
    Bench b;
    for (int i = 0; i < 25 * 250; ++i)
        REQUIRE(b.session.add(some_frame(kStart + i * 40ms, i % 2500 == 0)).ok());
    b.end();
    for (const WritePiece& p : b.disk.all<WritePiece>())
        CHECK(p.identity.boot_end - p.identity.boot_begin <= 1s);
    const auto headers = b.headers();
    REQUIRE(headers.size() == 3);
    CHECK(b.disk.all<EndClip>()[0].reason == EndReason::target);
    for (const auto& h : headers) CHECK_FALSE(clip::key_distance(h.extensions).has_value());
}

TEST_CASE("a stream that never sends a second key frame loses nothing and declares the distance") {
    Bench b;
    for (int i = 0; i < 25 * 300; ++i)
        REQUIRE(b.session.add(some_frame(kStart + i * 40ms, i == 0)).ok());
    b.end();
    CHECK(b.session.frames() == 25 * 300);
    const auto headers = b.headers();
    REQUIRE(headers.size() == 3);
    CHECK_FALSE(clip::key_distance(headers[0].extensions).has_value());
    for (std::size_t i : {1u, 2u}) {
        const auto key = clip::key_distance(headers[i].extensions);
        REQUIRE(key.has_value());
        CHECK(key->clip == ClipId{{1}});
        CHECK(key->distance == headers[i].boot_begin - kStart);
        CHECK(b.disk.all<EndClip>()[i - 1].reason == EndReason::hard_max);
    }
    // The header as it is on the disk.
    std::size_t size = 0;
    const auto back = clip::decode_header(clip::encode_header(headers[2]), size);
    REQUIRE(back.ok());
    CHECK(clip::key_distance(back->extensions) == clip::key_distance(headers[2].extensions));
}

TEST_CASE("H.264 and H.265 with B-frames: every picture with its bytes, display and decode time") {
    const TempFolder folder;
    for (const char* encoder : {"-c:v libx264 -g 50 -bf 2",
                                "-c:v libx265 -x265-params "
                                "log-level=none:keyint=50:bframes=3"}) {
        const auto path = generate(folder, "in.mp4", encoder, 4);
        if (!path) continue;
        auto file = mux::MediaFile::open(*path);
        REQUIRE(file.ok());
        const auto samples = samples_of(**file);
        Bench b(format_of(**file));
        for (const auto& s : samples) REQUIRE(b.session.add(frame_of(s)).ok());
        b.end();
        const Bytes whole = b.opened(ClipId{{1}});
        auto back = mux::MediaFile::open_bytes(whole);
        REQUIRE(back.ok());
        const auto got = samples_of(**back);
        REQUIRE(got.size() == samples.size());
        for (std::size_t i = 0; i < got.size(); ++i) {
            CHECK(*got[i].bytes == *samples[i].bytes);  // SEI and all
            CHECK(got[i].pts == samples[i].pts);
            CHECK(got[i].dts == samples[i].dts);
            CHECK(got[i].idr == samples[i].idr);
            CHECK(got[i].cra == samples[i].cra);
        }
        write_bytes(folder / "out.mp4", whole);
        CHECK(decode_errors(folder / "out.mp4") == "");
    }
}

TEST_CASE("variable frame rate: each picture keeps its own time") {
    Bench b;
    Micros at{0};
    std::vector<Micros> times;
    for (int i = 0; i < 400; ++i) {
        times.push_back(at);
        REQUIRE(b.session.add(some_frame(kStart + at, i % 30 == 0)).ok());
        at += Micros(7'001 + i * i * 7'919 % 130'000);
    }
    b.end();
    const Bytes whole = b.opened(ClipId{{1}});
    auto file = mux::MediaFile::open_bytes(whole);
    REQUIRE(file.ok());
    const auto got = samples_of(**file);
    REQUIRE(got.size() == times.size());
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i].pts == times[i]);
}

TEST_CASE("another resolution in mid-stream is a clean cut: two clips that decode, no frame lost") {
    const TempFolder folder;
    const auto small = generate(folder, "small.mp4", "-c:v libx264 -g 50 -bf 2", 3);
    const auto large = generate(folder, "large.mp4", "-vf scale=640:480 -c:v libx264 -g 50", 3);
    if (!small || !large) return;
    auto a = mux::MediaFile::open(*small), z = mux::MediaFile::open(*large);
    REQUIRE(a.ok());
    REQUIRE(z.ok());
    const auto first = samples_of(**a);
    auto second = samples_of(**z);
    Bench b(format_of(**a));
    for (const auto& s : first) REQUIRE(b.session.add(frame_of(s)).ok());
    b.session.set_format(format_of(**z));
    for (auto& s : second) {
        s.pts += 3s;
        s.dts += 3s;
        REQUIRE(b.session.add(frame_of(s)).ok());
    }
    b.end();
    const auto headers = b.headers();
    REQUIRE(headers.size() == 2);
    CHECK(headers[0].width == 320);
    CHECK(headers[1].width == 640);
    CHECK(headers[1].boot_begin == kStart + 3s);
    CHECK(b.disk.all<EndClip>()[0].reason == EndReason::codec_change);
    CHECK(b.session.frames() == first.size() + second.size());
    for (const std::uint8_t clip : {std::uint8_t{1}, std::uint8_t{2}}) {
        const std::string path = folder / ("out" + std::to_string(clip) + ".mp4");
        write_bytes(path, b.opened(ClipId{{clip}}));
        CHECK(decode_errors(path) == "");
    }
}

TEST_CASE("an open-GOP key frame is told apart from an IDR in the piece that it begins") {
    Bench b;
    for (int i = 0; i < 200; ++i) {
        ingest::Frame frame = some_frame(kStart + i * 40ms, i % 50 == 0);
        frame.cra = frame.idr && i > 0;
        frame.idr = i == 0;
        REQUIRE(b.session.add(frame).ok());
    }
    b.end();
    std::vector<clip::PieceStart> starts;
    for (const WritePiece& p : b.disk.all<WritePiece>())
        if (p.identity.start != clip::PieceStart::none) starts.push_back(p.identity.start);
    using clip::PieceStart;
    CHECK(starts ==
          std::vector{PieceStart::idr, PieceStart::cra, PieceStart::cra, PieceStart::cra});
}

TEST_SUITE_END();
