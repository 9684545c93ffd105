// Sound through a clip session: pieces of its own, in time, and never in the way of video.
#include <cmath>
#include <fstream>

#include <doctest/doctest.h>

#include "index/clip/clip_writer.hpp"
#include "index/seal/seal.hpp"
#include "pipelines/mux/audio_transcoder.hpp"
#include "pipelines/mux/media_file.hpp"
#include "pipelines/mux/mp4_export.hpp"
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

ingest::AudioFormat aac_format() {
    return {.codec = ingest::AudioCodec::aac,
            .rate = 16'000,
            .channels = 1,
            .codec_config = {0x14, 0x08},
            .words = "AAC, 16000 Hz"};
}

ingest::AudioFormat law_a_format() {
    return {.codec = ingest::AudioCodec::pcma,
            .rate = 8'000,
            .channels = 1,
            .codec_config = {},
            .words = "G.711 A-law, 8000 Hz, as AAC"};
}

ingest::AudioFrame sound(BootTime pts, const Bytes& content, Micros duration) {
    auto bytes = std::make_shared<const Bytes>(content);
    return {.bytes = *bytes, .owner = bytes, .pts = pts, .duration = duration};
}

struct Bench : SessionBench {
    std::uint8_t numbered = 0;

    explicit Bench(const ingest::AudioFormat& format = aac_format()) {
        session.begin_run(RunId{5});
        session.set_audio(format);
        session.set_format(some_format());
    }
    void video(Micros at, bool key) { REQUIRE(session.add(some_frame(kStart + at, key)).ok()); }
    void audio(Micros at) { session.add_audio(sound(kStart + at, Bytes{++numbered, 1, 2}, 64ms)); }
    // Both at their pace in [from, to), key frames every 2 s, sound every 64 ms.
    void both(Micros from, Micros to) {
        Micros heard = (from + 63ms) / 64ms * 64ms;
        for (Micros t = from; t < to; t += 40ms) {
            for (; heard <= t; heard += 64ms) audio(heard);
            video(t, t % Micros(2s) == 0us);
        }
    }
    std::vector<WritePiece> pieces(PieceKind kind) const {
        std::vector<WritePiece> out;
        for (const WritePiece& p : disk.all<WritePiece>())
            if (p.identity.kind == kind) out.push_back(p);
        return out;
    }
    std::uint64_t units() const {
        std::uint64_t n = 0;
        for (const WritePiece& p : pieces(PieceKind::audio)) n += p.identity.frames;
        return n;
    }
};

