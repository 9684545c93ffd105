// The real recorder against real RTSP. argv: none; HALFDOOR_RECORDER and HALFDOOR_REPLAY name the
// programs.
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include "index/journal/camera_journal.hpp"
#include "tests/pipelines/media_tools.hpp"
#include "tests/pipelines/recorder_hub.hpp"

using namespace hd;
using namespace hd::test;
using namespace std::chrono_literals;

namespace {

std::string program(const char* variable) {
    const char* path = std::getenv(variable);
    return path ? path : "";
}

std::string slurp(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

// A replay server on a free port. Urls in order of its cameras.
struct Replay {
    explicit Replay(const TempFolder& folder, std::vector<std::string> args)
        : out(folder / "replay.txt"), child(full(std::move(args)), out) {
        for (int i = 0; i < 1500 && slurp(out).find("ready") == std::string::npos; ++i)
            ::usleep(20'000);
        std::istringstream lines(slurp(out));
        for (std::string word; lines >> word;)
            if (word.find("rtsp://") != std::string::npos)
                urls.push_back(word.substr(word.find("rtsp://")));
    }
    static std::vector<std::string> full(std::vector<std::string> args) {
        args.insert(args.begin(), {program("HALFDOOR_REPLAY"), "--port", "0", "--counter"});
        return args;
    }
    std::string out;
    Child child;
    std::vector<std::string> urls;
};

link::RecorderSettings settings_for(const std::string& url) {
    link::RecorderSettings s;
    s.url = url;
    s.clip_target = 5s;
    return s;
}

std::vector<journal::CameraRecord> journal_of(const RecorderHub& hub, CameraId camera) {
    std::vector<journal::CameraRecord> out;
    auto done =
        journal::read(real_file_system(), hub.data() + "/journal/" + to_string(camera) + ".log",
                      "camera", 0, [&](const journal::Record& r, std::uint64_t) {
                          auto decoded = journal::decode_camera_record(r);
                          if (decoded) out.push_back(std::move(*decoded));
                      });
    CHECK(done.ok());
    return out;
}

template <typename T>
std::size_t count_of(const std::vector<journal::CameraRecord>& records) {
    return static_cast<std::size_t>(
        std::count_if(records.begin(), records.end(),
                      [](const auto& r) { return std::holds_alternative<T>(r); }));
}

bool have_programs() {
    if (!program("HALFDOOR_RECORDER").empty() && !program("HALFDOOR_REPLAY").empty()) return true;
    MESSAGE("skipped: HALFDOOR_RECORDER and HALFDOOR_REPLAY are not set");
    return false;
}

}  // namespace

TEST_SUITE_BEGIN("pipelines/record/live");

TEST_CASE("four cameras, H.264 and H.265: no frame is lost or repeated over clip boundaries") {
    if (!have_programs()) return;
    const TempFolder folder;
    const Replay replay(folder, {"--generate",
                                 "h264:320x240@25,h264:320x240@15:gop=30,h265:320x240@25,"
                                 "h264:320x240@25:bframes=2"});
    REQUIRE(replay.urls.size() == 4);
    RecorderHub hub(folder.path(), program("HALFDOOR_RECORDER"));
    std::vector<CameraId> cameras;
    for (const std::string& url : replay.urls)
        cameras.push_back(
            hub.add(settings_for(url), static_cast<std::uint8_t>(cameras.size() + 1)));
    const auto enough = [&] {
        return std::all_of(cameras.begin(), cameras.end(), [&](const CameraId& c) {
            return hub.said<link::ClipFinished>(c).size() >= 4;
        });
    };
    CHECK(hub.run_until(enough, 60));
    for (const int code : hub.stop_all()) CHECK(code == 0);
    for (const CameraId& c : cameras) {
        CAPTURE(to_string(c));
        const Found found = open_all(hub.data(), c, hub.owner());
        for (const std::string& p : found.problems) FAIL_CHECK(p);
        CHECK(found.clips.size() >= 5);
        CHECK(found.frames == found.numbers.size());
        const Counted counted = count(found.numbers);
        CHECK(counted.lost == 0);
        CHECK(counted.repeated == 0);
        CHECK(found.clips.back().reason == clip::EndReason::shutdown);
        CHECK(found.clips.front().reason == clip::EndReason::target);
        for (std::size_t i = 1; i < found.clips.size(); ++i)
            CHECK(std::chrono::abs(found.clips[i].utc_begin - found.clips[i - 1].utc_end) < 10ms);
        const auto records = journal_of(hub, c);
        CHECK(count_of<journal::RunBegan>(records) == 1);
        CHECK(count_of<journal::RunEnded>(records) == 1);
        CHECK(count_of<journal::ClipClosed>(records) == found.clips.size());
        CHECK(hub.said<link::ClipOpened>(c).size() == found.clips.size());
        CHECK(hub.said<link::PieceDurable>(c).size() > 15);
        CHECK(hub.said<link::Farewell>(c).size() == 1);
    }
}

TEST_CASE("the sound of four cameras is recorded in time, and its faults cost no picture") {
    if (!have_programs()) return;
    const TempFolder folder;
    const Replay replay(folder, {"--generate",
                                 "h264:320x240@25:audio=aac,h264:320x240@25:audio=opus,"
                                 "h264:320x240@25:bframes=2:audio=pcma,h264:320x240@25:audio=pcmu",
                                 "--fault", "1,audio-stall,6,3", "--fault", "2,audio-end,6",
                                 "--fault", "4,audio-drift,4,20000"});
    REQUIRE(replay.urls.size() == 4);
    RecorderHub hub(folder.path(), program("HALFDOOR_RECORDER"));
    std::vector<CameraId> cameras;
    for (const std::string& url : replay.urls)
        cameras.push_back(
            hub.add(settings_for(url), static_cast<std::uint8_t>(cameras.size() + 1)));
    hub.run_for(14);
    for (const int code : hub.stop_all()) CHECK(code == 0);
    // Units a second: 1024 samples of 16000 Hz, 20 ms, 1024 samples of 8000 Hz.
    const double pace[] = {15.6, 50, 7.8, 7.8};
    const char* codecs[] = {"aac,16000", "opus,48000", "aac,8000", "aac,8000"};
    for (std::size_t i = 0; i < cameras.size(); ++i) {
        CAPTURE(i);
        const Found found = open_all(hub.data(), cameras[i], hub.owner());
        for (const std::string& p : found.problems) FAIL_CHECK(p);
        REQUIRE(found.opened.size() >= 2);
        CHECK(count(found.numbers).lost == 0);
        CHECK(count(found.numbers).repeated == 0);
        const double seconds = static_cast<double>(found.frames) / 25;
        CHECK(seconds > 10);
        const double heard = i == 0 ? seconds - 3.2 : i == 1 ? 4.5 : seconds - 0.6;
        CHECK(static_cast<double>(found.sound_units) > heard * pace[i]);
        write_bytes(folder / "clip.mp4", found.opened[0]);
        // In the stream's own times: the first second of a session is not evenly spaced.
        CHECK(run_command("ffmpeg -v error -xerror -i " + (folder / "clip.mp4") +
                          " -enc_time_base -1 -f null -")
                  .output == "");
        const std::string a0 = "-select_streams a:0";
        CHECK(ffprobe(folder / "clip.mp4", "stream=codec_name,sample_rate", a0) == codecs[i]);
        // The tone goes on from the first picture to the last, without a hole or a repetition.
        const auto begin = std::atof(ffprobe(folder / "clip.mp4", "stream=start_time", a0).c_str());
        CHECK(std::abs(begin) < 0.3);
        CHECK(hub.said<link::StateChanged>(cameras[i]).back().audio.find(" Hz") !=
              std::string::npos);
    }
}

TEST_CASE("the daemon may go and come again: no frame is lost, the recorder is adopted") {
    if (!have_programs()) return;
    const TempFolder folder;
    const Replay replay(folder, {"--generate", "h264:320x240@25"});
    REQUIRE(replay.urls.size() == 1);
    RecorderHub hub(folder.path(), program("HALFDOOR_RECORDER"));
    const CameraId c = hub.add(settings_for(replay.urls[0]), 1);
    REQUIRE(hub.run_until([&] { return !hub.said<link::PieceDurable>(c).empty(); }, 20));
    hub.vanish();
    hub.run_for(3);
    hub.listen();
    REQUIRE(hub.run_until([&] { return hub.said<link::Hello>(c).size() == 2; }, 5));
    CHECK(hub.said<link::Hello>(c)[1].has_settings);
    CHECK(hub.said<link::Hello>(c)[1].settings == link::settings_hash(hub.settings(c)));
    hub.run_for(2);
    CHECK(hub.stop_all() == std::vector<int>{0});
    const Found found = open_all(hub.data(), c, hub.owner());
    CHECK(found.problems.empty());
    CHECK(count(found.numbers).lost == 0);
    CHECK(count(found.numbers).repeated == 0);
    CHECK(count_of<journal::RunBegan>(journal_of(hub, c)) == 1);
}

TEST_CASE("a camera that falls silent gets a recorded gap, and recording comes back") {
    if (!have_programs()) return;
    const TempFolder folder;
    const Replay replay(folder, {"--generate", "h264:320x240@25:gop=25", "--fault", "1,stall,5,6"});
    REQUIRE(replay.urls.size() == 1);
    RecorderHub hub(folder.path(), program("HALFDOOR_RECORDER"));
    const CameraId c = hub.add(settings_for(replay.urls[0]), 1);
    const auto back = [&] {
        const auto gaps = hub.said<link::GapChanged>(c);
        return gaps.size() >= 2 && !gaps.back().open;
    };
    CHECK(hub.run_until(back, 40));
    hub.run_for(1);
    CHECK(hub.stop_all() == std::vector<int>{0});
    const auto gaps = hub.said<link::GapChanged>(c);
    REQUIRE(gaps.size() >= 2);
    CHECK(gaps[0].open);
    CHECK(gaps[0].cause == journal::GapCause::stalled);
    CHECK(gaps[1].when.at - gaps[0].when.at > 3s);
    const Found found = open_all(hub.data(), c, hub.owner());
    CHECK(found.problems.empty());
    CHECK(count(found.numbers).repeated == 0);
    CHECK(found.clips.front().reason == clip::EndReason::stream_lost);
}

TEST_CASE("kill -9 in mid-clip leaves every synced piece readable and another recorder can go on") {
    if (!have_programs()) return;
    const TempFolder folder;
    const Replay replay(folder, {"--generate", "h264:320x240@25"});
    REQUIRE(replay.urls.size() == 1);
    RecorderHub hub(folder.path(), program("HALFDOOR_RECORDER"));
    const CameraId c = hub.add(settings_for(replay.urls[0]), 1);
    REQUIRE(hub.run_until([&] { return hub.said<link::PieceDurable>(c).size() >= 4; }, 20));
    const link::PieceDurable durable = hub.said<link::PieceDurable>(c).back();
    hub.child(c).signal(SIGKILL);
    CHECK(hub.child(c).wait(5) == -2);
    const Found left = open_all(hub.data(), c, hub.owner(), true);
    CHECK(left.problems.empty());
    CHECK(left.frames >= durable.frames);
    CHECK(count(left.numbers).lost == 0);
    const std::size_t before = hub.said<link::PieceDurable>(c).size();
    const BootTime killed = system_clock().boot();
    hub.restart(c);
    CHECK(hub.run_until([&] { return hub.said<link::PieceDurable>(c).size() > before; }, 20));
    CHECK(system_clock().boot() - killed < 10s);
    CHECK(hub.stop_all() == std::vector<int>{0});
}

TEST_CASE("settings with another hash cut at a key frame, the same ones do nothing") {
    if (!have_programs()) return;
    const TempFolder folder;
    const Replay replay(folder, {"--generate", "h264:320x240@25:gop=25"});
    REQUIRE(replay.urls.size() == 1);
    RecorderHub hub(folder.path(), program("HALFDOOR_RECORDER"));
    link::RecorderSettings s = settings_for(replay.urls[0]);
    s.clip_target = 60s;
    const CameraId c = hub.add(s, 1);
    REQUIRE(hub.run_until([&] { return hub.said<link::PieceDurable>(c).size() >= 2; }, 20));
    hub.send(c, link::NewSettings{hub.settings(c)});
    hub.run_for(2);
    CHECK(hub.said<link::ClipFinished>(c).empty());
    s = hub.settings(c);
    s.policy_number = 2;
    hub.change(s);
    CHECK(hub.run_until([&] { return hub.said<link::ClipFinished>(c).size() == 1; }, 10));
    CHECK(hub.said<link::ClipFinished>(c)[0].summary.reason == clip::EndReason::settings_change);
    hub.run_for(2);
    CHECK(hub.stop_all() == std::vector<int>{0});
    CHECK(hub.said<link::ClipOpened>(c).back().header.policy_number == 2);
    const Found found = open_all(hub.data(), c, hub.owner());
    CHECK(count(found.numbers).lost == 0);
}

TEST_CASE("SIGTERM closes the clip, and a second recorder of a camera is turned away") {
    if (!have_programs()) return;
    const TempFolder folder;
    const Replay replay(folder, {"--generate", "h264:320x240@25"});
    REQUIRE(replay.urls.size() == 1);
    RecorderHub hub(folder.path(), program("HALFDOOR_RECORDER"));
    const CameraId c = hub.add(settings_for(replay.urls[0]), 1);
    REQUIRE(hub.run_until([&] { return !hub.said<link::PieceDurable>(c).empty(); }, 20));
    Child second(
        {program("HALFDOOR_RECORDER"), "--link", folder / "link.sock", "--camera", to_string(c)});
    CHECK(second.wait(5) == 75);
    hub.child(c).signal(SIGTERM);
    CHECK(hub.run_until([&] { return !hub.said<link::Farewell>(c).empty(); }, 10));
    CHECK(hub.child(c).wait(5) == 0);
    const Found found = open_all(hub.data(), c, hub.owner());
    REQUIRE(found.clips.size() >= 1);
    CHECK(found.clips.back().reason == clip::EndReason::shutdown);
    const auto records = journal_of(hub, c);
    CHECK(std::holds_alternative<journal::GapBegan>(records.back()));
}

TEST_SUITE_END();
