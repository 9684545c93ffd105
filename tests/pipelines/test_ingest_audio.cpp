// A camera's sound: what its SDP says, its packets, and the conversation for it.
#include <doctest/doctest.h>

#include "pipelines/ingest/audio_payload.hpp"
#include "pipelines/ingest/ingress.hpp"
#include "pipelines/ingest/rtsp_client.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

AudioPayload payload_of(const std::string& lines) {
    const auto sdp = parse_sdp("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n" + lines);
    REQUIRE(sdp.ok());
    const auto chosen = choose_audio(*sdp);
    REQUIRE(chosen.has_value());
    return chosen->payload;
}

const std::string kAac =
    "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000/1\n"
    "a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
    "indexdeltalength=3;config=1408\n";

RtpPacket packet_of(const Bytes& payload, std::uint16_t sequence, std::uint32_t timestamp) {
    return {.payload_type = 97,
            .marker = true,
            .sequence = sequence,
            .timestamp = timestamp,
            .ssrc = 7,
            .payload = payload};
}

// AU headers of 13 and 3 bits, then the units.
Bytes aac_packet(const std::vector<Bytes>& units) {
    Bytes out{0, static_cast<std::uint8_t>(units.size() * 16)};
    for (const Bytes& u : units) {
        out.push_back(static_cast<std::uint8_t>(u.size() >> 5));
        out.push_back(static_cast<std::uint8_t>(u.size() << 3));
    }
    for (const Bytes& u : units) out.insert(out.end(), u.begin(), u.end());
    return out;
}

std::vector<AudioFrame> take(AudioReceiver& in, const RtpPacket& p, BootTime arrival) {
    std::vector<AudioFrame> out;
    in.take(p, arrival, out);
    return out;
}

Bytes bytes_of(const AudioFrame& f) { return {f.bytes.begin(), f.bytes.end()}; }

}  // namespace