// A second of a 440 Hz tone in A-law, from `at` on.
Bytes tone(int samples, int& at) {
    Bytes out;
    for (int i = 0; i < samples; ++i, ++at) {
        const int v = static_cast<int>(12'000 * std::sin(at * 2 * 3.14159265 * 440 / 8000));
        const int magnitude = std::min(std::abs(v) / 16, 2047);
        int exponent = 0;
        while (exponent < 7 && magnitude >= 32 << exponent) ++exponent;
        const int mantissa = exponent == 0 ? magnitude / 2 : (magnitude >> exponent) & 15;
        const int sign = v >= 0 ? 0x80 : 0;
        out.push_back(static_cast<std::uint8_t>((sign | exponent << 4 | (mantissa & 15)) ^ 0x55));
    }
    return out;
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/clip_session with sound");

TEST_CASE("each piece of sound follows its piece of video, and every unit is there once") {
    Bench b;
    b.both(0s, 65s);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    std::uint32_t sequence = 0;
    ClipId clip{};
    for (const WritePiece& p : b.disk.all<WritePiece>()) {
        if (p.identity.clip != clip) sequence = 0;
        clip = p.identity.clip;
        CHECK(p.identity.sequence == sequence++);
    }
    const auto audio = b.pieces(PieceKind::audio), video = b.pieces(PieceKind::video);
    REQUIRE(audio.size() > 60);
    CHECK(audio.size() <= video.size());
    for (std::size_t i = 1; i < audio.size(); ++i)
        CHECK(audio[i].identity.boot_begin == audio[i - 1].identity.boot_end);
    for (const WritePiece& p : audio) {
        CHECK(p.identity.start == clip::PieceStart::none);
        CHECK(p.identity.utc_begin == some_time().to_wall(p.identity.boot_begin));
    }
    CHECK(b.units() == 1016);  // 65 s in 64 ms, the last one begun
    CHECK(b.disk.all<BeginClip>().size() == 2);
    CHECK(clip::audio_words(b.disk.all<BeginClip>()[0].header.extensions) == "AAC, 16000 Hz");
    // The second clip's first picture parts the sound too.
    CHECK(audio.back().identity.clip == ClipId{{2}});
}

TEST_CASE("sound that comes after the cut but was heard before it is in the next clip") {
    Bench b;
    b.both(0s, 60s);
    b.video(60s, true);          // a new clip
    b.audio(59s + 960ms + 1ms);  // late
    b.audio(60s + 20ms);
    b.both(60s + 40ms, 61s + 40ms);
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    const auto audio = b.pieces(PieceKind::audio);
    const auto first = std::find_if(audio.begin(), audio.end(), [](const WritePiece& p) {
        return p.identity.clip == ClipId{{2}};
    });
    REQUIRE(first != audio.end());
    CHECK(first->identity.boot_begin == kStart + 59s + 960ms + 1ms);
    // The clip begins with its picture all the same.
    CHECK(b.disk.all<BeginClip>()[1].header.boot_begin == kStart + 60s);
}

TEST_CASE(
    "sound that never starts, stops, goes back, floods or lies in its times changes no video") {
    const auto video_of = [](const std::function<void(Bench&, Micros)>& play) {
        Bench b;
        for (Micros t{0}; t < 70s; t += 40ms) {
            play(b, t);
            b.video(t, t % Micros(2s) == 0us);
        }
        REQUIRE(b.session.end(EndReason::shutdown, "").ok());
        std::vector<std::tuple<BootTime, BootTime, std::uint32_t>> out;
        for (const WritePiece& p : b.pieces(PieceKind::video))
            out.emplace_back(p.identity.boot_begin, p.identity.boot_end, p.identity.frames);
        for (const WritePiece& p : b.pieces(PieceKind::audio)) {
            CHECK(p.age_file.size() < 2 * AudioQueue::kMostBytes);
            CHECK(p.identity.boot_begin < p.identity.boot_end);
        }
        return out;
    };
    const auto plain = video_of([](Bench&, Micros) {});
    CHECK(plain.size() > 60);
    CHECK(plain == video_of([](Bench& b, Micros t) {
              if (t < 10s) b.audio(t);
          }));
    CHECK(plain == video_of([](Bench& b, Micros t) { b.audio(70s - t); }));
    CHECK(plain == video_of([](Bench& b, Micros t) { b.audio(t + 1h); }));
    CHECK(plain == video_of([](Bench& b, Micros t) { b.audio(t * 3 / 2); }));
    CHECK(plain == video_of([](Bench& b, Micros t) {
              for (int i = 0; i < 40; ++i)
                  b.session.add_audio(sound(kStart + t, Bytes(8000, 1), 64ms));
          }));
}

TEST_CASE("a stall of the sound is a hole in it and no shift") {
    Bench b;
    for (Micros t{0}; t < 10s; t += 40ms) {
        if (t % Micros(80ms) == 0us && (t < 3s || t >= 6s)) b.audio(t);
        b.video(t, t % Micros(2s) == 0us);
    }
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    const TempFolder folder;
    write_bytes(folder / "clip.mp4", b.opened(ClipId{{1}}));
    const std::string times =
        ffprobe(folder / "clip.mp4", "packet=pts_time", "-select_streams a:0");
    CHECK(times.find("2.96") != std::string::npos);
    CHECK(times.find("6.00") != std::string::npos);
    CHECK(times.find("3.1") == std::string::npos);
}

TEST_CASE("G.711 becomes AAC in the same time; the clip plays, with and without its sound") {
    const TempFolder folder;
    const auto file = generate(folder, "in.mp4", "-c:v libx264 -g 50 -bf 2", 10);
    if (!file) return;
    auto opened = mux::MediaFile::open(*file);
    REQUIRE(opened.ok());
    mux::MediaFile& in = **opened;
    Bench b(law_a_format());
    CHECK(b.session.audio_words() == "G.711 A-law, 8000 Hz, as AAC");
    ingest::StreamFormat format = some_format();
    format.codec_config = in.track().codec_config;
    format.width = in.track().width;
    format.height = in.track().height;
    format.rfc6381 = in.track().rfc6381;
    b.session.set_format(format);
    int at = 0;
    Micros heard{0};
    for (;;) {
        auto next = in.next();
        REQUIRE(next.ok());
        if (!*next) break;
        const auto& s = **next;
        for (; heard <= s.pts; heard += 20ms)
            b.session.add_audio(sound(kStart + heard, tone(160, at), 20ms));
        ingest::Frame frame{.bytes = *s.bytes,
                            .owner = s.bytes,
                            .pts = kStart + s.pts,
                            .dts = kStart + s.dts,
                            .idr = s.idr,
                            .cra = s.cra};
        REQUIRE(b.session.add(frame).ok());
    }
    REQUIRE(b.session.end(EndReason::shutdown, "").ok());
    CHECK(b.units() >= 75);  // 10 s in 128 ms

    const std::string whole = folder / "whole.mp4", mute = folder / "mute.mp4";
    write_bytes(whole, b.opened(ClipId{{1}}));
    write_bytes(mute, b.opened(ClipId{{1}}, false));
    CHECK(decode_errors(whole) == "");
    CHECK(decode_errors(mute) == "");
    CHECK(ffprobe(whole, "stream=codec_name,sample_rate", "-select_streams a:0").find("aac,8000") !=
          std::string::npos);
    // The tone begins with the first picture and is loud to the end.
    const Ran level = run_command("ffmpeg -hide_banner -i " + whole +
                                  " -map 0:a -af atrim=1:9,volumedetect -f null - 2>&1");
    CHECK(level.output.find("max_volume: -") != std::string::npos);
    CHECK(level.output.find("max_volume: -9") == std::string::npos);
    // The owner's export has both; a release without sound shows no trace of it.
    const auto exported = [&](const std::string& name, bool with_sound, mux::Mp4Export::Part part) {
        auto made = mux::Mp4Export::begin(folder / name);
        REQUIRE(made.ok());
        REQUIRE((*made)->add_clip(b.opened(ClipId{{1}}, with_sound), part).ok());
        const auto report = (*made)->finish();
        REQUIRE(report.ok());
        CHECK(decode_errors(folder / name) == "");
        return *report;
    };
    CHECK(exported("both.mp4", true, {}).sound_units >= 75);
    CHECK(exported("part.mp4", true, {.from = 3s, .to = 5s}).sound_units <= 16);
    CHECK(exported("picture.mp4", false, {}).sound_units == 0);
    CHECK(ffprobe(folder / "both.mp4", "format=nb_streams") == "2");
    CHECK(ffprobe(folder / "picture.mp4", "format=nb_streams") == "1");
    const std::string length = ffprobe(folder / "part.mp4", "format=duration");
    CHECK(std::abs(std::atof(length.c_str()) - 2) < 0.2);
    const std::string begin = ffprobe(whole, "stream=start_time", "-select_streams a:0");
    CHECK(std::abs(std::atof(begin.c_str())) < 0.15);
}

TEST_SUITE_END();
