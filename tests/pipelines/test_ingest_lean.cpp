// The lean reader's parts: every parser on tables of good, odd and hostile input.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include <doctest/doctest.h>

#include "index/base/encoding.hpp"
#include "pipelines/ingest/access_unit.hpp"
#include "pipelines/ingest/depacketizer.hpp"
#include "pipelines/ingest/media_clock.hpp"
#include "pipelines/ingest/rtsp_client.hpp"
#include "tests/pipelines/media_tools.hpp"

namespace hd::ingest {
namespace {

using namespace std::chrono_literals;

Bytes bytes_of(std::string_view text) { return {as_bytes(text).begin(), as_bytes(text).end()}; }
RtspMessage message_of(std::string_view text) { return next_item(as_bytes(text)).message; }

// Cameras' answers that other projects have met; see shared/footage.
std::map<std::string, std::string> transcripts() {
    std::map<std::string, std::string> out;
    const auto tar = test::footage("rtsp_camera_transcripts.tar");
    if (!tar) return out;
    const test::TempFolder folder;
    if (test::run_command("tar xf " + *tar + " -C " + folder.path()).status != 0) return out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
        if (!entry.is_regular_file() || entry.path().extension() != ".txt") continue;
        std::ifstream in(entry.path(), std::ios::binary);
        out[entry.path().stem()] = {std::istreambuf_iterator<char>(in), {}};
    }
    return out;
}

std::string sdp_of(const std::string& transcript) {
    return transcript.starts_with("RTSP/") ? message_of(transcript).body : transcript;
}

const SdpMedia* video_of(const Sdp& sdp) {
    for (const SdpMedia& m : sdp.media)
        if (m.kind == "video") return &m;
    return nullptr;
}

// SPS 640x360 at 25 fps and its PPS, made by x264.
const Bytes kSps = from_hex("6764001eacb405017fcb080000030008000003019078b175").value();
const Bytes kPps = from_hex("68ef3cb0").value();

struct Packets {
    std::uint16_t sequence = 100;
    std::uint32_t timestamp = 90'000;
    std::vector<AccessUnit> units;
    Depacketizer depacketizer{Codec::h264};

