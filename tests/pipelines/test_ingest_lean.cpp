// The lean reader's conversation: messages, SDP, authentication, on tables of good, odd and hostile
// input.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include <doctest/doctest.h>

#include "pipelines/ingest/access_unit.hpp"
#include "pipelines/ingest/dialer.hpp"
#include "pipelines/ingest/parameter_sets.hpp"
#include "pipelines/ingest/rtsp_client.hpp"
#include "pipelines/ingest/rtsp_url.hpp"
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
        // What begins like a word and goes on like noise is not waited for.
        for (const char* noise : {"OP\x01 x", "R\x02TSP/1.0 ", "RTSP/2.0 200", "A"})
            CHECK((next_item(as_bytes(std::string_view(noise))).kind ==
                   RtspItem::Kind::incomplete) == (std::string_view(noise) == "A"));
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
        for (const auto& transcript : all) {
            const auto& name = transcript.first;
            const bool describes =
                name.find("describe") != std::string::npos || name.ends_with("_sdp");
            if (!describes) continue;
            CAPTURE(name);
            const auto sdp = parse_sdp(sdp_of(transcript.second));
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
            // The same parameter sets, loose and inside the configuration.
            CHECK(reorder_depth(codec, *sets.codec_config()) == sets.facts()->reorder);
            if (codec == Codec::h265) CHECK(sets.facts()->reorder.has_value());
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
        CHECK(*parse_rtsp_url("rtsp://[fe80::1%eth0]:99/x") == RtspUrl{"fe80::1%eth0", "99"});
        CHECK(is_address("fe80::1%eth0"));
        CHECK(is_address("10.0.0.1"));
        CHECK_FALSE(is_address("cam%eth0"));
        CHECK(*parse_rtsp_url("rtsps://cam:7441/x") == RtspUrl{"cam", "7441", true});
        for (const char* bad :
             {"", "http://x", "rtspss://x", "rtsp://", "rtsp:///x", "rtsp://u:p@x", "rtsp://x:0",
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

    // After OPTIONS and DESCRIBE.
    std::unique_ptr<RtspClient> described(const std::string& sdp, RtspClient::Jpeg jpeg) {
        auto client =
            std::make_unique<RtspClient>("rtsp://c/s", "", "", RtspClient::Sound::leave, jpeg);
        client->start();
        RtspMessage m;
        m.status = 200;
        client->take(m, {});
        m.body = sdp;
        client->take(m, {});
        return client;
    }

    TEST_CASE("a camera without H.264 and H.265 is refused by name, JPEG is taken if wanted") {
        const std::string jpeg = "m=video 0 RTP/AVP 26\na=x-dimensions:2560,1920\n";
        const std::string h264 = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n";
        for (const auto& [sdp, words] : {std::pair<std::string, const char*>{
                                             "m=audio 0 RTP/AVP 0\n", "camera offers no video"},
                                         {jpeg, "camera offers JPEG only, not H.264 or H.265"},
                                         {"m=video 0 RTP/AVP 96\na=rtpmap:96 V\x01P8\"/90000\n",
                                          "camera offers V?P8? only, not H.264 or H.265"}}) {
            const auto client = described(sdp, RtspClient::Jpeg::refuse);
            REQUIRE(client->lost().has_value());
            CHECK(client->lost()->detail == words);
        }
        const auto taken = described(jpeg, RtspClient::Jpeg::take);
        REQUIRE(taken->stream().has_value());
        CHECK(taken->stream()->is_jpeg());
        CHECK(taken->stream()->media.clock_rate == 90'000);
        CHECK(taken->stream()->media.dimensions == "2560,1920");
        for (const auto& both : {jpeg + h264, h264 + jpeg}) {
            const auto better = described(both, RtspClient::Jpeg::take);
            REQUIRE(better->stream().has_value());
            CHECK_FALSE(better->stream()->is_jpeg());
        }
        CHECK(described("m=video 0 RTP/AVP 26\na=x-dimensions:2560,\"x\n", RtspClient::Jpeg::take)
                  ->stream()
                  ->media.dimensions.empty());
    }
}

}  // namespace hd::ingest
