#include <functional>

#include <doctest/doctest.h>

#include "pipelines/link/notice.hpp"

using namespace hd;
using namespace hd::link;

namespace {

template <std::size_t N>
std::array<std::uint8_t, N> filled(std::uint8_t first) {
    std::array<std::uint8_t, N> out{};
    for (std::uint8_t& b : out) b = first++;
    return out;
}

RecorderSettings some_settings() {
    RecorderSettings s;
    s.camera = {filled<16>(1)};
    s.name = "front door";
    s.hub = {filled<16>(2)};
    s.url = "rtsp://10.0.0.7:554/stream1";
    s.user = "hub";
    s.password = "correct horse";
    s.tls = "sha256:" + std::string(64, 'a');
    s.transport = RtspTransport::udp;
    s.encode = EncodeMode::hub;
    s.audio = AudioMode::off;
    s.activity = true;
    s.data_folder = "/var/lib/halfdoor";
    s.clip_target = std::chrono::seconds(5);
    s.policy_number = 7;
    s.policy_hash = filled<32>(3);
    s.recipients = {filled<32>(4), filled<32>(5)};
    return s;
}

clip::ClipHeader some_header() {
    clip::ClipHeader h;
    h.clip = {filled<16>(1)};
    h.camera = {filled<16>(2)};
    h.boot = {filled<16>(9)};
    h.run = RunId{77};
    h.boot_begin = BootTime{5};
    h.utc_begin = WallTime{1'795'183'200'000'000};
    h.quality = ClockQuality::synchronised;
    h.codec = "avc1.4D401F";
    h.width = 1280;
    h.height = 720;
    h.encoder = "camera";
    h.encoder_why = "within limits";
    return h;
}

clip::ClipSummary some_summary() {
    clip::ClipSummary s;
    s.clip = {filled<16>(1)};
    s.camera = {filled<16>(2)};
    s.run = RunId{9};
    s.boot = {filled<16>(3)};
    s.boot_begin = BootTime{10};
    s.boot_end = BootTime{20};
    s.utc_begin = WallTime{30};
    s.utc_end = WallTime{40};
    s.name_time = WallTime{31};
    s.quality = ClockQuality::assumed;
    s.reason = clip::EndReason::hard_max;
    s.pieces = 3;
    s.frames = 4;
    s.longest_key_distance_ms = 5;
    s.size_bytes = 6;
    s.reason_detail = "why not";
    return s;
}

std::vector<Message> one_of_each() {
    const journal::Stamp stamp{{filled<16>(8)}, BootTime{1}, WallTime{2}, ClockQuality::assumed};
    return {
        Hello{
            .camera = {filled<16>(1)}, .pid = 42, .has_settings = true, .settings = filled<32>(7)},
        StateChanged{CameraState::stalled, "no frame", "camera", "within limits", "AAC, 16000 Hz"},
        ClipOpened{"a/b.clip.part", some_header()},
        PieceDurable{"a/b.clip.part", {filled<16>(1)}, 4, 5, BootTime{6}, WallTime{7}, 8},
        ClipFinished{"a/b.clip", some_summary()},
        GapChanged{true, stamp, journal::GapCause::stalled, "quiet"},
        Progress{1, 2, 3, 4, 8, -5, true, 6, 7},
        Farewell{"asked to end"},
        NewSettings{some_settings()},
        Stop{"disabled by the owner"},
        EncoderReport{true, 1280, 720, 25'000, 24'900, 3, "x264enc", {"v4l2h264enc"}},
        EncoderGrant{{"v4l2h264enc", "x264enc"}, "its share of a Raspberry Pi 4"},
        WallsReport{{{"recorder.files", WallState::enforced, "Landlock ABI 7"},
                     {"recorder.hosts", WallState::missing, "ports, not hosts"}}},
        SyncAsk{77, 0x801},
        SyncAnswer{77, true},
    };
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/link");

TEST_CASE("each message comes back as it was sent") {
    for (const Message& message : one_of_each()) {
        const Bytes packet = encode(message);
        CHECK(packet.size() <= kMaxMessageBytes);
        auto decoded = decode(packet);
        REQUIRE_MESSAGE(decoded.ok(), (decoded.ok() ? "" : decoded.error().what));
        CHECK(decoded->index() == message.index());
        CHECK(encode(*decoded) == packet);
    }
}

TEST_CASE("fields arrive where they belong") {
    auto hello = decode(encode(one_of_each()[0]));
    REQUIRE(hello.ok());
    CHECK(std::get<Hello>(*hello).pid == 42);
    CHECK(std::get<Hello>(*hello).settings == filled<32>(7));
    auto opened = decode(encode(one_of_each()[2]));
    REQUIRE(opened.ok());
    CHECK(std::get<ClipOpened>(*opened).header == some_header());
    auto finished = decode(encode(one_of_each()[4]));
    REQUIRE(finished.ok());
    CHECK(std::get<ClipFinished>(*finished).summary == some_summary());
    auto settings = decode(encode(one_of_each()[8]));
    REQUIRE(settings.ok());
    const RecorderSettings& s = std::get<NewSettings>(*settings).settings;
    CHECK(s.password == "correct horse");
    CHECK(s.recipients == some_settings().recipients);
    CHECK(s.clip_target == std::chrono::seconds(5));
    CHECK(s.orphan_timeout == std::chrono::seconds(300));
    CHECK(s.max_frames_per_s == 60);
    const auto report = decode(encode(one_of_each()[10]));
    REQUIRE(report.ok());
    CHECK(std::get<EncoderReport>(*report) == std::get<EncoderReport>(one_of_each()[10]));
    const auto grant = decode(encode(one_of_each()[11]));
    REQUIRE(grant.ok());
    CHECK(std::get<EncoderGrant>(*grant) == std::get<EncoderGrant>(one_of_each()[11]));
    const auto walls = decode(encode(one_of_each()[12]));
    REQUIRE(walls.ok());
    CHECK(std::get<WallsReport>(*walls).walls == std::get<WallsReport>(one_of_each()[12]).walls);
    const auto ask = decode(encode(one_of_each()[13]));
    REQUIRE(ask.ok());
    CHECK(std::get<SyncAsk>(*ask) == SyncAsk{77, 0x801});
    const auto answer = decode(encode(one_of_each()[14]));
    REQUIRE(answer.ok());
    CHECK(std::get<SyncAnswer>(*answer) == SyncAnswer{77, true});
}

TEST_CASE("a packet that is cut short or goes on is refused") {
    for (const Message& message : one_of_each()) {
        Bytes packet = encode(message);
        for (std::size_t n = 0; n < packet.size(); ++n)
            CHECK_FALSE(decode(ByteView(packet).first(n)));
        packet.push_back(0);
        CHECK_FALSE(decode(packet).ok());
    }
}

TEST_CASE("unknown types, enums out of range and oversized packets are refused") {
    Bytes packet = encode(Stop{"x"});
    packet[4] = 99;
    CHECK_FALSE(decode(packet).ok());
    Bytes state = encode(StateChanged{CameraState::starting, "", "", "", ""});
    state[5] = 200;
    CHECK_FALSE(decode(state).ok());
    CHECK_FALSE(decode(Bytes(kMaxMessageBytes + 1, 0)).ok());
}

TEST_CASE("another version is named, and its Hello still says which camera it is") {
    Hello hello{
        .version = 9, .camera = {filled<16>(1)}, .pid = 5, .has_settings = true, .settings = {}};
    Bytes packet = encode(hello);
    packet.push_back(123);  // what a later version may append
    auto decoded = decode(packet);
    REQUIRE(decoded.ok());
    CHECK(std::get<Hello>(*decoded).version == 9);
    CHECK(std::get<Hello>(*decoded).camera == hello.camera);
    Bytes stop = encode(Stop{"x"});
    stop[2] = 9;
    const auto refused = decode(stop);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::invalid);
}

TEST_CASE("a long phrase is clipped by the sender instead of breaking the packet") {
    auto decoded = decode(encode(Farewell{std::string(100'000, 'x')}));
    REQUIRE(decoded.ok());
    CHECK(std::get<Farewell>(*decoded).why.size() == 2048);
}

TEST_CASE("settings out of bounds are refused with the field's name") {
    RecorderSettings s = some_settings();
    s.clip_max = std::chrono::seconds(121);
    auto decoded = decode_settings(encode_settings(s));
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().what.find("clip_max") != std::string::npos);
    s = some_settings();
    s.clip_target = s.clip_max + Micros(1);
    CHECK_FALSE(decode_settings(encode_settings(s)).ok());
    s = some_settings();
    s.sync_period = Micros(0);
    CHECK_FALSE(decode_settings(encode_settings(s)).ok());
    s = some_settings();
    s.url = std::string(5000, 'x');
    CHECK_FALSE(decode_settings(encode_settings(s)).ok());
}

TEST_CASE("the settings hash changes with everything a recorder acts on, and not with the name") {
    const RecorderSettings base = some_settings();
    const Digest hash = settings_hash(base);
    RecorderSettings s = base;
    s.name = "back door";
    CHECK(settings_hash(s) == hash);
    const std::vector<std::function<void(RecorderSettings&)>> changes = {
        [](auto& x) { x.url += "x"; },
        [](auto& x) { x.user += "x"; },
        [](auto& x) { x.password += "x"; },
        [](auto& x) { x.tls = kTlsAny; },
        [](auto& x) { x.transport = RtspTransport::tcp; },
        [](auto& x) { x.encode = EncodeMode::camera; },
        [](auto& x) { x.clip_target += Micros(1); },
        [](auto& x) { x.clip_max -= Micros(1); },
        [](auto& x) { x.sync_period += Micros(1); },
        [](auto& x) { x.recipients.pop_back(); },
        [](auto& x) { x.policy_number++; },
        [](auto& x) { x.policy_hash[0] ^= 1; },
        [](auto& x) { x.data_folder += "x"; },
        [](auto& x) { x.buffer_bytes++; },
    };
    for (const auto& change : changes) {
        s = base;
        change(s);
        CHECK(settings_hash(s) != hash);
    }
}

TEST_SUITE_END();