    void send(ByteView payload, bool marker) {
        RtpPacket p;
        p.payload_type = 96;
        p.marker = marker;
        p.sequence = sequence++;
        p.timestamp = timestamp;
        p.ssrc = 7;
        p.payload = payload;
        depacketizer.push(p, BootTime{std::int64_t{timestamp}}, units);
    }
    void sets() {
        send(kSps, false);
        send(kPps, false);
    }
};

Bytes nal(std::uint8_t header, std::size_t size, std::uint8_t first = 0x88) {
    Bytes out(size, 0x55);
    out[0] = header;
    if (size > 1) out[1] = first;
    return out;
}

Bytes prefixed(std::initializer_list<Bytes> nals) {
    Bytes out;
    for (const Bytes& n : nals) {
        for (int shift = 24; shift >= 0; shift -= 8)
            out.push_back(static_cast<std::uint8_t>(n.size() >> shift));
        out.insert(out.end(), n.begin(), n.end());
    }
    return out;
}

// FU-A packets of `whole` with `count` parts.
std::vector<Bytes> fragments(const Bytes& whole, std::size_t count) {
    std::vector<Bytes> out;
    const std::size_t each = (whole.size() - 1) / count;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t from = 1 + i * each;
        const std::size_t to = i + 1 == count ? whole.size() : from + each;
        Bytes one{static_cast<std::uint8_t>((whole[0] & 0xe0u) | 28u),
                  static_cast<std::uint8_t>((i == 0 ? 0x80u : 0u) | (i + 1 == count ? 0x40u : 0u) |
                                            (whole[0] & 31u))};
        one.insert(one.end(), whole.begin() + static_cast<std::ptrdiff_t>(from),
                   whole.begin() + static_cast<std::ptrdiff_t>(to));
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace

TEST_SUITE("pipelines/ingest/rtsp_message") {
    TEST_CASE("packets and messages are told apart and taken one by one") {
        Bytes in = bytes_of("RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc");
        const Bytes packet{'$', 1, 0, 4, 0x80, 0xc8, 0, 1};
        in.insert(in.end(), packet.begin(), packet.end());
        const RtspItem first = next_item(in);
        REQUIRE(first.kind == RtspItem::Kind::message);
        CHECK(first.message.status == 200);
        CHECK(first.message.reason == "OK");
        CHECK(first.message.header("cseq") == "2");
        CHECK(first.message.body == "abc");
        const RtspItem second = next_item(ByteView(in).subspan(first.size));
        REQUIRE(second.kind == RtspItem::Kind::packet);
        CHECK(second.channel == 1);
        CHECK(second.payload.size() == 4);
        CHECK(first.size + second.size == in.size());
    }

    TEST_CASE("whatever is cut off is waited for, at every byte") {
        const std::string text =
            "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nContent-Length: 2\r\n\r\nhi";
        for (std::size_t n = 0; n < text.size(); ++n)
            CHECK(next_item(as_bytes(text.substr(0, n))).kind == RtspItem::Kind::incomplete);
        CHECK(next_item(as_bytes(text)).kind == RtspItem::Kind::message);
    }

    TEST_CASE("garbage is skipped to the next packet or message, and nothing waits for ever") {
        const std::string text = "\x01\x02garbage RTSP/1.0 200 OK\r\n\r\n";
        const RtspItem garbage = next_item(as_bytes(text));
        REQUIRE(garbage.kind == RtspItem::Kind::garbage);
        const RtspItem after = next_item(as_bytes(text.substr(garbage.size)));
        CHECK(after.kind == RtspItem::Kind::message);
        for (const char fill : {'A', 'R', ' ', '\n', '$', 'x'}) {
            const std::string whole(kRtspMaxItem, fill);
            const RtspItem item = next_item(as_bytes(whole));
            CHECK(item.kind != RtspItem::Kind::incomplete);
            CHECK(item.size > 0);
            CHECK(item.size <= whole.size());
        }
        const std::string huge = "RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n";
        CHECK(next_item(as_bytes(huge)).kind != RtspItem::Kind::incomplete);
    }

    TEST_CASE("a camera's own request, folded headers and lone line feeds are understood") {
        const RtspMessage m =
            message_of("SET_PARAMETER rtsp://c/s RTSP/1.0\nCSeq: 9\nX-A: one\n two\nno header\n\n");
        CHECK(m.method == "SET_PARAMETER");
        CHECK(m.uri == "rtsp://c/s");
        CHECK(m.header("x-a") == "one two");
    }

    TEST_CASE("nothing in a value can add a line to a request") {
        const std::string out =
            format_request("SETUP", "rtsp://c/\r\nEvil: 1", {{"Session", "1\r\nEvil: 2\n"}});
        CHECK(out == "SETUP rtsp://c/Evil: 1 RTSP/1.0\r\nSession: 1Evil: 2\r\n\r\n");
    }

    TEST_CASE("parameters are found with spaces, quotes and any case") {
        CHECK(parameter("RTP/AVP/TCP;ssrc=1;interleaved=0-1", "interleaved", ';') == "0-1");
        CHECK(parameter("a; ssrc= d6d6627", "ssrc", ';') == "d6d6627");
        CHECK(parameter("realm=\"a, b\", Nonce=\"x=y\"", "nonce", ',') == "x=y");
        CHECK(parameter("realm=\"a, nonce=b", "nonce", ',') == std::nullopt);
    }
}

TEST_SUITE("pipelines/ingest/sdp") {
    TEST_CASE("control URLs are joined as cameras expect them") {
        struct Row {
            const char *base, *control, *url;
        };
        const Row rows[] = {
            {"rtsp://c/s/", "trackID=1", "rtsp://c/s/trackID=1"},
            {"rtsp://c/s", "trackID=1", "rtsp://c/s/trackID=1"},
            {"rtsp://c/s/", "/trackID=1", "rtsp://c/s/trackID=1"},
            {"rtsp://c/s?channel=1/", "trackID=0", "rtsp://c/s?channel=1/trackID=0"},
            {"rtsp://c/s", "rtsp://other/x?y", "rtsp://other/x?y"},
            {"rtsp://c/s", "*", "rtsp://c/s"},
            {"rtsp://c/s", "", "rtsp://c/s"},
            {"192.168.1.10:554/stream0/", "trackID=1", "rtsp://asked/z/trackID=1"},
            {"", "t", "rtsp://asked/z/t"},
        };
        for (const Row& r : rows) CHECK(control_url("rtsp://asked/z", r.base, r.control) == r.url);
        CHECK(control_url("", "", "").empty());
    }

    TEST_CASE("parameter sets lose the start codes and zeros that cameras add") {
        SdpMedia m;
        m.fmtp =
            "packetization-mode=1; sprop-parameter-sets=Z00AKpWoHgCJ+WbgICAgQAAAAAE=,aO4xshsA,!!";
        const auto sets = parameter_sets_of(m);
        REQUIRE(sets.size() == 2);
        CHECK(sets[0].back() == 0x40);
        CHECK(sets[1].back() == 0x1b);
    }

    TEST_CASE("what is no SDP is refused, and odd lines are left out") {
        CHECK_FALSE(parse_sdp("").ok());
        CHECK_FALSE(parse_sdp("hello\r\nv=0\r\n").ok());
        CHECK_FALSE(parse_sdp("m=video 0 RTP/AVP 96\n" + std::string(70'000, 'a')).ok());
        const auto sdp = parse_sdp(
            "m=application/X 0 RTP/AVP smart/1/90000\na=rtpmap:95 X/1\n=\nm=video 0 RTP/AVP 26\n");
        REQUIRE(sdp.ok());
        REQUIRE(sdp->media.size() == 2);
        CHECK_FALSE(sdp->media[0].payload_type.has_value());
        CHECK(sdp->media[1].encoding == "JPEG");
    }

    TEST_CASE("the answers of real cameras are understood") {
        const auto all = transcripts();
        if (all.empty()) return;  // test::footage() said why
        std::size_t described = 0;
        for (const auto& [name, text] : all) {
            const bool describes =
                name.find("describe") != std::string::npos || name.ends_with("_sdp");
            if (!describes) continue;
            CAPTURE(name);
            const auto sdp = parse_sdp(sdp_of(text));
            REQUIRE(sdp.ok());
            const SdpMedia* video = video_of(*sdp);
            REQUIRE(video);
            CHECK((video->encoding == "H264" || video->encoding == "H265"));
            CHECK(video->clock_rate == 90'000);
            CHECK_FALSE(video->control.empty());
            const Codec codec = video->encoding == "H265" ? Codec::h265 : Codec::h264;
            ParameterSets sets(codec);
            for (const Bytes& set : parameter_sets_of(*video)) sets.add(nal_kind(codec, set), set);
            CHECK(sets.codec_config().has_value());
            REQUIRE(sets.facts().has_value());
            CHECK(sets.facts()->width >= 160);
            CHECK(sets.facts()->width <= 2880);
            CHECK(sets.facts()->height >= 120);
            CHECK(rfc6381_codec(codec, *sets.codec_config()).ok());
            ++described;
        }
        CHECK(described >= 17);
        const auto size_of = [&](const char* name, Codec codec) {
            ParameterSets sets(codec);
            for (const Bytes& set : parameter_sets_of(*video_of(*parse_sdp(sdp_of(all.at(name))))))
                sets.add(nal_kind(codec, set), set);
            return std::pair(sets.facts()->width, sets.facts()->height);
        };
        CHECK(size_of("hikvision_describe", Codec::h264) == std::pair(1920u, 1080u));
        CHECK(size_of("anpviz_sdp", Codec::h264) == std::pair(704u, 576u));
        CHECK(size_of("anjvision_describe", Codec::h265) == std::pair(1280u, 704u));
        CHECK(size_of("bunny_describe", Codec::h264) == std::pair(240u, 160u));
    }

    TEST_CASE("a conversation with each real camera comes to PLAY, or ends with a reason") {
        const auto all = transcripts();
        for (const char* camera : {"bunny", "dahua", "gw_main", "gw_sub", "h264dvr", "hikvision",
                                   "reolink", "luckfox_rkipc"}) {
            if (all.empty()) break;
            CAPTURE(camera);
            const auto find = [&](std::initializer_list<const char*> names) {
                for (const char* n : names)
                    if (const auto it = all.find(std::string(camera) + n); it != all.end())
                        return message_of(it->second);
                RtspMessage none;
                none.status = 200;
                return none;
            };
            auto describe = find({"_describe", "_describe_h264_aac_onvif"});
            if (describe.body.empty()) describe = message_of(all.at("foscam_describe"));
            auto setup = find({"_setup", "_setup_video", "_setup_tcp"});
            auto play = find({"_play"});
            RtspClient client("rtsp://camera/s", "u", "p");
            client.start();
            RtspMessage options;
            options.status = 200;
            for (RtspMessage* m : {&options, &describe, &setup, &play}) {
                CHECK_FALSE(client.take_output().empty());
                m->headers.insert(m->headers.begin(), {"X-Not-CSeq", "1"});
                std::erase_if(m->headers,
                              [](const auto& h) { return equal_ignoring_case(h.name, "CSeq"); });
                client.take(*m, BootTime{});
                if (client.lost()) break;
            }
            if (std::string_view(camera) == "h264dvr") {  // It only ever offered UDP.
                REQUIRE(client.lost().has_value());
                CHECK(client.lost()->cause == journal::GapCause::refused);
                continue;
            }
            REQUIRE_FALSE(client.lost().has_value());
            CHECK(client.phase() == RtspClient::Phase::playing);
            CHECK(client.stream()->rtp_channel == 0);
        }
    }
}

TEST_SUITE("pipelines/ingest/rtsp_auth") {
    TEST_CASE("digest answers are those of RFC 7616, section 3.9.1") {
        const std::string cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        const std::string common =
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", "
            "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
            "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", algorithm=";
        RtspMessage m;
        m.headers = {{"WWW-Authenticate", common + "MD5"}};
        RtspAuth with_md5("Mufasa", "Circle of Life");
        CHECK_FALSE(with_md5.header("GET", "/dir/index.html", cnonce).has_value());
        REQUIRE(with_md5.challenged(m));
        auto header = with_md5.header("GET", "/dir/index.html", cnonce).value();
        CHECK(header.find("response=\"8ca523f5e9506fed4657c9700eebdbec\"") != std::string::npos);
        CHECK(header.find("Circle") == std::string::npos);

        m.headers.push_back({"WWW-Authenticate", common + "SHA-256"});
        m.headers.push_back({"WWW-Authenticate", "Basic realm=\"x\""});
        RtspAuth with_sha("Mufasa", "Circle of Life");
        REQUIRE(with_sha.challenged(m));
        header = with_sha.header("GET", "/dir/index.html", cnonce).value();
        CHECK(header.find("753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1") !=
              std::string::npos);
    }

    TEST_CASE("a challenge without qop is answered as RFC 2069 says, basic as RFC 7617") {
        RtspMessage m = message_of(
            "RTSP/1.0 401 Unauthorized\r\nCSeq: 1 \r\nWWW-Authenticate: Digest "
            "realm=\"Surveillance "
            "Server\", nonce=\"98481030\"\r\n\r\n");
        RtspAuth digest("admin", "12345");
        REQUIRE(digest.challenged(m));
        CHECK(digest.header("DESCRIBE", "rtsp://c/s", "n")
                  ->find("response=\"b0f06e48e3c78d46a786f534f174f293\"") != std::string::npos);
        m.headers = {{"www-authenticate", "Basic realm=\"x\""}};
        RtspAuth basic("Aladdin", "open sesame");
        REQUIRE(basic.challenged(m));
        CHECK(basic.header("DESCRIBE", "x", "n") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    TEST_CASE("a refused answer is not repeated, a stale or new nonce is answered anew") {
        const auto challenge = [](const std::string& nonce, const std::string& more) {
            RtspMessage m;
            m.headers = {
                {"WWW-Authenticate", "Digest realm=\"r\", nonce=\"" + nonce + "\"" + more}};
            return m;
        };
        RtspAuth auth("u", "p");
        CHECK(auth.challenged(challenge("1", "")));
        auth.header("PLAY", "x", "c");
        CHECK_FALSE(auth.challenged(challenge("1", "")));
        CHECK(auth.challenged(challenge("1", ", stale=TRUE")));
        CHECK(auth.challenged(challenge("2", "")));
        RtspAuth nobody("", "");
        CHECK_FALSE(nobody.challenged(challenge("1", "")));
        RtspAuth unknown("u", "p");
        CHECK_FALSE(unknown.challenged(challenge("1", ", algorithm=MD5-sess")));
    }
}

TEST_SUITE("pipelines/ingest/rtsp_client") {
    TEST_CASE("URLs give host and port, and never hold credentials") {
        CHECK(*parse_rtsp_url("rtsp://cam/x") == RtspUrl{"cam", "554"});
        CHECK(*parse_rtsp_url("rtsp://10.0.0.1:8554?x=1:2") == RtspUrl{"10.0.0.1", "8554"});
        CHECK(*parse_rtsp_url("rtsp://[fe80::1]:99/") == RtspUrl{"fe80::1", "99"});
        CHECK(*parse_rtsp_url("rtsp://[::1]") == RtspUrl{"::1", "554"});
        for (const char* bad :
             {"", "http://x", "rtsp://", "rtsp:///x", "rtsp://u:p@x", "rtsp://x:0",
              "rtsp://x:66666", "rtsp://x:9a", "rtsp://[::1", "rtsp://x:"})
            CHECK(parse_rtsp_url(bad).error().code == ErrorCode::invalid);
    }

    TEST_CASE("each refusal has its cause, and OPTIONS may be unknown") {
        for (const auto& [status, cause] : {std::pair{404, journal::GapCause::refused},
                                            {454, journal::GapCause::refused},
                                            {401, journal::GapCause::refused},
                                            {503, journal::GapCause::unreachable},
                                            {302, journal::GapCause::refused}}) {
            RtspClient client("rtsp://c/s", "", "");
            client.start();
            RtspMessage m;
            m.status = 501;
            client.take(m, {});
            REQUIRE_FALSE(client.lost().has_value());
            CHECK(client.take_output().find("DESCRIBE rtsp://c/s RTSP/1.0") != std::string::npos);
            m.status = status;
            client.take(m, {});
            REQUIRE(client.lost().has_value());
            CHECK(client.lost()->cause == cause);
        }
    }

    TEST_CASE("signs of life come at half the session's time, and a lost session is told") {
        RtspClient client("rtsp://c/s", "u", "secret");
        client.start();
        RtspMessage m;
        m.status = 200;
        m.headers = {{"Public", "OPTIONS, GET_PARAMETER"},
                     {"Session", "42 ;timeout=20"},
                     {"Transport", "RTP/AVP/TCP;interleaved=4-5"}};
        m.body = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:t1\n";
        for (int i = 0; i < 4; ++i) client.take(m, BootTime{0});
        CHECK(client.phase() == RtspClient::Phase::playing);
        CHECK(client.stream()->rtp_channel == 4);
        CHECK(client.stream()->rtcp_channel == 5);
        std::string said = client.take_output();
        CHECK(said.find("SETUP rtsp://c/s/t1 RTSP/1.0") != std::string::npos);
        CHECK(said.find("secret") == std::string::npos);
        client.tick(BootTime{9'999'999});
        CHECK(client.take_output().empty());
        client.tick(BootTime{10'000'000});
        said = client.take_output();
        CHECK(said.find("GET_PARAMETER rtsp://c/s RTSP/1.0") != std::string::npos);
        CHECK(said.find("Session: 42\r\n") != std::string::npos);
        m.status = 454;
        client.take(m, {});
        REQUIRE(client.lost().has_value());
        CHECK(client.lost()->detail == "camera lost the session (454)");
        client.teardown();
        CHECK(client.take_output().empty());
    }

    TEST_CASE("a camera without H.264 and H.265 is refused by name, JPEG is marked") {
        for (const auto& [sdp, words, jpeg] :
             {std::tuple{"m=audio 0 RTP/AVP 0\n", "camera offers no video", false},
              {"m=video 0 RTP/AVP 26\n", "camera offers JPEG only, not H.264 or H.265", true},
              {"m=video 0 RTP/AVP 96\na=rtpmap:96 V\x01P8\"/90000\n",
               "camera offers V?P8? only, not H.264 or H.265", false}}) {
            RtspClient client("rtsp://c/s", "", "");
            client.start();
            RtspMessage m;
            m.status = 200;
            client.take(m, {});
            m.body = sdp;
            client.take(m, {});
            REQUIRE(client.lost().has_value());
            CHECK(client.lost()->detail == words);
            CHECK(client.offers_jpeg_only() == jpeg);
        }
    }
}

TEST_SUITE("pipelines/ingest/rtp_packet") {
    TEST_CASE("header, extension, sources and padding are taken off") {
        const Bytes plain{0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 7, 1, 2, 3};
        const auto p = parse_rtp(plain);
        REQUIRE(p.has_value());
        CHECK(p->marker);
        CHECK(p->payload_type == 96);
        CHECK(p->sequence == 0x1234);
        CHECK(p->timestamp == 9);
        CHECK(p->ssrc == 7);
        CHECK(p->payload.size() == 3);
        Bytes full{0xb1, 0x60, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7, 9, 9, 9, 9};  // P, X, one CSRC
        const Bytes rest{0xbe, 0xde, 0, 1, 5, 5, 5, 5, 0xaa, 0, 2};
        full.insert(full.end(), rest.begin(), rest.end());
        const auto q = parse_rtp(full);
        REQUIRE(q.has_value());
        CHECK(q->payload.size() == 1);
        CHECK(q->payload[0] == 0xaa);
        for (std::size_t n = 0; n < 25; ++n)
            CHECK_FALSE(parse_rtp(ByteView(full).first(n)).has_value());
    }

    TEST_CASE("a sender report gives the camera's UTC; without a clock it gives none") {
        Bytes sr = from_hex("80c80006000000070000000080000000000000090000000000000000").value();
        auto facts = parse_rtcp(sr);
        REQUIRE(facts.report.has_value());
        CHECK(facts.report->timestamp == 9);
        CHECK(facts.report->utc()->us == -2'208'988'800'000'000 + 500'000);
        sr[12] = 0;
        CHECK_FALSE(parse_rtcp(sr).report->utc().has_value());
        const Bytes rr = format_receiver_report({.our_ssrc = 1, .camera_ssrc = 7, .lost = 3});
        CHECK(rr.size() == 52);
        CHECK(rr.size() % 4 == 0);
        CHECK_FALSE(parse_rtcp(rr).report.has_value());
    }
}

TEST_SUITE("pipelines/ingest/depacketizer") {
    TEST_CASE("single units, aggregates and fragments give the same access unit") {
        const Bytes sei = nal(0x06, 20, 5), idr = nal(0x65, 3000);
        const Bytes expected = prefixed({sei, idr});
        for (int way = 0; way < 2; ++way) {
            Packets p;
            if (way == 0) {
                p.sets();
                p.send(sei, false);
            } else {
                Bytes stap{24};
                for (const Bytes& n : {kSps, kPps, sei}) {
                    stap.push_back(static_cast<std::uint8_t>(n.size() >> 8));
                    stap.push_back(static_cast<std::uint8_t>(n.size()));
                    stap.insert(stap.end(), n.begin(), n.end());
                }
                p.send(stap, false);
            }
            const auto parts = fragments(idr, 5);
            for (const Bytes& part : parts) p.send(part, &part == &parts.back());
            REQUIRE(p.units.size() == 1);
            CHECK(*p.units[0].bytes == expected);
            REQUIRE(p.units[0].format.has_value());
            CHECK(p.units[0].format->facts.width == 640);
            CHECK(p.units[0].format->facts.height == 360);
            CHECK(p.units[0].format->facts.frame_duration == 40ms);
            CHECK(p.units[0].format->codec_config.size() > 30);
        }
    }

    TEST_CASE("a lost packet costs its access unit and no other") {
        const Bytes idr = nal(0x65, 500), slice = nal(0x41, 400);
        for (std::size_t lost = 0; lost < 4; ++lost) {
            CAPTURE(lost);
            Packets p;
            p.sets();
            p.send(idr, true);
            p.timestamp += 3600;
            const auto parts = fragments(slice, 4);
            for (std::size_t i = 0; i < 4; ++i) {
                if (i == lost)
                    ++p.sequence;
                else
                    p.send(parts[i], i == 3);
            }
            p.timestamp += 3600;
            p.send(slice, true);
            p.timestamp += 3600;
            p.send(slice, true);
            REQUIRE(p.units.size() == 3);
            CHECK(p.units[1].timestamp == 90'000 + 2 * 3600);
            CHECK(p.depacketizer.counts().damaged_units == 1);
            CHECK(p.depacketizer.counts().lost_packets == 1);
        }
    }

    TEST_CASE("without marker bits the next time ends an access unit") {
        Packets p;
        p.sets();
        p.send(nal(0x65, 50), false);
        p.send(nal(0x65, 50, 0x48), false);
        CHECK(p.units.empty());
        p.timestamp += 3600;
        p.send(nal(0x41, 50), false);
        REQUIRE(p.units.size() == 1);
        CHECK(p.units[0].bytes->size() == 108);
    }

    TEST_CASE("markers on parameter sets and on every slice mislead only once") {
        Packets p;
        p.send(kSps, true);
        p.send(kPps, true);
        const Bytes first = nal(0x41, 30), second = nal(0x41, 30, 0x48);
        for (int i = 0; i < 5; ++i) {
            p.send(first, true);
            p.send(second, true);
            p.timestamp += 3600;
        }
        REQUIRE(p.units.size() == 4);  // The fifth waits for its end.
        for (std::size_t i = 1; i < 4; ++i) CHECK(p.units[i].bytes->size() == 68);
        CHECK(p.depacketizer.counts().damaged_units == 1);
    }

    TEST_CASE("parameter sets that come with the time before belong to the next picture") {
        Packets p;
        p.sets();
        p.send(nal(0x65, 30), false);
        p.sets();
        p.timestamp += 3600;
        p.send(nal(0x65, 30), true);
        REQUIRE(p.units.size() == 2);
        CHECK(p.units[0].timestamp == 90'000);
        CHECK(p.units[1].timestamp == 93'600);
        CHECK_FALSE(p.units[1].format.has_value());  // The same sets again change nothing.
    }

    TEST_CASE("parameter sets that change come with the picture that they are for") {
        Packets p;
        p.sets();
        p.send(nal(0x65, 30), true);
        p.timestamp += 3600;
        Bytes other = kPps;
        other.back() ^= 0x10;
        p.send(other, false);
        p.send(nal(0x65, 30), true);
        REQUIRE(p.units.size() == 2);
        REQUIRE(p.units[1].format.has_value());
        CHECK(p.units[0].format->codec_config != p.units[1].format->codec_config);
    }

    TEST_CASE("several units with start codes between them, sent as one, are taken apart") {
        Bytes all = kSps;
        const Bytes idr = nal(0x65, 30);
        for (const Bytes& n : {kPps, idr}) {
            all.insert(all.end(), {0, 0, 0, 1});
            all.insert(all.end(), n.begin(), n.end());
        }
        Packets p;
        p.send(all, true);
        REQUIRE(p.units.size() == 1);
        CHECK(*p.units[0].bytes == prefixed({idr}));
    }

    TEST_CASE("H.265 aggregates and fragments are put together") {
        // 640x360, made by x265.
        const Bytes vps = from_hex("40010c01ffff01600000030090000003000003003f959009").value();
        const Bytes sps = from_hex(
                              "42010101600000030090000003000003003fa005020171f2e595912930b9a020"
                              "00000300200000030321")
                              .value();
        Depacketizer d(Codec::h265);
        std::vector<AccessUnit> units;
        std::uint16_t sequence = 65'534;
        const auto send = [&](const Bytes& payload, bool marker) {
            d.push({.payload_type = 96,
                    .marker = marker,
                    .sequence = sequence++,
                    .timestamp = 1,
                    .ssrc = 1,
                    .payload = payload},
                   BootTime{1}, units);
        };
        d.add_parameter_set(vps);
        d.add_parameter_set(sps);
        d.add_parameter_set(from_hex("4401c073c189").value());
        Bytes ap{0x60, 1};
        const Bytes sei = nal(0x4e, 8, 1);
        ap.insert(ap.end(), {0, 8});
        ap.insert(ap.end(), sei.begin(), sei.end());
        send(ap, false);
        send({0x62, 1, 0x80 | 19, 0x80, 1, 2}, false);
        send({0x62, 1, 0x40 | 19, 3, 4}, true);
        REQUIRE(units.size() == 1);
        CHECK(*units[0].bytes == prefixed({sei, Bytes{0x26, 1, 0x80, 1, 2, 3, 4}}));
        REQUIRE(units[0].format.has_value());
        CHECK(units[0].format->facts.width == 640);
        CHECK(units[0].format->facts.height == 360);
        CHECK(entry_point(Codec::h265, *units[0].bytes) == EntryPoint::idr);
    }

    TEST_CASE("an access unit without end does not eat the memory") {
        Packets p;
        p.sets();
        Bytes start{0x7c, 0x85}, middle{0x7c, 0x05};
        start.resize(1400, 0x88);
        middle.resize(1400, 0x88);
        p.send(start, false);
        for (int i = 0; i < 13'000; ++i) p.send(middle, false);  // 18 MB
        p.timestamp += 3600;
        p.send(nal(0x65, 30), true);
        REQUIRE(p.units.size() == 1);
        CHECK(p.units[0].bytes->size() == 34);
        CHECK(p.depacketizer.counts().damaged_units == 1);
    }

    TEST_CASE("before the first parameter sets nothing is delivered, and it is counted") {
        Packets p;
        p.send(nal(0x65, 30), true);
        CHECK(p.units.empty());
        CHECK(p.depacketizer.counts().unusable_units == 1);
    }
}

TEST_SUITE("pipelines/ingest/media_clock") {
    // The error of pictures after the first five seconds, in us.
    struct Worst {
        std::int64_t least = 0, most = 0;
    };

    TEST_CASE("500 ppm of drift, jitter and a wrap: a picture keeps its time for a day") {
        for (const double drift : {-500e-6, 0.0, 500e-6}) {
            CAPTURE(drift);
            MediaClock clock(90'000);
            std::mt19937 random(7);
            std::int64_t least = 0, most = 0;
            BootTime last{};
            for (std::int64_t i = 0; i < 24 * 3600 * 25; ++i) {
                const std::int64_t taken = 1'000'000'000 + i * 40'000;
                const double media = static_cast<double>(i) * 40'000 * (1 + drift);
                const auto stamp = static_cast<std::uint32_t>(
                    static_cast<std::int64_t>(media * 0.09) + 4'000'000'000);
                // Mostly 0 to 2 ms late, one in twenty up to 60 ms.
                const std::int64_t late = random() % 20 == 0 ? random() % 60'000 : random() % 2'000;
                const BootTime pts = clock.map(stamp, BootTime{taken + late});
                CHECK_MESSAGE(pts > last, i);
                last = pts;
                if (i < 250) continue;
                least = std::min(least, pts.us - taken);
                most = std::max(most, pts.us - taken);
            }
            CHECK(clock.resyncs() == 0);
            CHECK(least > -5'000);
            CHECK(most < 6'000);
        }
    }

    TEST_CASE("a slow network moves no picture; a jump of the camera's clock begins anew") {
        MediaClock clock(90'000);
        std::uint32_t stamp = 1000;
        std::int64_t now = 5'000'000;
        for (int i = 0; i < 200; ++i, stamp += 3600, now += 40'000) clock.map(stamp, BootTime{now});
        // Three seconds of silence, then everything at once.
        for (int i = 0; i < 75; ++i, stamp += 3600, now += 40'000)
            CHECK(std::abs(clock.map(stamp, BootTime{5'000'000 + 275 * 40'000}).us - now) < 2'000);
        CHECK(clock.resyncs() == 0);
        for (int i = 0; i < 10; ++i, stamp += 3600, now += 40'000) clock.map(stamp, BootTime{now});
        stamp += 90'000 * 100;
        CHECK(clock.map(stamp, BootTime{now}).us == now);
        CHECK(clock.resyncs() == 1);
        stamp -= 90'000 * 3000;
        now += 40'000;
        CHECK(clock.map(stamp, BootTime{now}).us == now);
        CHECK(clock.resyncs() == 2);
        CHECK(clock.where(stamp + 90'000)->us == now + 1'000'000);
    }

    TEST_CASE("a first picture that comes late does not shift the rest for ever") {
        MediaClock clock(90'000);
        clock.map(0, BootTime{1'100'000});  // taken at 1.0 s
        BootTime last{};
        for (int i = 1; i < 100; ++i) {
            const BootTime pts =
                clock.map(static_cast<std::uint32_t>(i) * 3600, BootTime{1'000'000 + i * 40'000});
            CHECK(pts > last);
            last = pts;
        }
        CHECK(std::abs(last.us - (1'000'000 + 99 * 40'000)) < 1'000);
    }
}

}  // namespace hd::ingest
