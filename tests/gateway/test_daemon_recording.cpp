#include <algorithm>
#include <filesystem>
#include <map>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include "index/base/clock.hpp"
#include "index/clip/clip_reader.hpp"
#include "index/journal/camera_journal.hpp"
#include "tests/gateway/daemon_hub.hpp"

using namespace hd;
using test::camera;
using test::HubCamera;
using test::TestHub;

namespace {

TimeSpan past_hour() {
    const WallTime now = system_clock().wall();
    return {now - std::chrono::hours(1), now + std::chrono::hours(1)};
}

// Opens and ends of gaps in a camera's journal, in order: "(" and ")".
std::string gap_marks(const TestHub& hub, const CameraId& id) {
    std::string out;
    const std::string path = hub.data() + "/journal/" + to_string(id) + ".log";
    auto read = journal::read(real_file_system(), path, "camera", 0,
                              [&](const journal::Record& record, std::uint64_t) {
                                  auto decoded = journal::decode_camera_record(record);
                                  if (!decoded) return;
                                  if (std::holds_alternative<journal::GapBegan>(*decoded))
                                      out += "(";
                                  if (std::holds_alternative<journal::GapEnded>(*decoded))
                                      out += ")";
                              });
    CHECK(read.ok());
    return out;
}

// Starts a check and gives what it found.
std::vector<wire::Json> problems_of(TestHub& hub, std::string_view question) {
    (void)hub.ask("check", question);
    wire::Reply reply = hub.ask("check", R"({"wait":true})");
    CHECK(hub.wait_for([&] {
        reply = hub.ask("check", R"({"wait":true})");
        return reply.body.text_or("state", "") == "done";
    }));
    std::vector<wire::Json> out;
    for (const wire::Json& problem : reply.body.array_or_empty("problems")) out.push_back(problem);
    return out;
}

std::size_t problems_of_check(TestHub& hub) {
    const auto problems = problems_of(hub, "{}");
    for (const wire::Json& problem : problems) {
        MESSAGE(problem.text_or("kind", "")
                << " " << problem.text_or("clip", "") << " " << problem.text_or("text", ""));
    }
    return problems.size();
}

std::vector<std::filesystem::path> clip_files(const TestHub& hub) {
    std::vector<std::filesystem::path> out;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(hub.data() + "/clips"))
        if (entry.path().extension() == ".clip") out.push_back(entry.path());
    std::ranges::sort(out);
    return out;
}

// A journal of a camera that lost its video for a second, again and again, from `begin` on.
void lay_gaps(const TestHub& hub, const CameraId& camera, WallTime begin, int count) {
    FileSystem& fs = real_file_system();
    REQUIRE(fs.make_folders(hub.data() + "/journal", 0700).ok());
    auto writer =
        journal::Writer::open(fs, hub.data() + "/journal/" + to_string(camera) + ".log", "camera");
    REQUIRE(writer.ok());
    for (int i = 0; i < count; ++i) {
        const Micros at = std::chrono::seconds(2 * i);
        journal::Stamp stamp{.at = {at.count()}, .utc = begin + at};
        stamp.quality = ClockQuality::synchronised;
        REQUIRE(writer
                    ->append(journal::encode(journal::CameraRecord(
                        journal::GapBegan{stamp, journal::GapCause::stalled, ""})))
                    .ok());
        stamp.at = stamp.at + Micros(1'000'000);
        stamp.utc = stamp.utc + Micros(1'000'000);
        REQUIRE(
            writer->append(journal::encode(journal::CameraRecord(journal::GapEnded{stamp}))).ok());
    }
    REQUIRE(writer->sync().ok());
}

// How many gaps begin in the window, asked as docs/protocol.md says.
int gaps_by_pages(TestHub& hub, TimeSpan window) {
    int count = 0;
    for (std::string from = to_rfc3339(window.begin); !from.empty();) {
        const auto reply = hub.ask("clips", fmt::format(R"({{"from":"{}","to":"{}","gaps":true}})",
                                                        from, to_rfc3339(window.end)));
        for (const wire::Json& gap : reply.body.array_or_empty("gaps"))
            if (gap.text_or("begin", "") >= from) ++count;
        from = reply.body.text_or("gaps_until", "");
    }
    return count;
}

}  // namespace