TEST_SUITE("pipelines/ingest/audio_payload") {
    TEST_CASE("AAC, Opus and G.711 are known by their SDP, everything else is named") {
        const AudioPayload aac = payload_of(kAac);
        CHECK(aac.format.codec == AudioCodec::aac);
        CHECK(aac.format.codec_config == Bytes{0x14, 0x08});
        CHECK(aac.format.rate == 16'000);
        CHECK(aac.format.channels == 1);
        CHECK(aac.format.words == "AAC, 16000 Hz");
        CHECK(aac.unit_ticks == 1024);

        const AudioPayload opus = payload_of("m=audio 0 RTP/AVP 98\na=rtpmap:98 opus/48000/2\n");
        CHECK(opus.format.codec == AudioCodec::opus);
        CHECK(opus.format.channels == 2);

        CHECK(payload_of("m=audio 0 RTP/AVP 0\n").format.codec == AudioCodec::pcmu);
        CHECK(payload_of("m=audio 0 RTP/AVP 8\n").format.codec == AudioCodec::pcma);
        const AudioPayload dynamic =
            payload_of("m=audio 0 RTP/AVP 104\na=rtpmap:104 PCMA/16000/1\n");
        CHECK(dynamic.format.codec == AudioCodec::pcma);
        CHECK(dynamic.format.rate == 16'000);
        CHECK(dynamic.format.words == "G.711 A-law, 16000 Hz, as AAC");

        for (const auto& [lines, words] :
             {std::pair{"m=audio 0 RTP/AVP 97\na=rtpmap:97 G726-32/8000\n",
                        "not recorded: the camera sends G726-32"},
              {"m=audio 0 RTP/AVP 97\na=rtpmap:97 MP4A-LATM/16000\n",
               "not recorded: the camera sends MP4A-LATM"},
              {"m=audio 0 RTP/AVP 97\n", "not recorded: the camera does not say what it is"},
              {"m=audio 0 RTP/AVP 97\na=rtpmap:97 PCMA/8000/2\n",
               "not recorded: G.711 A-law, 8000 Hz, 2 channels"},
              {"m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000\n"
               "a=fmtp:97 sizelength=13;config=0000\n",
               "not recorded: AAC of object type 0, 96000 Hz, 0 channels"},
              {"m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000\na=fmtp:97 config=1408\n",
               "not recorded: AAC in packets of another mode than AAC-hbr"}}) {
            const AudioPayload p = payload_of(lines);
            CHECK(p.format.codec == AudioCodec::none);
            CHECK(p.format.words == words);
        }
    }

    TEST_CASE("AAC without its config is AAC-LC as the rtpmap says; the first good track counts") {
        const AudioPayload p = payload_of(
            "m=audio 0 RTP/AVP 9\na=rtpmap:9 G722/8000\n"
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/48000/2\n"
            "a=fmtp:97 sizelength=13;indexlength=3;indexdeltalength=3\n");
        CHECK(p.format.codec == AudioCodec::aac);
        CHECK(p.format.codec_config == Bytes{0x11, 0x90});
        CHECK(p.format.channels == 2);
    }

    TEST_CASE("several AAC units of a packet keep their bytes and follow each other in time") {
        AudioReceiver in(payload_of(kAac));
        const std::vector<Bytes> units{Bytes(10, 1), Bytes(300, 2), Bytes{3}};
        const Bytes one = aac_packet(units);
        const auto frames = take(in, packet_of(one, 1, 5000), BootTime{1'000'000});
        REQUIRE(frames.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(bytes_of(frames[i]) == units[i]);
            CHECK(frames[i].pts.us == 1'000'000 + static_cast<std::int64_t>(i) * 64'000);
            CHECK(frames[i].duration == 64ms);
        }
        const Bytes next = aac_packet({Bytes(20, 9)});
        const auto after = take(in, packet_of(next, 2, 5000 + 3 * 1024), BootTime{1'192'000});
        REQUIRE(after.size() == 1);
        CHECK(after[0].pts.us == 1'192'000);
    }

    TEST_CASE("an AAC unit in parts is put together; a lost part costs that unit only") {
        AudioReceiver in(payload_of(kAac));
        const Bytes whole(1000, 5);
        const auto part = [&](std::size_t from, std::size_t to) {
            Bytes out{0, 16, static_cast<std::uint8_t>(1000 >> 5),
                      static_cast<std::uint8_t>(1000 << 3 & 255)};
            out.insert(out.end(), whole.begin() + static_cast<std::ptrdiff_t>(from),
                       whole.begin() + static_cast<std::ptrdiff_t>(to));
            return out;
        };
        const Bytes a = part(0, 400), b = part(400, 800), c = part(800, 1000);
        CHECK(take(in, packet_of(a, 1, 0), {}).empty());
        CHECK(take(in, packet_of(b, 2, 0), {}).empty());
        const auto done = take(in, packet_of(c, 3, 0), {});
        REQUIRE(done.size() == 1);
        CHECK(bytes_of(done[0]) == whole);

        CHECK(take(in, packet_of(a, 4, 1024), {}).empty());
        CHECK(take(in, packet_of(c, 6, 1024), {}).empty());  // 5 is lost
        const Bytes fine = aac_packet({Bytes(20, 9)});
        CHECK(take(in, packet_of(fine, 7, 2048), {}).size() == 1);
    }

    TEST_CASE("repeated and broken packets give nothing, and the next good one is taken") {
        AudioReceiver in(payload_of(kAac));
        const Bytes good = aac_packet({Bytes(20, 9)});
        CHECK(take(in, packet_of(good, 1, 0), {}).size() == 1);
        CHECK(take(in, packet_of(good, 1, 0), {}).empty());
        for (const Bytes& bad : {Bytes{0}, Bytes{255, 255}, Bytes{0, 16, 0, 0, 1},
                                 Bytes{0, 32, 0, 8, 0, 9, 1, 1}, Bytes{0, 32, 0, 8, 255, 248, 1}})
            take(in, packet_of(bad, static_cast<std::uint16_t>(2 + in.unusable()), 1024), {});
        CHECK(in.unusable() >= 4);
        CHECK(take(in, packet_of(good, 40, 4096), {}).size() == 1);
    }

    TEST_CASE("an Opus packet says how long it plays, and G.711 is as long as it is") {
        CHECK(opus_duration(Bytes{0x78}) == 20ms);      // CELT, one frame of 20 ms
        CHECK(opus_duration(Bytes{0x08 | 1}) == 40ms);  // SILK, two of 20 ms
        CHECK(opus_duration(Bytes{0x83, 6}) == 15ms);   // six of 2.5 ms
        CHECK(opus_duration(Bytes{0x1b, 3}) == 0us);    // over 120 ms
        CHECK(opus_duration(Bytes{0x7b}) == 0us);
        CHECK(opus_duration({}) == 0us);
        AudioReceiver in(payload_of("m=audio 0 RTP/AVP 8\n"));
        const auto frames = take(in, packet_of(Bytes(160, 0xd5), 1, 0), BootTime{50});
        REQUIRE(frames.size() == 1);
        CHECK(frames[0].duration == 20ms);
        CHECK(frames[0].pts.us == 50);
    }
}

namespace {
RtspMessage answer(const std::string& body = "") {
    RtspMessage m;
    m.status = 200;
    m.headers = {{"Session", "42"}};
    m.body = body;
    return m;
}
const std::string kBoth =
    "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:v\n" + kAac + "a=control:a\n";
}  // namespace

TEST_SUITE("pipelines/ingest/rtsp_client with sound") {
    TEST_CASE("the sound is set up beside the video, in channels of its own") {
        RtspClient client("rtsp://c/s", "", "", RtspClient::Sound::ask);
        client.start();
        client.take(answer(), {});
        client.take(answer(kBoth), {});
        client.take(answer(), {});
        CHECK(client.waits_for_audio());
        const std::string said = client.take_output();
        CHECK(said.find("SETUP rtsp://c/s/a RTSP/1.0") != std::string::npos);
        CHECK(said.find("interleaved=2-3") != std::string::npos);
        RtspMessage m = answer();
        m.headers.push_back({"Transport", "RTP/AVP/TCP;interleaved=6-7"});
        client.take(m, {});
        CHECK(client.take_output().find("PLAY rtsp://c/s RTSP/1.0") != std::string::npos);
        client.take(answer(), {});
        CHECK(client.phase() == RtspClient::Phase::playing);
        REQUIRE(client.audio().has_value());
        CHECK(client.audio()->rtp_channel == 6);
    }

    TEST_CASE("a camera that refuses its sound, or says nothing about it, gives its video") {
        for (const bool silent : {false, true}) {
            RtspClient client("rtsp://c/s", "", "", RtspClient::Sound::ask);
            client.start();
            client.take(answer(), {});
            client.take(answer(kBoth), {});
            client.take(answer(), {});
            client.take_output();
            if (silent) {
                client.tick(BootTime{1});
                client.tick(BootTime{1'000'000});
                CHECK(client.waits_for_audio());
                client.tick(BootTime{2'000'001});
            } else {
                RtspMessage no = answer();
                no.status = 461;
                client.take(no, {});
            }
            CHECK(client.take_output().find("PLAY") != std::string::npos);
            client.take(answer(), {});
            CHECK(client.phase() == RtspClient::Phase::playing);
            CHECK_FALSE(client.audio().has_value());
            CHECK(client.audio_words() == (silent ? "not recorded: the camera did not answer for it"
                                                  : "not recorded: the camera refused it (461)"));
        }
    }

    TEST_CASE("switched off, not offered or not known: the camera is not asked for it") {
        for (const auto& [sdp, sound, words] :
             {std::tuple{kBoth, RtspClient::Sound::leave, "off"},
              {std::string("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
               RtspClient::Sound::ask, "the camera offers none"},
              {std::string("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 9\n"
                           "a=rtpmap:9 G722/8000\n"),
               RtspClient::Sound::ask, "not recorded: the camera sends G722"}}) {
            RtspClient client("rtsp://c/s", "", "", sound);
            client.start();
            client.take(answer(), {});
            client.take(answer(sdp), {});
            client.take(answer(), {});
            CHECK(client.take_output().find("PLAY") != std::string::npos);
            CHECK_FALSE(client.audio().has_value());
            CHECK(client.audio_words() == words);
        }
    }
}

TEST_SUITE("pipelines/ingest/ingress with sound") {
    TEST_CASE("sound fills only its own room, and video passes when that is full") {
        Ingress in({.bytes = 1000, .frames = 10, .audio_bytes = 100, .audio_frames = 3});
        const Bytes sound(40, 1), picture(300, 2);
        AudioFrame a;
        a.bytes = sound;
        Frame v;
        v.bytes = picture;
        v.idr = true;
        CHECK(in.push(a));
        CHECK(in.push(a));
        CHECK_FALSE(in.push(a));  // 120 bytes
        for (int i = 0; i < 3; ++i) CHECK(in.push(v));
        CHECK_FALSE(in.push(v));  // 1200 bytes
        CHECK(in.stats().refused_audio == 1);
        CHECK(in.stats().refused_frames == 1);
        CHECK(in.stats().bytes_queued == 900);
        while (in.pop(0us)) {
        }
        CHECK_FALSE(in.push(a));  // a gap in the video is a gap in the sound
        CHECK(in.push(v));
        CHECK(in.push(a));
        in.clear();
        for (int i = 0; i < 2; ++i) CHECK(in.push(a));
    }
}

}  // namespace hd::ingest