TEST_SUITE("gateway/daemon/recording") {
    TEST_CASE("cameras are recorded, indexed, and every clip is closed at SIGTERM") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=10"),
                     camera(2, "yard", "piece_ms=50/pieces=1000")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 3; }));
        CHECK(hub.camera_state("door") == "recording");
        CHECK(hub.camera_state("yard") == "recording");
        const auto status = hub.status();
        CHECK(!status.text_or("durable_until", "").empty());
        CHECK(status.int_or("durable_age_ms", 999999) < 2000);
        CHECK(hub.recorders().size() == 2);
        CHECK(hub.files_ending(".part") >= 1);

        CHECK(hub.end(SIGTERM) == "exit code 0");
        CHECK(hub.recorders().empty());
        CHECK(hub.files_ending(".part") == 0);
        const std::size_t files = hub.files_ending(".clip");
        // After an orderly stop every file is a row already: nothing is found at the next start.
        std::filesystem::remove(hub.path("log"));
        hub.start();
        CHECK(hub.log_text().find("index.reconciled") == std::string::npos);
        CHECK(hub.clips_closed() >= files);
        CHECK(problems_of_check(hub) == 0);
    }

    TEST_CASE("kill -9 of the daemon stops no recorder, and the next daemon adopts it") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=20"),
                     camera(2, "yard", "piece_ms=40/pieces=25")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 2; }));
        const auto before = hub.recorders();
        CHECK(hub.end(SIGKILL) == "signal 9 (Killed)");
        // They go on: clips are finished while no daemon lives.
        const std::size_t files = hub.files_ending(".clip");
        CHECK(hub.wait_for([&] { return hub.files_ending(".clip") >= files + 3; }));
        hub.start();
        CHECK(hub.wait_for([&] {
            return hub.camera_state("door") == "recording" &&
                   hub.camera_state("yard") == "recording";
        }));
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= files + 3; }));
        CHECK(hub.recorders() == before);
        // No gap was written: the one gap is the one before the first frame.
        CHECK(gap_marks(hub, hub.cameras[0].id) == "()");
        CHECK(gap_marks(hub, hub.cameras[1].id) == "()");
        CHECK(problems_of_check(hub) == 0);
        CHECK(hub.end(SIGTERM) == "exit code 0");
        CHECK(hub.recorders().empty());
    }

    TEST_CASE("a recorder that crashes is back at once, with one gap and its clip recovered") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=1000/crash_after=12"),
                     camera(2, "yard", "piece_ms=40/pieces=10")});
        hub.start();
        const pid_t yard = [&] {
            CHECK(hub.wait_for([&] { return hub.recorders().size() == 2; }));
            return *hub.recorders().rbegin();
        }();
        CHECK(hub.wait_for([&] { return hub.log_text().find("signal 6") != std::string::npos; }));
        // Its clip was unfinished and is finished from its pieces.
        CHECK(hub.wait_for(
            [&] { return hub.log_text().find("clip.recovered") != std::string::npos; }));
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        CHECK(hub.wait_for([&] {
            const std::string marks = gap_marks(hub, hub.cameras[0].id);
            return marks.size() >= 4;
        }));
        const std::string marks = gap_marks(hub, hub.cameras[0].id);
        CHECK(marks.substr(0, 4) == "()()");
        CHECK(gap_marks(hub, hub.cameras[1].id) == "()");
        CHECK(hub.recorders().contains(yard));
        CHECK(problems_of_check(hub) == 0);
    }

    TEST_CASE("kill -9 of a recorder costs its camera less than 5 seconds") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=1000")});
        hub.start();
        CHECK(hub.wait_for([&] { return !hub.status().text_or("durable_until", "").empty(); }));
        const auto before = hub.recorders();
        REQUIRE(before.size() == 1);
        ::kill(*before.begin(), SIGKILL);
        const BootTime killed = system_clock().boot();
        CHECK(hub.wait_for([&] {
            const auto now = hub.recorders();
            return now.size() == 1 && now != before && hub.camera_state("door") == "recording";
        }));
        CHECK(system_clock().boot() - killed < std::chrono::seconds(5));
        CHECK(hub.wait_for([&] { return hub.clips_closed() == 1; }));
    }

    TEST_CASE("without the index folder the same window gives the same bytes") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=8"),
                     camera(2, "yard", "piece_ms=30/pieces=9/crash_after=40")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 12; }));
        CHECK(hub.end(SIGTERM) == "exit code 0");
        // Nothing is recorded any more, so that the window stands still.
        for (HubCamera& c : hub.cameras) c.enabled = false;
        hub.write_config();
        hub.start();
        const TimeSpan window = past_hour();
        // The index may take what the journals say now a moment after the hub answers.
        std::string before;
        CHECK(hub.wait_for([&] {
            before = hub.closed_clips(window);
            const std::size_t first = before.find("\"disabled\"");
            return first != std::string::npos && before.rfind("\"disabled\"") != first;
        }));
        CHECK(hub.end(SIGTERM) == "exit code 0");
        std::filesystem::remove_all(hub.data() + "/index");
        hub.start();
        CHECK(hub.wait_for([&] {
            return hub.status().find("index")->text_or("state", "") == "ready" &&
                   hub.clips_closed() > 0;
        }));
        CHECK(hub.closed_clips(window) == before);
        (void)hub.ask("reindex");
        CHECK(hub.wait_for(
            [&] { return hub.status().find("index")->text_or("state", "") == "ready"; }));
        CHECK(hub.closed_clips(window) == before);
        CHECK(problems_of_check(hub) == 0);
    }

    TEST_CASE(
        "the oldest clips go when a camera has more than its limit, and the rest stays whole") {
        // 80 kB a clip; the newest ten stay whatever the limit says.
        TestHub hub({camera(1, "door", "piece_ms=20/pieces=4/bytes=20000")});
        hub.write_config("[retention]\nreserve_mb = 16\ncamera_max_mb = 1\n");
        hub.start();
        CHECK(hub.wait_for([&] { return hub.files_ending(".clip") >= 20; }));
        hub.signal(SIGHUP);  // A pass at once instead of after 10 s.
        CHECK(hub.wait_for(
            [&] { return hub.log_text().find("clips.deleted") != std::string::npos; }));
        CHECK(hub.end(SIGTERM) == "exit code 0");
        for (HubCamera& c : hub.cameras) c.enabled = false;
        hub.write_config("[retention]\nreserve_mb = 16\ncamera_max_mb = 1\n");
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() <= 14; }));
        CHECK(hub.clips_closed() >= 10);
        CHECK(hub.wait_for([&] { return hub.files_ending(".clip") == hub.clips_closed(); }));
        CHECK(problems_of_check(hub) == 0);
    }

    TEST_CASE("a camera waits while no policy rules, and is recorded as soon as one does") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=10")}, false);
        hub.start();
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "stopped"; }));
        const auto status = hub.status();
        CHECK(status.array_or_empty("warnings").size() >= 1);
        CHECK(hub.recorders().empty());
        const ByteView note = as_bytes(hub.policy.bytes);
        const auto reply = hub.ask("policy.apply", "{}", {Bytes(note.begin(), note.end())});
        CHECK_FALSE(reply.error.has_value());
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        // A changed policy goes to the recorder that runs, without another process.
        const auto before = hub.recorders();
        consent::Policy next = hub.policy.policy;
        next.minimum_age_s = 5;
        hub.apply_policy(next);
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 2; }));
        CHECK(hub.recorders() == before);
        CHECK(hub.ask("policy").body.int_or("number", 0) == 2);
    }

    TEST_CASE("SIGHUP stops a camera that was disabled and starts one that was added") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=10")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        hub.cameras[0].enabled = false;
        hub.cameras.push_back(camera(3, "shed", "piece_ms=40/pieces=10"));
        hub.write_config();
        hub.signal(SIGHUP);
        CHECK(hub.wait_for([&] {
            return hub.camera_state("shed") == "recording" && hub.camera_state("door") == "stopped";
        }));
        CHECK(hub.recorders().size() == 1);
        // A wrong file changes nothing.
        hub.write_config("nonsense = 1\n");
        hub.signal(SIGHUP);
        CHECK(hub.wait_for(
            [&] { return hub.log_text().find("config.refused") != std::string::npos; }));
        CHECK(hub.camera_state("shed") == "recording");
    }

    TEST_CASE("an orphan of a camera that left the configuration closes its clip and ends") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=10"),
                     camera(2, "yard", "piece_ms=40/pieces=1000")});
        hub.start();
        CHECK(hub.wait_for(
            [&] { return hub.camera_state("yard") == "recording" && hub.clips_closed() >= 1; }));
        CHECK(hub.end(SIGKILL) == "signal 9 (Killed)");
        hub.cameras.pop_back();
        hub.write_config();
        hub.start();
        CHECK(hub.wait_for([&] { return hub.recorders().size() == 1; }));
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        CHECK(problems_of_check(hub) == 0);
    }

    TEST_CASE("SIGUSR2 ends the daemon alone") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=10")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        const auto before = hub.recorders();
        CHECK(hub.end(SIGUSR2) == "exit code 0");
        CHECK(hub.recorders() == before);
        hub.start();
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        CHECK(hub.recorders() == before);
    }

    TEST_CASE("a recorder that ignores everything is killed at the end") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=1000/deaf=1")});
        hub.start();
        CHECK(hub.wait_for([&] { return hub.camera_state("door") == "recording"; }));
        CHECK(hub.end(SIGTERM) == "exit code 0");
        CHECK(hub.recorders().empty());
        CHECK(hub.log_text().find("recorder.killed") != std::string::npos);
        // Its clip was finished by the index before the daemon ended.
        CHECK(hub.files_ending(".part") == 0);
        CHECK(hub.files_ending(".clip") == 1);
    }

    TEST_CASE("a running hub mends what was done to its clips, reindexes, and records meanwhile") {
        HubCamera yard = camera(2, "yard", "piece_ms=40");
        yard.enabled = false;
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=10"), yard});
        // More gaps of long ago than one answer holds.
        constexpr int kGaps = 10'500;
        const WallTime ago = system_clock().wall() - std::chrono::hours(48);
        lay_gaps(hub, yard.id, ago, kGaps);
        hub.start();
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= 6; }));
        CHECK(gaps_by_pages(hub, {ago, ago + std::chrono::seconds(2 * kGaps - 1)}) == kGaps);

        const auto files = clip_files(hub);
        REQUIRE(files.size() >= 6);
        std::filesystem::remove(files[0]);
        std::filesystem::resize_file(files[1], std::filesystem::file_size(files[1]) - 40);
        std::filesystem::path renamed = files[2];
        renamed.replace_filename("000000.000000Z-00000000.clip");
        std::filesystem::rename(files[2], renamed);
        const auto problems = problems_of(hub, R"({"level":"hash","repair":true})");
        CHECK(problems.size() >= 3);
        for (const wire::Json& problem : problems)
            CHECK_MESSAGE(problem.bool_or("repaired", false), problem.text_or("kind", ""));
        CHECK(std::filesystem::exists(files[2]));
        CHECK(problems_of(hub, R"({"level":"hash"})").empty());

        const TimeSpan past{ago, system_clock().wall() - std::chrono::seconds(3)};
        const std::string before = hub.closed_clips(past);
        const std::size_t closed = hub.clips_closed();
        CHECK(hub.clips_one_by_one({ago, system_clock().wall()}) >= 4);
        const std::string log = hub.log_text();  // with the rebuild of the first start
        (void)hub.ask("reindex");
        CHECK(hub.wait_for(
            [&] {
                return hub.log_text().find("index.rebuild_done", log.size()) != std::string::npos;
            },
            60));
        const bool same = hub.closed_clips(past) == before;  // megabytes: not for the log
        CHECK(same);
        CHECK(hub.wait_for([&] { return hub.clips_closed() >= closed + 2; }));
        CHECK(hub.camera_state("door") == "recording");
    }

    TEST_CASE("two daemons never share a data folder") {
        TestHub hub({camera(1, "door", "piece_ms=40/pieces=10")});
        hub.start();
        const std::string program = std::getenv("HALFDOORD");
        auto pid = daemon::start_child({.program = program,
                                        .args = {"--config", hub.path("halfdoor.toml")},
                                        .extra_environment = {}});
        REQUIRE(pid.ok());
        auto second = daemon::ProcessHandle::of(*pid);
        REQUIRE(second.ok());
        CHECK(hub.wait_for([&] { return second->ended(); }));
        CHECK(second->reap() == "exit code 3");
        CHECK(hub.ask("hello").body.int_or("protocol", 0) == 1);
    }

    TEST_CASE("a wrong configuration ends with exit code 2") {
        TestHub hub({camera(1, "door", "piece_ms=40")});
        hub.write_config("[surprise]\nkey = 1\n");
        const std::string program = std::getenv("HALFDOORD");
        for (const char* mode : {"--check-config", "--config"}) {
            std::vector<std::string> args{"--config", hub.path("halfdoor.toml")};
            if (std::string_view(mode) == "--check-config") args.push_back(mode);
            auto pid =
                daemon::start_child({.program = program, .args = args, .extra_environment = {}});
            REQUIRE(pid.ok());
            auto process = daemon::ProcessHandle::of(*pid);
            REQUIRE(process.ok());
            CHECK(hub.wait_for([&] { return process->ended(); }));
            CHECK(process->reap() == "exit code 2");
        }
    }
}
